import pg from 'pg'
import { databasePasswordOf, type KeyRing } from '../keys.ts'

/** Policies and grants name these groups; the login roles of each database are their members. */
export const serviceGroup = 'latchkey_services'
export const workerGroup = 'latchkey_workers'

export type LoginKind = 'service' | 'worker'

/** The login role of one database: two databases of one server may have different key rings. */
export const loginRoleOf = (database: string, kind: LoginKind): string =>
  `${database.toLowerCase().replace(/[^a-z0-9_]/g, '_').slice(0, 50)}_${kind}`

/** Where the service (or its workers) connect, given the owner's address of the database. */
export function loginUrl (ownerUrl: string, keyRing: KeyRing, kind: LoginKind): string {
  const url = new URL(ownerUrl)
  const role = loginRoleOf(databaseOf(url), kind)
  url.username = role
  url.password = databasePasswordOf(keyRing, role)
  return url.href
}

/** Where the workers connect, given only the service's address: the sister role, password from the key ring. */
export function workerUrlFrom (serviceUrl: string, keyRing: KeyRing): string {
  const url = new URL(serviceUrl)
  const role = decodeURIComponent(url.username).replace(/_service$/, '_worker')
  url.username = role
  url.password = databasePasswordOf(keyRing, role)
  return url.href
}

export const databaseOf = (url: URL): string => decodeURIComponent(url.pathname.slice(1)) || decodeURIComponent(url.username)

// A new role has none of the dangerous attributes. They are not named (`nosuperuser`), because only a superuser may.
const attributes = 'nocreaterole nocreatedb'

/**
 * Makes the two groups and this database's two login roles, or sets their passwords anew. Safe to run twice and by
 * several processes at once. An owner who may not create roles is told which statements another must run.
 */
export async function ensureRoles (client: pg.Client, ownerUrl: string, keyRing: KeyRing): Promise<void> {
  const database = databaseOf(new URL(ownerUrl))
  const { rows } = await client.query<{ may: boolean }>('select rolsuper or rolcreaterole as may from pg_roles where rolname = current_user')
  if (!rows[0]?.may) return requireRoles(client, database)
  await client.query('select pg_advisory_lock(hashtext($1))', ['latchkey roles'])
  try {
    for (const group of [serviceGroup, workerGroup]) await createRole(client, group, `nologin ${attributes}`)
    for (const [kind, group] of [['service', serviceGroup], ['worker', workerGroup]] as const) {
      const role = loginRoleOf(database, kind)
      await createRole(client, role, `login ${attributes}`)
      await retried(client, `alter role ${pg.escapeIdentifier(role)} login nocreaterole nocreatedb password ${pg.escapeLiteral(databasePasswordOf(keyRing, role))}`)
      await retried(client, `grant ${group} to ${pg.escapeIdentifier(role)}`)
    }
  } finally {
    await client.query('select pg_advisory_unlock(hashtext($1))', ['latchkey roles'])
  }
}

async function createRole (client: pg.Client, role: string, options: string) {
  const { rowCount } = await client.query('select 1 from pg_roles where rolname = $1', [role])
  if (rowCount) return
  try {
    await retried(client, `create role ${pg.escapeIdentifier(role)} ${options}`)
  } catch (error) {
    if (!['42710', '23505'].includes((error as { code?: string }).code ?? '')) throw error
  }
}

/** Parallel grants on one server can meet in the catalogue (XX000 "tuple concurrently updated"). */
async function retried (client: pg.Client, statement: string) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await client.query(statement)
    } catch (error) {
      if ((error as { code?: string }).code !== 'XX000' || attempt === 5) throw error
    }
  }
}

async function requireRoles (client: pg.Client, database: string) {
  const needed = [serviceGroup, workerGroup, loginRoleOf(database, 'service'), loginRoleOf(database, 'worker')]
  const { rows } = await client.query<{ rolname: string }>('select rolname from pg_roles where rolname = any($1)', [needed])
  const missing = needed.filter((role) => !rows.some((row) => row.rolname === role))
  if (missing.length === 0) return
  throw new Error([
    'The owner of the database may not create roles, and these are missing: ' + missing.join(', ') + '. Let an administrator of the server run:',
    `  create role ${serviceGroup} nologin; create role ${workerGroup} nologin;`,
    `  create role ${needed[2]} login nosuperuser nobypassrls nocreaterole in role ${serviceGroup};`,
    `  create role ${needed[3]} login nosuperuser nobypassrls nocreaterole in role ${workerGroup};`,
    'and give the two login roles the passwords that `npm run ops -- passwords` prints.',
  ].join('\n'))
}

import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto'
import pg from 'pg'
import { databasePasswordOf, type KeyRing } from '../keys.ts'

/** Policies and grants name these groups; the login roles of each database are their members. */
export const serviceGroup = 'latchkey_services'
export const workerGroup = 'latchkey_workers'

export type LoginKind = 'service' | 'worker'

export const loginRoleSuffixes: Record<LoginKind, string> = { service: '_service', worker: '_worker' }

/** The login role of one database: two databases of one server may have different key rings. */
export const loginRoleOf = (database: string, kind: LoginKind): string =>
  `${database.toLowerCase().replace(/[^a-z0-9_]/g, '_').slice(0, 50)}${loginRoleSuffixes[kind]}`

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

const groupOf = { service: serviceGroup, worker: workerGroup } as const
const kinds = ['service', 'worker'] as const
const permissionDenied = '42501'

/**
 * Makes the two groups and this database's two login roles, or sets their passwords anew. Safe to run twice and by
 * several processes at once. An owner who may not do that is told which statements another must run, once.
 */
export async function ensureRoles (client: pg.Client, ownerUrl: string, keyRing: KeyRing): Promise<void> {
  const database = databaseOf(new URL(ownerUrl))
  const { rows } = await client.query<{ may: boolean }>('select rolsuper or rolcreaterole as may from pg_roles where rolname = current_user')
  if (!rows[0]?.may) return requireRoles(client, database)
  await client.query('select pg_advisory_lock(hashtext($1))', ['latchkey roles'])
  try {
    await makeRoles(client, database, keyRing)
  } catch (error) {
    // Roles that another made: whoever may create roles may not for that reason change or grant all of them.
    if (codeOf(error) !== permissionDenied) throw error
    await requireRoles(client, database)
  } finally {
    await client.query('select pg_advisory_unlock(hashtext($1))', ['latchkey roles'])
  }
}

// A new role has none of the dangerous attributes. They are not named in `alter role`, not even to be taken away:
// that needs them oneself. The service looks for them when it starts.
async function makeRoles (client: pg.Client, database: string, keyRing: KeyRing): Promise<void> {
  for (const kind of kinds) await createRole(client, groupOf[kind], 'nologin')
  for (const kind of kinds) {
    const role = loginRoleOf(database, kind)
    await createRole(client, role, 'login')
    await retried(client, `alter role ${pg.escapeIdentifier(role)} login password ${pg.escapeLiteral(scramVerifierOf(databasePasswordOf(keyRing, role)))}`)
    if (!await isMember(client, role, groupOf[kind])) await retried(client, `grant ${groupOf[kind]} to ${pg.escapeIdentifier(role)}`)
  }
}

const scramIterations = 4_096

/** What the server keeps of a password (RFC 5803): the password itself stands in no statement, and so in no server's log. */
function scramVerifierOf (password: string): string {
  const salt = randomBytes(16)
  const salted = pbkdf2Sync(password, salt, scramIterations, 32, 'sha256')
  const keyOf = (name: string) => createHmac('sha256', salted).update(name).digest()
  const storedKey = createHash('sha256').update(keyOf('Client Key')).digest('base64')
  return `SCRAM-SHA-256$${scramIterations}:${salt.toString('base64')}$${storedKey}:${keyOf('Server Key').toString('base64')}`
}

async function createRole (client: pg.Client, role: string, options: string) {
  if (await exists(client, role)) return
  try {
    await retried(client, `create role ${pg.escapeIdentifier(role)} ${options}`)
  } catch (error) {
    if (!['42710', '23505'].includes(codeOf(error) ?? '')) throw error
  }
}

async function exists (client: pg.Client, role: string): Promise<boolean> {
  return (await client.query('select 1 from pg_roles where rolname = $1', [role])).rowCount !== 0
}

async function isMember (client: pg.Client, role: string, group: string): Promise<boolean> {
  const { rowCount } = await client.query(`
    select 1 from pg_auth_members m join pg_roles r on r.oid = m.member join pg_roles g on g.oid = m.roleid
     where r.rolname = $1 and g.rolname = $2`, [role, group])
  return rowCount !== 0
}

/** Parallel grants on one server can meet in the catalogue (XX000 "tuple concurrently updated"). */
async function retried (client: pg.Client, statement: string) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await client.query(statement)
    } catch (error) {
      if (codeOf(error) !== 'XX000' || attempt === 5) throw error
    }
  }
}

const codeOf = (error: unknown) => (error as { code?: string }).code

/** Passes if another has made the roles; their passwords cannot be seen, so a wrong one shows at the service's login. */
async function requireRoles (client: pg.Client, database: string): Promise<void> {
  const statements: string[] = []
  for (const kind of kinds) if (!await exists(client, groupOf[kind])) statements.push(`create role ${groupOf[kind]} nologin;`)
  for (const kind of kinds) {
    const role = loginRoleOf(database, kind)
    if (!await exists(client, role)) statements.push(`create role ${pg.escapeIdentifier(role)} login nosuperuser nobypassrls nocreaterole in role ${groupOf[kind]};`)
    else if (!await isMember(client, role, groupOf[kind])) statements.push(`grant ${groupOf[kind]} to ${pg.escapeIdentifier(role)};`)
  }
  if (statements.length === 0) return
  throw new Error([
    'the owner of the database may not make the login roles. Let an administrator of the server run:',
    ...statements.map((statement) => `  ${statement}`),
    'and give the two login roles the passwords that `npm run ops -- service-url` prints.',
  ].join('\n'))
}

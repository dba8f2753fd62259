import pg from 'pg'
import { databaseOf, loginRoleSuffixes, serviceGroup, workerGroup, type LoginKind } from './roles.ts'
import { pendingMigrations } from './migrate.ts'

/** One thing that must be right with the database before the service uses it, and what is wrong with it in plain words. */
export interface DatabaseCheck { name: 'role' | 'row-level security' | 'migrations' | 'durability', faults: string[] }

/** Looks at the database as the service (or its workers) would, with the very login they would use. */
export async function databaseChecks (url: string, kind: LoginKind): Promise<DatabaseCheck[]> {
  const client = new pg.Client({ connectionString: url, application_name: 'latchkey-check', connectionTimeoutMillis: 5_000 })
  await client.connect()
  try {
    const role = await roleFaults(client, kind)
    return [
      { name: 'role', faults: role },
      { name: 'row-level security', faults: await isolationFaults(client) },
      { name: 'migrations', faults: await migrationFaults(client, url, role.length > 0) },
      { name: 'durability', faults: await durabilityFaults(client) },
    ]
  } finally {
    await client.end()
  }
}

/** What keeps the service from starting; empty if nothing does. Durability is looked at in production only. */
export async function databaseFaults (url: string, production: boolean, kind: LoginKind = 'service'): Promise<string[]> {
  const checks = await databaseChecks(url, kind)
  return checks.flatMap(({ name, faults }) => name === 'durability' && !production ? [] : faults)
}

/** A role also has the powers of the roles that it is a member of: it may `SET ROLE` to them. */
async function roleFaults (client: pg.Client, kind: LoginKind): Promise<string[]> {
  const group = kind === 'service' ? serviceGroup : workerGroup
  const { rows: [role] } = await client.query<{ name: string, superuser: boolean, bypasses: boolean, creates: boolean, owns: string[], member: boolean }>(`
    select current_user as name, r.rolsuper as superuser,
           exists (select 1 from pg_roles p where (p.rolbypassrls or p.rolsuper) and pg_has_role(current_user, p.oid, 'member')) as bypasses,
           r.rolcreaterole as creates,
           exists (select 1 from pg_roles g where g.rolname = $1 and pg_has_role(current_user, g.oid, 'member')) as member,
           coalesce((select array_agg(c.relname::text order by c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace
                      where (n.nspname = 'public' or c.relispartition) and c.relkind in ('r', 'p') and pg_has_role(current_user, c.relowner, 'member')), '{}') as owns
      from pg_roles r where r.rolname = current_user`, [group])
  const { name, superuser, bypasses, creates, owns, member } = role!
  if (superuser) return [`the role ${name} is a superuser`]
  return [
    ...(bypasses ? [`the role ${name} may bypass row-level security`] : []),
    ...(creates ? [`the role ${name} may create roles`] : []),
    ...(owns.length > 0 ? [`the role ${name} owns tables (${owns.slice(0, 3).join(', ')}${owns.length > 3 ? ', …' : ''})`] : []),
    ...(member ? [] : [`the role ${name} is no member of ${group} (\`npm run migrate\` makes the right one)`]),
    // The workers' role is found by the service's name.
    ...(name.endsWith(loginRoleSuffixes[kind]) ? [] : [`the role ${name} is not the one that \`npm run migrate\` made: its name ends in ${loginRoleSuffixes[kind]}`]),
  ]
}

async function isolationFaults (client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ relname: string }>(`
    select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where (n.nspname = 'public' or c.relispartition) and c.relkind in ('r', 'p') and not (c.relrowsecurity and c.relforcerowsecurity) order by 1`)
  return rows.length === 0 ? [] : [`row-level security is not forced on: ${rows.map((row) => row.relname).join(', ')}`]
}

/** A wrong role may not be allowed to look; then the fault of the role is the one to name. */
async function migrationFaults (client: pg.Client, url: string, wrongRole: boolean): Promise<string[]> {
  try {
    const pending = await pendingMigrations(client)
    return pending.length === 0 ? [] : [`migrations are pending on ${databaseOf(new URL(url))}: ${pending.join(', ')} (run \`npm run migrate\`)`]
  } catch (error) {
    if (wrongRole && (error as { code?: string }).code === '42501') return []
    throw error
  }
}

async function durabilityFaults (client: pg.Client): Promise<string[]> {
  const { rows: [settings] } = await client.query<{ commit: string, fsync: string }>('select current_setting(\'synchronous_commit\') as commit, current_setting(\'fsync\') as fsync')
  return [
    ...(settings!.commit === 'off' ? ['synchronous_commit is off: an acknowledged change could be lost'] : []),
    ...(settings!.fsync === 'off' ? ['fsync is off: an acknowledged change could be lost'] : []),
  ]
}

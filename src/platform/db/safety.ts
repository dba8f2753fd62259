import pg from 'pg'
import { databaseOf } from './roles.ts'
import { pendingMigrations } from './migrate.ts'

/**
 * What is wrong with the database the service would connect to, in plain words; empty if nothing. `production` adds
 * what only matters there.
 */
export async function databaseFaults (serviceUrl: string, production: boolean): Promise<string[]> {
  const client = new pg.Client({ connectionString: serviceUrl, application_name: 'latchkey-check', connectionTimeoutMillis: 5_000 })
  await client.connect()
  try {
    const faults: string[] = []
    const { rows: [role] } = await client.query<{ name: string, superuser: boolean, bypasses: boolean, creates: boolean, owns: string[] }>(`
      select current_user as name, r.rolsuper as superuser, r.rolbypassrls as bypasses, r.rolcreaterole as creates,
             coalesce((select array_agg(c.relname::text order by c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace
                        where n.nspname = 'public' and c.relkind in ('r', 'p') and pg_has_role(current_user, c.relowner, 'member')), '{}') as owns
        from pg_roles r where r.rolname = current_user`)
    if (role!.superuser) faults.push(`the role ${role!.name} is a superuser`)
    else {
      if (role!.bypasses) faults.push(`the role ${role!.name} may bypass row-level security`)
      if (role!.creates) faults.push(`the role ${role!.name} may create roles`)
      if (role!.owns.length > 0) faults.push(`the role ${role!.name} owns tables (${role!.owns.slice(0, 3).join(', ')}${role!.owns.length > 3 ? ', …' : ''})`)
    }
    const { rows: open } = await client.query<{ relname: string }>(`
      select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
       where n.nspname = 'public' and c.relkind in ('r', 'p') and not (c.relrowsecurity and c.relforcerowsecurity) order by 1`)
    if (open.length > 0) faults.push(`row-level security is not forced on: ${open.map((row) => row.relname).join(', ')}`)
    const pending = await pendingMigrations(client)
    if (pending.length > 0) faults.push(`migrations are pending on ${databaseOf(new URL(serviceUrl))}: ${pending.join(', ')} (run \`npm run migrate\`)`)
    if (production) {
      const { rows: [settings] } = await client.query<{ commit: string, fsync: string }>('select current_setting(\'synchronous_commit\') as commit, current_setting(\'fsync\') as fsync')
      if (settings!.commit === 'off') faults.push('synchronous_commit is off: an acknowledged change could be lost')
      if (settings!.fsync === 'off') faults.push('fsync is off: an acknowledged change could be lost')
    }
    return faults
  } finally {
    await client.end()
  }
}

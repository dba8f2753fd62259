import t from 'tap'
import { Client } from 'pg'
import { loginRoleOf, serviceGroup, workerGroup } from '../../../src/platform/db/roles.ts'
import { cloneDatabase, templateName } from '../../support/cluster.ts'
import { roleUrl } from '../../support/service.ts'
import { insertOneRowOfEach } from '../../support/rows.ts'

const service = loginRoleOf(templateName, 'service')
const worker = loginRoleOf(templateName, 'worker')

/** What the workers may see of all tenants at once: queues, and the list of tenants. Everything else is closed to them. */
const acrossTenants = ['audit_refusals SELECT', 'audit_unsealed SELECT', 'idempotency_keys ALL', 'messages ALL', 'tenants SELECT']
const denied = { code: '42501' }

const { ownerUrl, drop } = await cloneDatabase()
const clients: Client[] = []
const connected = async (url: string) => {
  const client = new Client({ connectionString: url })
  clients.push(client)
  await client.connect()
  return client
}
t.teardown(async () => {
  await Promise.all(clients.map((client) => client.end()))
  await drop()
})

const owner = await connected(ownerUrl)
const tenantA = await insertOneRowOfEach(owner)
const tenantB = await insertOneRowOfEach(owner)
const namesIn = async (text: string, values: unknown[] = []) => (await owner.query<{ name: string }>(`select name from (${text}) as found order by name`, values)).rows.map((row) => row.name)

const tables = await namesIn(`select c.relname::text as name from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')`)

const tablesNotIsolated = () => namesIn(`
  select c.relname::text as name from pg_class c
   where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
     and not (c.relrowsecurity and c.relforcerowsecurity and exists (select from pg_policy p where p.polrelid = c.oid))`)

/** Primary keys, unique constraints and indexes, and both ends of foreign keys that do not start with the tenant. */
const keysNotLedByTenant = () => namesIn(`
  select i.relname::text as name from pg_index x join pg_class c on c.oid = x.indrelid join pg_class i on i.oid = x.indexrelid
   where c.relnamespace = 'public'::regnamespace and x.indisunique
     and (select attname from pg_attribute a where a.attrelid = c.oid and a.attnum = x.indkey[0]) is distinct from 'tenant_id'
   union
  select k.conname::text from pg_constraint k
   where k.connamespace = 'public'::regnamespace and k.contype = 'f'
     and ((select attname from pg_attribute a where a.attrelid = k.conrelid and a.attnum = k.conkey[1]) <> 'tenant_id'
          or (select attname from pg_attribute a where a.attrelid = k.confrelid and a.attnum = k.confkey[1]) <> 'tenant_id')`)

t.test('every table has row-level security enabled, forced and with a policy', async (t) => {
  t.ok(tables.length >= 15, `${tables.length} tables`)
  t.same(await tablesNotIsolated(), [])
})

t.test('the tenant leads every primary key, unique key and foreign key; only slugs are unique among all', async (t) => {
  t.same(await keysNotLedByTenant(), ['tenants_slug_key'])
  t.same(await namesIn(`select c.relname::text as name from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
                          and not exists (select from pg_index x where x.indrelid = c.oid and x.indisprimary)`), [], 'every table has a primary key')
})

t.test('a table without force, without a policy, or with a key of its own would be seen', async (t) => {
  await owner.query('begin')
  await owner.query(`
    create table unforced (tenant_id uuid primary key);
    alter table unforced enable row level security;
    create policy tenant_isolation on unforced using (tenant_id = current_tenant());
    create table without_policy (tenant_id uuid primary key);
    alter table without_policy enable row level security; alter table without_policy force row level security;
    create table loose (id uuid primary key, tenant_id uuid references tenants (tenant_id), other uuid references loose (id));
    call latchkey_internal.isolate('loose')`)
  t.same(await tablesNotIsolated(), ['unforced', 'without_policy'])
  t.same(await keysNotLedByTenant(), ['loose_other_fkey', 'loose_pkey', 'tenants_slug_key'])
  await owner.query('rollback')
})

t.test('nothing goes around the policies: no view, no function with its owner\'s rights, no table elsewhere', async (t) => {
  t.same(await namesIn(`select relname::text as name from pg_class where relnamespace = 'public'::regnamespace and relkind in ('v', 'm', 'f')`), [])
  t.same(await namesIn(`select proname::text as name from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname !~ '^(pg_|information_schema)' and p.prosecdef`), [])
  t.same(await namesIn(`select n.nspname || '.' || c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
                         where c.relkind in ('r', 'p') and n.nspname !~ '^(public|pg_.*|information_schema)$'`),
  ['latchkey_internal.kysely_migration', 'latchkey_internal.kysely_migration_lock'])
})

t.test('policies open a tenant to itself; across tenants only the queues, and only to the workers', async (t) => {
  const { rows } = await owner.query<{ tablename: string, policyname: string, roles: string[], cmd: string, qual: string | null, with_check: string | null }>(
    `select tablename::text, policyname::text, roles::text[], cmd, qual, with_check from pg_policies where schemaname = 'public' order by tablename, cmd`)
  const own = '(tenant_id = current_tenant())'
  const forWorkers = rows.filter(({ roles }) => roles.join() === workerGroup)
  const forAll = rows.filter(({ roles }) => roles.join() !== workerGroup)
  t.same(forAll.filter(({ qual, with_check }) => qual === own && with_check === own).map(({ tablename }) => tablename), tables, 'one for each table')
  t.match(forAll.filter(({ qual }) => qual !== own), [{ tablename: 'tenants', policyname: 'found_by_slug', cmd: 'SELECT', qual: /^\(slug = NULLIF\(current_setting\('latchkey.tenant_slug'/ }])
  t.equal(forAll.length, tables.length + 1)
  t.same(forWorkers.map(({ tablename, cmd }) => `${tablename} ${cmd}`), acrossTenants)
})

t.test('the login roles own nothing, may do nothing beyond their group, and can become nobody else', async (t) => {
  for (const [role, group] of [[service, serviceGroup], [worker, workerGroup]] as const) {
    const { rows: [attributes] } = await owner.query(`
      select rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication,
             array(select g.rolname::text from pg_auth_members m join pg_roles g on g.oid = m.roleid where m.member = r.oid) as member_of,
             (select count(*)::int from pg_shdepend d where d.refclassid = 'pg_authid'::regclass and d.refobjid = r.oid and d.deptype = 'o') as owns
        from pg_roles r where rolname = $1`, [role])
    t.same(attributes, { rolsuper: false, rolbypassrls: false, rolcreaterole: false, rolcreatedb: false, rolreplication: false, member_of: [group], owns: 0 }, role)
    const { rows: [ofGroup] } = await owner.query(`
      select rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolcanlogin as may, exists (select from pg_auth_members where member = r.oid) as member,
             has_schema_privilege(rolname, 'public', 'create') as creates
        from pg_roles r where rolname = $1`, [group])
    t.same(ofGroup, { may: false, member: false, creates: false }, group)
  }
})

t.test('neither role can rewrite the audit log, and the service cannot seal it', async (t) => {
  const mayOn = async (role: string, privileges: string) => namesIn(`
    select c.relname || ' ' || p as name from pg_class c, unnest($2::text[]) as p
     where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
       and case when p in ('INSERT', 'UPDATE') then has_any_column_privilege($1, c.oid, p) else has_table_privilege($1, c.oid, p) end`, [role, privileges.split(' ')])
  for (const role of [service, worker]) {
    t.same((await mayOn(role, 'UPDATE DELETE')).filter((name) => /^audit_(events|seals)/.test(name)), [], role)
    t.same(await mayOn(role, 'TRUNCATE TRIGGER REFERENCES'), [], role)
  }
  t.notOk((await mayOn(service, 'INSERT')).includes('audit_seals INSERT'))

  for (const kind of ['service', 'worker'] as const) {
    const client = await connected(roleUrl(ownerUrl, kind))
    for (const statement of ['update audit_events set action = action', 'delete from audit_events', 'truncate audit_events',
      'update audit_seals set sequence = sequence', 'delete from audit_seals', 'truncate audit_seals', 'alter table audit_events disable row level security']) {
      await t.rejects(client.query(statement), denied, `${kind}: ${statement}`)
    }
  }
})

const opened = (client: Client, tenant: string | null) => client.query('begin').then(() => tenant === null ? undefined : client.query('select enter_tenant($1)', [tenant]))
const copyInto = (table: string) => `insert into ${table} overriding system value select (jsonb_populate_record(null::${table}, $1)).*`
const rowOf = async (table: string, tenant: string) => (await owner.query<{ row: unknown }>(`select to_jsonb(r) as row from ${table} r where tenant_id = $1`, [tenant])).rows[0]!.row
const count = async (client: Client, table: string, where = 'true', values: unknown[] = []) => Number((await client.query(`select count(*) from ${table} where ${where}`, values)).rows[0].count)

/** Runs in a savepoint, so that what is refused leaves the transaction usable. */
async function attempt (client: Client, text: string, values: unknown[] = []): Promise<number | string> {
  await client.query('savepoint before')
  try {
    return (await client.query(text, values)).rowCount ?? 0
  } catch (error) {
    return `${(error as { code: string }).code} ${/row-level security/.test((error as Error).message)}`
  } finally {
    await client.query('rollback to before')
  }
}
const refusedByPolicy = '42501 true'

for (const kind of ['service', 'worker'] as const) {
  t.test(`with every privilege the ${kind}'s role still reaches no other tenant's rows`, async (t) => {
    // The policies alone stand between tenants here.
    await owner.query(`grant all on all tables in schema public to ${service}, ${worker}; grant all on all sequences in schema public to ${service}, ${worker}`)
    const client = await connected(roleUrl(ownerUrl, kind))
    const queues = kind === 'worker' ? acrossTenants.map((name) => name.split(' ')[0]) : []
    for (const table of tables.filter((name) => !queues.includes(name))) {
      t.test(table, async (t) => {
        const [rowA, rowB] = [await rowOf(table, tenantA), await rowOf(table, tenantB)]
        await opened(client, null)
        t.equal(await count(client, table), 0, 'no tenant: no row')
        t.equal(await attempt(client, copyInto(table), [rowA]), refusedByPolicy, 'no tenant: no insert')
        t.equal(await attempt(client, `update ${table} set tenant_id = tenant_id`), 0)
        t.equal(await attempt(client, `delete from ${table}`), 0)
        await client.query('rollback')

        await opened(client, tenantA)
        t.equal(await count(client, table, 'tenant_id = $1', [tenantA]), 1, 'its own row')
        t.equal(await count(client, table, 'tenant_id <> $1', [tenantA]), 0, 'and no other')
        t.equal(await attempt(client, `update ${table} set tenant_id = tenant_id where tenant_id = $1`, [tenantB]), 0, 'no update')
        t.equal(await attempt(client, `delete from ${table} where tenant_id = $1`, [tenantB]), 0, 'no delete')
        t.equal(await attempt(client, copyInto(table), [rowB]), refusedByPolicy, 'no insert')
        t.equal(await attempt(client, `update ${table} set tenant_id = $1`, [tenantB]), refusedByPolicy, 'nothing is moved there')
        await client.query('rollback')
      })
    }
  })
}

t.test('across tenants the workers see the queues and nothing else', async (t) => {
  const client = await connected(roleUrl(ownerUrl, 'worker'))
  await opened(client, null)
  const seen = []
  for (const table of tables) {
    const readable = await count(client, table, 'tenant_id in ($1, $2)', [tenantA, tenantB])
    const writable = await attempt(client, `update ${table} set tenant_id = tenant_id`)
    if (readable > 0) seen.push(`${table} ${writable === 0 ? 'SELECT' : 'ALL'}`)
    t.ok(readable === 0 || readable === 2, `${table}: ${readable}`)
  }
  t.same(seen, acrossTenants)
  await client.query('rollback')
})

t.test('a slug shows the tenant it names and no other', async (t) => {
  const client = await connected(roleUrl(ownerUrl, 'service'))
  const { rows: [{ slug }] } = await owner.query('select slug from tenants where tenant_id = $1', [tenantB])
  await client.query('begin')
  t.match((await client.query('select * from tenant_by_slug($1)', [slug])).rows, [{ tenant_id: tenantB }])
  t.match((await client.query('select tenant_id from tenants')).rows, [{ tenant_id: tenantB }])
  t.equal(await count(client, 'users'), 0)
  await client.query('commit')
  t.equal(await count(client, 'tenants'), 0, 'gone with the transaction')
})

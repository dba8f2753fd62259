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
/** What has the owner's rights: it drops what is 400 days old and below a checkpoint, by the server's clock. */
const dropping = ['latchkey_internal.forget_audit(integer)', 'latchkey_internal.tend_audit_months()']

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

/** The months of the audit log stand apart, where no role of the service has any right. */
const months = await namesIn(`select c.oid::regclass::text as name from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = 'audit_events'::regclass and c.relkind = 'r'`)

/** Primary keys and both ends of foreign keys that do not start with the tenant, and other unique keys that it is not in: what finds a row leads those. */
const keysNotLedByTenant = () => namesIn(`
  select i.relname::text as name from pg_index x join pg_class c on c.oid = x.indrelid join pg_class i on i.oid = x.indexrelid
   where c.relnamespace = 'public'::regnamespace and x.indisunique
     and not exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and a.attnum = any (case when x.indisprimary then array[x.indkey[0]] else x.indkey::int2[] end))
   union
  select k.conname::text from pg_constraint k
   where k.connamespace = 'public'::regnamespace and k.contype = 'f'
     and ((select attname from pg_attribute a where a.attrelid = k.conrelid and a.attnum = k.conkey[1]) <> 'tenant_id'
          or (select attname from pg_attribute a where a.attrelid = k.confrelid and a.attnum = k.confkey[1]) <> 'tenant_id')`)

t.test('every table has row-level security enabled, forced and with a policy', async (t) => {
  t.ok(tables.length >= 15, `${tables.length} tables`)
  t.same(await tablesNotIsolated(), [])
})

t.test('the tenant leads every primary key and foreign key, and is in every unique one; only slugs are unique among all', async (t) => {
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
  t.same(await namesIn(`select p.oid::regprocedure::text as name from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname !~ '^(pg_|information_schema)' and p.prosecdef`),
    dropping.toSorted(), 'but what drops the oldest part of the audit log')
  t.same(await namesIn(`select n.nspname || '.' || c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
                         where c.relkind in ('r', 'p') and n.nspname !~ '^(public|pg_.*|information_schema)$'`),
  [...months, 'latchkey_internal.kysely_migration', 'latchkey_internal.kysely_migration_lock'])
})

t.test('the months of the audit log are isolated like the log, and closed to every role but through it', async (t) => {
  t.ok(months.length >= 4, months.join())
  for (const month of months) {
    t.match((await owner.query('select relrowsecurity, relforcerowsecurity, (select count(*)::int from pg_policy where polrelid = c.oid) as policies from pg_class c where c.oid = $1::regclass', [month])).rows,
      [{ relrowsecurity: true, relforcerowsecurity: true, policies: 1 }], month)
    t.same(await namesIn('select r || \' \' || p as name from unnest($2::text[]) as r, unnest($3::text[]) as p where has_table_privilege(r, $1::regclass, p)',
      [month, [service, worker, serviceGroup, workerGroup, 'public'], ['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']]), [], month)
  }
})

t.test('what acts with the owner\'s rights is for the workers alone, names its search path and takes no time from its caller', async (t) => {
  for (const name of dropping) {
    const { rows: [found] } = await owner.query(`
      select p.proconfig as settings, has_function_privilege($2, p.oid, 'execute') as service, has_function_privilege($3, p.oid, 'execute') as worker,
             has_function_privilege('public', p.oid, 'execute') as public from pg_proc p where p.oid = $1::regprocedure`, [name, service, worker])
    t.match(found, { settings: ['search_path=pg_catalog, public, pg_temp'], service: false, worker: true, public: false }, name)
    t.notMatch(name, 'timestamp')
  }
  const client = await connected(roleUrl(ownerUrl, 'worker'))
  for (const call of ['forget_audit_at(1, now())', 'drop_audit_months_at(now())', 'make_audit_months_at(now())']) await t.rejects(client.query(`select latchkey_internal.${call}`), denied, call)
  const other = await connected(roleUrl(ownerUrl, 'service'))
  for (const call of ['forget_audit(1)', 'tend_audit_months()']) await t.rejects(other.query(`select latchkey_internal.${call}`), denied, call)
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
    t.same((await mayOn(role, 'UPDATE DELETE')).filter((name) => /^audit_(events|seals|checkpoints)/.test(name)), [], role)
    t.same(await mayOn(role, 'TRUNCATE TRIGGER REFERENCES'), [], role)
  }
  for (const table of ['audit_seals', 'audit_checkpoints']) t.notOk((await mayOn(service, 'INSERT')).includes(`${table} INSERT`), table)

  for (const kind of ['service', 'worker'] as const) {
    const client = await connected(roleUrl(ownerUrl, kind))
    for (const statement of ['update audit_events set action = action', 'delete from audit_events', 'truncate audit_events',
      'update audit_seals set sequence = sequence', 'delete from audit_seals', 'truncate audit_seals',
      'update audit_checkpoints set sequence = sequence', 'delete from audit_checkpoints', 'truncate audit_checkpoints', `delete from ${months[0]}`, 'alter table audit_events disable row level security']) {
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

import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { sql } from 'kysely'
import { Client } from 'pg'
import t, { type Test } from 'tap'
import { isDatabaseUnavailable } from '../../../src/platform/db/errors.ts'
import { openDb } from '../../../src/platform/db/index.ts'
import { cloneDatabase } from '../../support/cluster.ts'
import { insertOneRowOfEach } from '../../support/rows.ts'
import { roleUrl } from '../../support/service.ts'

const tenantsCount = 40
const calls = 800
/** They take turns. */
const sharedConnections = 2

const { ownerUrl, drop } = await cloneDatabase()
const serviceUrl = roleUrl(ownerUrl, 'service')
const owner = new Client({ connectionString: ownerUrl })
await owner.connect()
t.teardown(async () => {
  await owner.end()
  await drop()
})

const tenants: string[] = []
for (let made = 0; made < tenantsCount; made++) tenants.push(await insertOneRowOfEach(owner))
const tenantOf = (call: number) => tenants[call % tenantsCount]!

// Names no tenant in its query: row-level security alone decides whose row it is. The name of each user is their tenant's id.
await owner.query(`
  create function whose (tenant uuid, divisor integer) returns table (tenant_id uuid, name text, quotient integer) language plpgsql volatile as $$
  begin
    perform set_config('latchkey.tenant', tenant::text, true);
    return query select u.tenant_id, u.display_name, 1 / divisor from users u;
  end $$`)
const whose = { name: 'whose', text: 'select * from whose($1, $2)' }
interface Owned { tenant_id: string, name: string }

const isOf = (tenant: string, rows: readonly Owned[]) => rows.length === 1 && rows[0]!.tenant_id === tenant && rows[0]!.name === tenant
/** Starts calls in different turns of the event loop, so that they interleave on the wire. */
const interleaved = <T>(call: (index: number) => Promise<T>, length = calls) => Promise.allSettled(Array.from({ length }, async (_, index) => {
  for (let turn = 0; turn < index % 7; turn++) await nextTurn()
  return call(index)
}))
const opened = (t: Test, name: string, connectionsMax = 4) => {
  const db = openDb({ url: serviceUrl, applicationName: name, connectionsMax, onError: () => undefined })
  t.teardown(db.close)
  return db
}

t.test('800 interleaved hot reads of 40 tenants never mix, failing ones among them', async (t) => {
  const db = opened(t, 'hot')
  const fails = (call: number) => call % 9 === 0
  const results = await interleaved((call) => db.readInTenant<Owned>(tenantOf(call), whose, [fails(call) ? 0 : 1]))
  const wrong = results.filter((result, call) => fails(call)
    ? result.status !== 'rejected' || (result.reason as { code?: string }).code !== '22012'
    : result.status !== 'fulfilled' || !isOf(tenantOf(call), result.value))
  t.same(wrong, [])
})

t.test('a transaction spread over awaits on one shared pipelined client mixes them: what this test would see', async (t) => {
  const shared = new Client({ connectionString: serviceUrl, pipeline: true })
  await shared.connect()
  t.teardown(() => shared.end())
  const results = await interleaved(async (call) => {
    await shared.query('begin')
    await shared.query('select set_config(\'latchkey.tenant\', $1, true)', [tenantOf(call)])
    const { rows } = await shared.query<Owned>('select tenant_id, display_name as name from users')
    await shared.query('commit')
    return rows
  })
  const wrong = results.filter((result, call) => result.status === 'rejected' || !isOf(tenantOf(call), result.value))
  t.ok(wrong.length > 0, `${wrong.length} of ${calls} reads were wrong`)
})

t.test('hot reads go on by themselves after their connections were killed, and still never mix', async (t) => {
  const db = opened(t, 'killed')
  for (let round = 1; round <= 3; round++) {
    let answered = 0
    const results = await interleaved(async (call) => {
      const rows = await db.readInTenant<Owned>(tenantOf(call), whose, [1])
      if (++answered === 50) await owner.query('select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = \'killed\'')
      return rows
    })
    const failed = results.filter((result) => result.status === 'rejected')
    t.same(results.filter((result, call) => result.status === 'fulfilled' && !isOf(tenantOf(call), result.value)), [], `round ${round}: nothing mixed`)
    t.ok(failed.every((result) => isDatabaseUnavailable(result.reason)), `${failed.length} were told to come again`)
    // They are dead by now, but not yet found dead. Each that has answered since is a new one.
    for (let answers = 0; answers < sharedConnections;) {
      answers = await db.readInTenant<Owned>(tenants[0]!, whose, [1]).then(() => answers + 1, (reason: unknown) => {
        if (!isDatabaseUnavailable(reason)) throw reason
        return 0
      })
    }
    const after = await interleaved((call) => db.readInTenant<Owned>(tenantOf(call), whose, [1]))
    t.ok(after.every((result, call) => result.status === 'fulfilled' && isOf(tenantOf(call), result.value)), 'all of the next 800 were answered')
  }
})

t.test('a server that takes connections and never answers is away, whichever door one comes to', async (t) => {
  const silent = createServer().listen(0, '127.0.0.1')
  await once(silent, 'listening')
  const sockets: Socket[] = []
  silent.on('connection', (socket) => { sockets.push(socket) })
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    silent.close()
  })
  const db = openDb({ url: `postgres://nobody@127.0.0.1:${(silent.address() as AddressInfo).port}/nothing`, applicationName: 'silent', onError: () => undefined })
  t.teardown(db.close)
  const doors = { inTenant: db.inTenant(tenants[0]!, async () => 1), readInTenant: db.readInTenant(tenants[0]!, whose, [1]), call: db.call(tenants[0]!, { statement: whose, values: [1] }), serverTime: db.serverTime() }
  const results = await Promise.allSettled<unknown>(Object.values(doors))
  for (const [index, door] of Object.keys(doors).entries()) {
    const result = results[index]!
    t.ok(result.status === 'rejected' && isDatabaseUnavailable(result.reason), `${door}: ${result.status === 'rejected' ? result.reason : 'it answered'}`)
  }
})

const calling = {
  name: 'calling', text: `select own.* from enter_tenant($1) as e (at) cross join lateral (
                            select tenant_id, display_name as name, 1 / $2::integer as fails from users where e.at is not null offset 0) as own`,
}

t.test('calls and transactions of many tenants never mix, failing ones among them', async (t) => {
  const db = opened(t, 'mixed')
  const fails = (call: number) => call % 5 === 0
  const results = await interleaved(async (call) => {
    const select = `select tenant_id, display_name as name, 1 / ${fails(call) ? 0 : 1} from users`
    if (call % 2 === 0) return db.call<Owned>(tenantOf(call), { statement: calling, values: [fails(call) ? 0 : 1] })
    return db.inTenant(tenantOf(call), async (tx) => (await sql.raw<Owned>(select).execute(tx.db)).rows)
  }, 120)
  t.same(results.filter((result, call) => fails(call) ? result.status !== 'rejected' : result.status !== 'fulfilled' || !isOf(tenantOf(call), result.value)), [])
})

t.test('a tenant set in one transaction is gone in the next on the same connection', async (t) => {
  const [tenantA, tenantB] = [tenants[0]!, tenants[1]!]
  const db = opened(t, 'pooled', 1)
  const look = (tenant: string) => db.inTenant(tenant, async (tx) => (await sql<{ pid: number, seen: string[], slug: string }>`
    select pg_backend_pid() as pid, array(select tenant_id::text from users) as seen, current_setting('latchkey.tenant_slug', true) as slug`.execute(tx.db)).rows[0]!)
  const first = await look(tenantA)
  const { rows: [{ slug }] } = await owner.query('select slug from tenants where tenant_id = $1', [tenantA])
  await db.tenantBySlug(slug)
  const next = await look(tenantB)
  t.same([first.seen, next.seen], [[tenantA], [tenantB]])
  t.equal(next.pid, first.pid, 'it is the same connection')
  t.notOk(next.slug, 'nor does the slug stay')

  const client = new Client({ connectionString: serviceUrl })
  await client.connect()
  t.teardown(() => client.end())
  const endings: Record<string, () => Promise<unknown>> = {
    'a commit': () => client.query('begin; select enter_tenant($$' + tenantA + '$$); commit'),
    'a rollback': () => client.query('begin; select enter_tenant($$' + tenantA + '$$); rollback'),
    'an error': () => client.query('begin; select enter_tenant($$' + tenantA + '$$); select 1/0').catch(() => client.query('rollback')),
    'a hot read': () => client.query({ name: 'admit', text: 'select * from admit_person($1, $2)', values: [tenantA, 'someone'] }),
    'a hot read that failed': () => client.query({ ...whose, values: [tenantA, 0] }).catch(() => undefined),
  }
  for (const [ending, run] of Object.entries(endings)) {
    await run()
    t.same((await client.query('select count(*)::int as users, nullif(current_setting(\'latchkey.tenant\', true), \'\') as tenant from users')).rows, [{ users: 0, tenant: null }], `after ${ending}`)
  }
})

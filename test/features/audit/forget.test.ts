import { sql } from 'kysely'
import t from 'tap'
import { chainStart, eventOf, record, sealedParts } from '../../../src/features/audit/audit.ts'
import { makeCheckpoint } from '../../../src/features/audit/checkpoints.ts'
import { forgetAudit } from '../../../src/features/audit/forget.ts'
import { openWorkerDb } from '../../../src/platform/db/worker.ts'
import { asOwner } from '../../support/cluster.ts'
import { moveClock, testService, type TestService } from '../../support/service.ts'
import { asSuperuser } from '../../support/superuser.ts'
import { copyOf, foreignId, row, seal, swapPairs, tamperWith, withoutPairs } from '../../support/tampering.ts'

const service = await testService(t)
const by = { kind: 'system' as const, subject: 'writer', requestId: null }
const dayMs = 86_400_000
const inDays = (days: number) => new Date(Date.now() + days * dayMs)
/** By then what is written today is 400 days old, with the whole of its month and a day; what is written in 100 days is not. */
const due = inDays(401 + 32)
const never = () => false

/** So many rows of today, numbered as the sealer does. */
async function write (service: TestService, tenantId: string, rows: number): Promise<void> {
  await service.owner.inTenant(tenantId, async ({ db }) => {
    const events = Array.from({ length: rows }, (_none, index) => eventOf(service.deps, tenantId, new Date(), by, { action: 'old', details: { row: index } }))
    await db.insertInto('audit_events').values(events).execute()
    await db.insertInto('audit_unsealed').values(events.map(({ id }) => ({ tenant_id: tenantId, event_id: id }))).execute()
  })
  await service.deps.sealAudit(tenantId)
}

/** So many rows as they will be written and numbered in 100 days. */
async function writeLater (service: TestService, tenantId: string, rows: number): Promise<void> {
  const { keys } = service.deps
  await service.owner.inTenant(tenantId, async ({ db }) => {
    const head = await db.selectFrom('audit_seals').select(['sequence', 'chain_mac']).where('tenant_id', '=', tenantId).orderBy('sequence', 'desc').limit(1).executeTakeFirst()
    let before = head?.chain_mac ?? chainStart
    for (let index = 1; index <= rows; index++) {
      const event = eventOf(service.deps, tenantId, new Date(inDays(100).valueOf() + index), by, { action: 'young', details: { row: index } })
      const made = { sequence: String(BigInt(head?.sequence ?? 0) + BigInt(index)), sealed_at: event.at }
      before = keys.mac('audit', tenantId, sealedParts(made, before, event))
      await db.insertInto('audit_events').values(event).execute()
      await db.insertInto('audit_seals').values({ ...made, tenant_id: tenantId, event_id: event.id, event_at: event.at, mac_key_version: keys.newest, chain_mac: before }).execute()
    }
  })
}

/** A log of which numbers 1 to `old` may be dropped, and `young` more. No sandbox: the server's clock alone counts. */
async function agedLog (service: TestService, old: number, young: number) {
  const tenant = await service.tenant({ sandbox: false })
  const tenantId = await service.tenantIdOf(tenant)
  await write(service, tenantId, old - 1) // number 1 is the creation of the tenant
  await writeLater(service, tenantId, young)
  const auditor = await service.as({ tenant, subject: 'siem', kind: 'app', scopes: ['audit:read'] })
  const check = async (query = '') => (await auditor.get(`/v1/audit-events/verification${query}`)).body
  const forget = (at: Date) => forgetAudit(service.owner, service.deps.keys, tenantId, never, at)
  const left = async () => (await asSuperuser<{ events: number, seals: number }>(service,
    `select (select count(*)::int from audit_events where tenant_id = '${tenantId}') as events, (select count(*)::int from audit_seals where tenant_id = '${tenantId}') as seals`))[0]
  return { tenant, tenantId, auditor, check, forget, left }
}
const intact = { intact: true, altered: [], missing: [], unsealed: [], waiting: 0 }

t.test('what is 400 days old is dropped with its seals, below a signed checkpoint, from which the chain goes on', async (t) => {
  const { tenantId, auditor, check, forget, left } = await agedLog(service, 2_500, 5)
  await forget(inDays(399))
  t.same(await left(), { events: 2_505, seals: 2_505 }, 'not a day too early')
  t.match(await check(), { from: 1, to: 2_505, ...intact, checkpoint: null })
  await forget(due)
  t.same(await left(), { events: 5, seals: 5 })
  const checkpoint = { sequence: 2_500, events: 2_500, faults: 0, madeAt: /Z$/ }
  t.match(await check(), { from: 2_501, to: 2_505, checked: 5, ...intact, checkpoint })
  t.match(await check(`?to=${inDays(1).toISOString()}`), { from: null, checked: 0, ...intact, checkpoint }, 'what was dropped cannot be checked, and it says so')
  t.match(await check(`?from=${new Date(inDays(100).valueOf() + 60_000).toISOString()}`), { from: null, ...intact, checkpoint: null })
  t.equal((await auditor.get('/v1/audit-events')).body.items.length, 5)
  t.equal((await auditor.get('/v1/audit-events/export')).text.split('\n').length, 5 + 1 + 1, 'with the row of the export')

  await service.deps.db.inTenant(tenantId, (tx) => record(service.deps, tx, by, { action: 'new' }))
  await service.deps.sealAudit(tenantId)
  t.match(await check(), { from: 2_501, to: 2_507, ...intact, checkpoint })
  await forget(due)
  t.same((await asSuperuser(service, `select sequence::int from audit_checkpoints where tenant_id = '${tenantId}'`)), [{ sequence: 2_500 }], 'there is nothing more to do')
})

t.test('after a checkpoint, too, rows that are altered, deleted, put in or moved are named', async (t) => {
  const { tenantId, check, forget } = await agedLog(service, 40, 12) // 41 to 52 are left
  await forget(due)
  const tamper = await tamperWith(service, { tenantId, otherId: await service.tenantIdOf(await service.tenant()) })
  const after = (statement: string) => tamper(statement, check)
  const found = { intact: false, altered: [], missing: [], unsealed: [], checkpoint: { sequence: 40 } }
  t.match(await after('select 1'), { from: 41, to: 52, ...intact, checkpoint: { sequence: 40 } })
  for (const number of [41, 47, 52]) {
    t.match(await after(`update audit_events set actor = 'x' where ${row(number)}`), { ...found, altered: [number] }, `altered ${number}`)
    t.match(await after(`update audit_seals set chain_mac = '\\x00' where ${seal(number)}`), { ...found, altered: [number] }, `seal ${number}`)
    t.match(await after(`delete from audit_events where ${row(number)}`), { ...found, missing: [number] }, `deleted ${number}`)
  }
  for (const numbers of ['41', '41, 42', '47', '47, 49']) t.match(await after(withoutPairs(numbers)), { ...found, missing: numbers.split(', ').map(Number) }, `without ${numbers}`)
  t.match(await after(copyOf(47)), { ...found, unsealed: [foreignId] }, 'put in')
  t.match(await after(swapPairs(41, 44)), { ...found, altered: [41, 42, 44, 45] }, 'moved, and so what followed them')
})

t.test('a checkpoint that was altered, put in or taken away is seen', async (t) => {
  const { tenantId, check, forget } = await agedLog(service, 40, 12)
  await forget(due)
  const tamper = await tamperWith(service, { tenantId, otherId: tenantId })
  const after = (statement: string) => tamper(statement, check)
  const whole = Array.from({ length: 40 }, (_none, index) => index + 1)
  for (const [column, value] of Object.entries({
    head: '\'\\x00\'', events: 'events + 1', faults: 'faults + 1', made_at: 'made_at + interval \'1 ms\'', mac_key_version: '9', mac: 'set_byte(mac, 0, get_byte(mac, 0) # 1)',
  })) t.match(await after(`update audit_checkpoints set ${column} = ${value}`), { intact: false, altered: [40], missing: whole, checkpoint: null }, column)
  t.match(await after('update audit_checkpoints set sequence = 45'), { intact: false, altered: [45], missing: whole, checkpoint: null }, 'sequence')
  t.match(await after('delete from audit_checkpoints'), { intact: false, altered: [], missing: whole, checkpoint: null }, 'taken away')
  t.match(await after(`insert into audit_checkpoints select tenant_id, 45, s.chain_mac, 5, 0, now(), 1, '\\x00' from audit_seals s where ${seal(45)}`),
    { from: 41, to: 52, intact: false, altered: [45], missing: [], checkpoint: { sequence: 40 } }, 'put in')
})

t.test('what was altered or missing before it was dropped is counted in the checkpoint', async (t) => {
  const { tenantId, check, forget, left } = await agedLog(service, 40, 12)
  const spoil = (statement: string) => asSuperuser(service, statement.replaceAll(':tenant', `'${tenantId}'`))
  await spoil(`update audit_events set actor = 'x' where ${row(7)}`)
  await spoil(withoutPairs('20, 21'))
  await spoil(`update audit_events set at = at - interval '1 hour' where ${row(30)}`)
  await forget(due)
  t.match(await check(), { from: 41, to: 52, ...intact, checkpoint: { sequence: 40, events: 38, faults: 4 } })
  t.same(await left(), { events: 12, seals: 12 }, 'what no seal leads to goes with its month')
})

t.test('where everything was dropped the next row is numbered on', async (t) => {
  const { tenantId, check, forget, left } = await agedLog(service, 30, 0)
  await forget(due)
  t.same(await left(), { events: 0, seals: 0 })
  t.match(await check(), { from: null, to: null, checked: 0, ...intact, checkpoint: { sequence: 30 } })
  await service.deps.db.inTenant(tenantId, (tx) => record(service.deps, tx, by, { action: 'new' }))
  t.match(await check(), { from: 31, to: 31, checked: 1, ...intact, checkpoint: { sequence: 30 } })
})

t.test('two replicas at once, and one that was interrupted, drop the same and miss nothing', async (t) => {
  const { tenantId, check, forget, left } = await agedLog(service, 3_000, 3)
  const { keys } = service.deps
  t.ok(await service.owner.inTenant(tenantId, (tx) => makeCheckpoint(keys, tx, due)))
  await service.owner.inTenant(tenantId, ({ db }) => sql`select latchkey_internal.forget_audit_at(700, ${due})`.execute(db))
  t.same(await left(), { events: 2_303, seals: 2_303 })
  t.match(await check(), { from: 3_001, ...intact, checkpoint: { faults: 0 } }, 'half of it is gone')
  await Promise.all([forget(due), forget(due), forget(due)])
  await forget(due)
  t.same(await left(), { events: 3, seals: 3 })
  t.match(await check(), { from: 3_001, to: 3_003, ...intact, checkpoint: { sequence: 3_000, events: 3_000, faults: 0 } })
})

t.test('with the workers\' own login nothing young is dropped, whatever checkpoint somebody puts in', async (t) => {
  const { tenantId, check, left } = await agedLog(service, 40, 12)
  const workers = openWorkerDb({ url: service.database.workerUrl, onError: () => undefined })
  t.teardown(workers.close)
  const dropped = await workers.inTenant(tenantId, async ({ db }) => {
    await sql`insert into audit_checkpoints values (${tenantId}, 52, 'x', 52, 0, now(), 1, 'x')`.execute(db)
    return (await sql<{ gone: number }>`select latchkey_internal.forget_audit(1000) as gone`.execute(db)).rows[0]!.gone
  })
  t.equal(dropped, 0)
  t.same(await left(), { events: 52, seals: 52 })
  t.match(await check(), { intact: false, altered: [52], missing: [] }, 'and it is seen')
})

t.test('a tenant\'s checkpoint and its dropping are its own', async (t) => {
  const here = await agedLog(service, 20, 2)
  const there = await agedLog(service, 20, 2)
  await here.forget(due)
  t.same(await there.left(), { events: 22, seals: 22 })
  t.match(await there.check(), { from: 1, to: 22, ...intact, checkpoint: null })
})

t.test('in a sandbox its own clock counts', async (t) => {
  const tenant = await service.tenant()
  const auditor = await service.as({ tenant, subject: 'audrey', roles: ['auditor'] })
  const check = async () => (await auditor.get('/v1/audit-events/verification')).body
  await moveClock(auditor, 399 * 86_400)
  t.match(await check(), { from: 1, intact: true, checkpoint: null })
  await moveClock(auditor, 401 * 86_400)
  const { checkpoint, ...report } = await check()
  t.ok(checkpoint.sequence >= 2)
  t.match(report, { from: checkpoint.sequence + 1, intact: true })
  t.ok((await auditor.get('/v1/audit-events')).body.items.every(({ at }: { at: string }) => new Date(at) > inDays(1)))
})

const monthsOf = async (service: TestService) => (await asSuperuser<{ name: string }>(service,
  `select c.relname::text as name from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = 'audit_events'::regclass order by 1`)).map(({ name }) => name)
const nameOf = (date: Date) => `audit_events_${date.toISOString().slice(0, 7).replace('-', '_')}`

t.test('rows lie in the month they were written in; those of a time to come move there when its month is made', async (t) => {
  const service = await testService(t)
  const { tenantId, check } = await agedLog(service, 10, 4)
  const placesOf = async () => asSuperuser(service, `select tableoid::regclass::text as place, count(*)::int from audit_events where tenant_id = '${tenantId}' group by 1 order by 1`)
  t.same(await placesOf(), [{ place: `latchkey_internal.${nameOf(new Date())}`, count: 10 }, { place: 'latchkey_internal.audit_events_default', count: 4 }])
  await asSuperuser(service, `select latchkey_internal.make_audit_months_at('${inDays(100).toISOString()}')`)
  t.same(await placesOf(), [{ place: `latchkey_internal.${nameOf(new Date())}`, count: 10 }, { place: `latchkey_internal.${nameOf(inDays(100))}`, count: 4 }])
  t.match(await check(), { checked: 14, ...intact })
  t.match(await asSuperuser(service, 'select relforcerowsecurity as forced from pg_class where relname like \'audit_events_2%\' and relkind = \'r\' and not relforcerowsecurity'), [])
})

t.test('a seal of a replica of the version before, which says no time, gets that of its row', async (t) => {
  const tenantId = await service.tenantIdOf(await service.tenant())
  await service.deps.db.inTenant(tenantId, (tx) => record(service.deps, tx, by, { action: 'x' }))
  const workers = openWorkerDb({ url: service.database.workerUrl, onError: () => undefined })
  t.teardown(workers.close)
  const { rows } = await workers.inTenant(tenantId, ({ db }) => sql`
    insert into audit_seals (tenant_id, sequence, event_id, mac_key_version, chain_mac) select tenant_id, 1000, id, 1, 'x' from audit_events where tenant_id = ${tenantId} and action = 'x'
    returning event_at = (select at from audit_events e where e.id = event_id) as right`.execute(db))
  t.same(rows, [{ right: true }])
})

t.test('a month goes when nothing of it is left, and holds up nobody who writes', async (t) => {
  const service = await testService(t)
  const { tenantId, forget } = await agedLog(service, 10, 4)
  const drop = async () => (await asSuperuser<{ dropped: number }>(service, `select latchkey_internal.drop_audit_months_at('${due.toISOString()}') as dropped`))[0]!.dropped
  const month = nameOf(new Date())
  t.equal(await drop(), 0, 'it is not empty')
  t.ok((await monthsOf(service)).includes(month))
  await forget(due)
  await asOwner(service.database.ownerUrl, async (reader) => {
    await reader.query('begin')
    await reader.query('select count(*) from audit_events')
    const startedAt = performance.now()
    t.equal(await drop(), 0, 'somebody reads the log')
    t.ok(performance.now() - startedAt < 1_000)
    await service.deps.db.inTenant(tenantId, (tx) => record(service.deps, tx, by, { action: 'meanwhile' }))
    await reader.query('commit')
  })
  await asSuperuser(service, 'delete from audit_events where action = \'meanwhile\'; delete from audit_unsealed')
  t.ok(await drop() >= 1)
  t.notOk((await monthsOf(service)).includes(month))
})

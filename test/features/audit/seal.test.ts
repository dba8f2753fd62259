import { sql } from 'kysely'
import { Client as Database } from 'pg'
import t, { type Test } from 'tap'
import { record } from '../../../src/features/audit/audit.ts'
import { sealAll, sealTenant } from '../../../src/features/audit/sealer.ts'
import { openDb, type TenantTx } from '../../../src/platform/db/index.ts'
import { openWorkerDb } from '../../../src/platform/db/worker.ts'
import { eventually } from '../../support/process.ts'
import { atOnce, replicaOf } from '../../support/replicas.ts'
import { testService, type TestService } from '../../support/service.ts'
import { asSuperuser } from '../../support/superuser.ts'
const service = await testService(t)

interface Seal { sequence: number, event_id: string, action: string }
const sealsOf = (service: TestService, tenantId: string) => asSuperuser<Seal>(service,
  `select s.sequence::int, s.event_id, e.action from audit_seals s left join audit_events e on e.tenant_id = s.tenant_id and e.id = s.event_id where s.tenant_id = '${tenantId}' order by s.sequence`)

const writer = { kind: 'system' as const, subject: 'writer', requestId: null }
const writing = (service: TestService, action: string) => (tx: TenantTx) => record(service.deps, tx, writer, { action })
const workersOf = (t: Test, service: TestService) => {
  const workers = openWorkerDb({ url: service.database.workerUrl, onError: () => undefined })
  t.teardown(workers.close)
  return workers
}

t.test('the running workers number a row within a second of its commit', async (t) => {
  const tenantId = await service.tenantIdOf(await service.tenant())
  for (let row = 1; row <= 5; row++) {
    await service.deps.db.inTenant(tenantId, writing(service, `row ${row}`))
    await eventually(async () => (await sealsOf(service, tenantId)).some(({ action }) => action === `row ${row}`))
  }
  const [slowest] = await asSuperuser<{ ms: number }>(service, `
    select max(extract(epoch from s.sealed_at - e.at) * 1000)::int as ms from audit_seals s join audit_events e on e.tenant_id = s.tenant_id and e.id = s.event_id where e.action like 'row %'`)
  t.ok(slowest!.ms < 1_000, `${slowest!.ms} ms`)
})

t.test('200 writers at once and the sealers of two replicas: numbers without gap or twin, and a reader never misses one', async (t) => {
  const writers = 200
  const replica = await replicaOf(t, service)
  const tenant = await service.tenant()
  const tenantId = await service.tenantIdOf(tenant)
  const db = openDb({ url: service.database.serviceUrl, applicationName: 'writers', connectionsMax: 40, acquireTimeoutMs: 60_000, onError: () => undefined })
  t.teardown(db.close)

  const work = { ended: false }
  const keepSealing = async ({ deps }: Pick<TestService, 'deps'>) => { while (!work.ended) await deps.sealAudit(tenantId) }
  /** Reads on from the last number it saw, like a caller with a cursor. */
  const seen: string[] = []
  const keepReading = async () => {
    for (let last = false; !last;) {
      last = work.ended
      const rows = await service.deps.db.inTenant(tenantId, ({ db }) =>
        db.selectFrom('audit_seals').select(['sequence', 'event_id']).where('tenant_id', '=', tenantId).where('sequence', '>', String(seen.length)).orderBy('sequence').execute())
      for (const { sequence, event_id } of rows) {
        if (Number(sequence) !== seen.length + 1) throw new Error(`after ${seen.length} came ${sequence}`)
        seen.push(event_id)
      }
    }
  }
  const background = [keepSealing(service), keepSealing(replica), keepReading()]
  await atOnce(writers, async (index) => {
    const rollsBack = index % 10 === 0
    await db.inTenant(tenantId, async (tx) => {
      await record(service.deps, tx, writer, { action: rollsBack ? 'never' : 'first' })
      await sql`select pg_sleep(${(index * 7) % 50 / 1000})`.execute(tx.db) // commits come in another order than rows
      await record(service.deps, tx, writer, { action: rollsBack ? 'never' : 'second' })
      if (rollsBack) throw new Error('rolled back')
    }).catch((error: Error) => { if (error.message !== 'rolled back') throw error })
  })
  await service.deps.sealAudit(tenantId)
  work.ended = true
  await Promise.all(background)

  const seals = await sealsOf(service, tenantId)
  t.same(seals.map(({ sequence }) => sequence), Array.from({ length: 1 + writers * 2 * 0.9 }, (_, index) => index + 1))
  t.equal(new Set(seals.map(({ event_id }) => event_id)).size, seals.length, 'each row once')
  t.notOk(seals.some(({ action }) => action === 'never'))
  t.same(seen, seals.map(({ event_id }) => event_id), 'the reader saw every row in order, while they were written')
  const auditor = await service.as({ tenant, subject: 'audrey', roles: ['auditor'] })
  t.match((await auditor.get('/v1/audit-events/verification')).body, { intact: true, altered: [], missing: [], unsealed: [] })
})

t.test('a row whose transaction is still open is passed over, and gets a later number', async (t) => {
  const tenantId = await service.tenantIdOf(await service.tenant())
  let commit = () => { /* set below */ }
  const mayCommit = new Promise<void>((resolve) => { commit = resolve })
  let written = () => { /* set below */ }
  const isWritten = new Promise<void>((resolve) => { written = resolve })
  const early = service.deps.db.inTenant(tenantId, async (tx) => {
    await record(service.deps, tx, writer, { action: 'early' })
    written()
    await mayCommit
  })
  await isWritten
  await service.deps.db.inTenant(tenantId, writing(service, 'late'))
  await service.deps.sealAudit(tenantId)
  t.same((await sealsOf(service, tenantId)).map(({ action }) => action), ['tenant.created', 'late'], 'nobody waits for it')
  commit()
  await early
  await service.deps.sealAudit(tenantId)
  t.same((await sealsOf(service, tenantId)).map(({ action }) => action), ['tenant.created', 'late', 'early'])
})

t.test('more rows than one batch takes are numbered in one go', async (t) => {
  const tenantId = await service.tenantIdOf(await service.tenant())
  await service.deps.db.inTenant(tenantId, async (tx) => { for (let row = 1; row <= 1_100; row++) await record(service.deps, tx, writer, { action: 'many' }) })
  await sealTenant(workersOf(t, service), service.deps.keys, tenantId)
  t.equal((await sealsOf(service, tenantId)).length, 1_101)
})

t.test('a tenant that cannot be sealed keeps no other tenant waiting', async (t) => {
  const service = await testService(t)
  const workers = workersOf(t, service)
  const tenantIds: string[] = []
  for (let tenant = 1; tenant <= 6; tenant++) tenantIds.push(await service.tenantIdOf(await service.tenant()))
  await sealAll(workers, service.deps.keys)
  const blocked = tenantIds[2]!
  await asSuperuser(service, `create function refuse () returns trigger language plpgsql as $$ begin raise exception 'no'; end $$;
    create trigger refuse before insert on audit_seals for each row when (new.tenant_id = '${blocked}') execute function refuse()`)
  for (const tenantId of tenantIds) await service.deps.db.inTenant(tenantId, writing(service, 'next'))
  await t.rejects(sealAll(workers, service.deps.keys), { message: 'no' }, 'the fault is told')
  t.same(await Promise.all(tenantIds.map(async (tenantId) => (await sealsOf(service, tenantId)).length)), [2, 2, 1, 2, 2, 2])
  await asSuperuser(service, 'drop trigger refuse on audit_seals')
  await sealAll(workers, service.deps.keys)
  t.equal((await sealsOf(service, blocked)).length, 2, 'nothing of it is lost')
})

t.test('a row that is queued again, or was never written, gets no number and stops nobody', async (t) => {
  const service = await testService(t)
  const tenantId = await service.tenantIdOf(await service.tenant())
  await service.deps.sealAudit(tenantId)
  await asSuperuser(service, `insert into audit_unsealed select tenant_id, event_id from audit_seals; insert into audit_unsealed values ('${tenantId}', gen_random_uuid())`)
  await service.deps.db.inTenant(tenantId, writing(service, 'next'))
  await service.deps.sealAudit(tenantId)
  t.same((await sealsOf(service, tenantId)).map(({ action }) => action), ['tenant.created', 'next'])
  t.same(await asSuperuser(service, 'select 1 from audit_unsealed'), [])
})

t.test('a sealer that dies in the middle leaves its rows to the next', async (t) => {
  const tenantId = await service.tenantIdOf(await service.tenant())
  await service.deps.sealAudit(tenantId)
  const dying = new Database({ connectionString: service.database.workerUrl })
  dying.on('error', () => undefined)
  await dying.connect()
  await dying.query('begin; select pg_advisory_xact_lock(hashtextextended($$seal ' + tenantId + '$$, 0)); select enter_tenant($$' + tenantId + '$$)')
  await service.deps.db.inTenant(tenantId, writing(service, 'next'))
  await dying.query('delete from audit_unsealed')
  const next = service.deps.sealAudit(tenantId) // it waits for the lock
  await asSuperuser(service, `select pg_terminate_backend(${(dying as unknown as { processID: number }).processID})`)
  await next
  t.same((await sealsOf(service, tenantId)).map(({ sequence, action }) => [sequence, action]), [[1, 'tenant.created'], [2, 'next']])
})

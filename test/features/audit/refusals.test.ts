import { Client as Database } from 'pg'
import t, { type Test } from 'tap'
import { recordRefusal } from '../../../src/features/audit/audit.ts'
import { writeCountedRefusals } from '../../../src/features/audit/sealer.ts'
import { openDb } from '../../../src/platform/db/index.ts'
import { openWorkerDb } from '../../../src/platform/db/worker.ts'
import { eventually } from '../../support/process.ts'
import { nowhere } from '../../support/replicas.ts'
import { testService } from '../../support/service.ts'
import { asSuperuser } from '../../support/superuser.ts'

interface Row { action: string, actor: string, user_id: string | null, request_id: string, details: { rule?: string, count?: number } }

// The service's own workers reach nothing, so that only the test sweeps.
const service = await testService(t, { workerUrl: nowhere })
const workers = openWorkerDb({ url: service.database.workerUrl, onError: () => undefined })
t.teardown(workers.close)
const sweep = () => writeCountedRefusals(workers, service.deps)

const refusalsOf = async (tenantId: string): Promise<Row[]> =>
  (await asSuperuser<Row & { details: string }>(service, `select action, actor, user_id, request_id, details from audit_events where tenant_id = '${tenantId}' and outcome = 'refused' order by id`))
    .map((row) => ({ ...row, details: JSON.parse(row.details) as Row['details'] }))

/** The refusals that are being counted. */
const countedOf = (tenantId: string) => asSuperuser<{ uncounted: number }>(service, `select uncounted::int from audit_refusals where tenant_id = '${tenantId}'`)

/** A minute goes by for every one of them. */
const aMinuteLater = (tenantId: string) => asSuperuser(service, `update audit_refusals set last_written_at = last_written_at - interval '61 s' where tenant_id = '${tenantId}'`)

async function refusedReader (t: Test) {
  const tenant = await service.tenant()
  const tenantId = await service.tenantIdOf(tenant)
  const reader = await service.as({ tenant, subject: 'rita', roles: ['reader'] })
  await reader.get('/v1/users/me')
  const refuse = async () => t.match(await reader.patch('/v1/policy', { alternateEmails: 2 }), { status: 403, body: { code: 'forbidden', rule: 'role' } })
  return { tenant, tenantId, reader, refuse }
}

t.test('the same refusal is written once a minute; the next row says how many there were', async (t) => {
  const { tenantId, refuse } = await refusedReader(t)
  for (let time = 1; time <= 6; time++) await refuse()
  t.match(await refusalsOf(tenantId), [{ action: 'policy.write', actor: 'rita', user_id: null, details: { rule: 'role', count: undefined } }])
  await aMinuteLater(tenantId)
  await refuse()
  await refuse()
  const rows = await refusalsOf(tenantId)
  t.equal(rows.length, 2)
  t.match(rows[1], { action: 'policy.write', details: { rule: 'role', count: 6 } }, 'the five that were held back, and itself')
})

t.test('the sweep writes the count of what has been quiet for a minute, once', async (t) => {
  const { tenantId, refuse } = await refusedReader(t)
  for (let time = 1; time <= 4; time++) await refuse()
  await sweep()
  t.equal((await refusalsOf(tenantId)).length, 1, 'not before the minute is over')
  await aMinuteLater(tenantId)
  await sweep()
  await sweep()
  t.match((await refusalsOf(tenantId)).slice(1), [{ action: 'policy.write', actor: 'rita', request_id: '-', details: { rule: 'role', count: 3 } }])
  t.same(await countedOf(tenantId), [], 'nothing is counted any more')
  await refuse()
  t.match((await refusalsOf(tenantId)).slice(2), [{ details: { count: undefined } }], 'and the next one is a first one')
})

t.test('a refusal that was alone leaves no count', async (t) => {
  const { tenantId, refuse } = await refusedReader(t)
  await refuse()
  await aMinuteLater(tenantId)
  await sweep()
  t.equal((await refusalsOf(tenantId)).length, 1)
  t.same(await countedOf(tenantId), [])
})

t.test('refusals of another caller, action, user or rule are written apart', async (t) => {
  const { tenant, tenantId, reader, refuse } = await refusedReader(t)
  await refuse()
  const other = await service.as({ tenant, subject: 'rolf', roles: ['reader'] })
  const app = await service.as({ tenant, subject: 'rita', kind: 'app' })
  t.equal((await other.patch('/v1/policy', { alternateEmails: 2 })).status, 403)
  t.equal((await app.patch('/v1/policy', { alternateEmails: 2 })).status, 403)
  t.equal((await reader.patch('/v1/organization', { name: 'x' })).status, 403)
  t.equal((await reader.put('/v1/users/ann', {})).status, 403)
  t.equal((await reader.put('/v1/users/bob', {})).status, 403)
  t.same((await refusalsOf(tenantId)).map(({ actor, action, user_id, details }) => [actor, action, user_id, details.rule, details.count]), [
    ['rita', 'policy.write', null, 'role', undefined], ['rolf', 'policy.write', null, 'role', undefined], ['rita', 'policy.write', null, 'scope', undefined],
    ['rita', 'organization.write', null, 'role', undefined], ['rita', 'users.write', 'ann', 'role', undefined], ['rita', 'users.write', 'bob', 'role', undefined],
  ])
})

t.test('of 30 at once one is written and the others are counted, and none is lost while the sweep runs', async (t) => {
  const { tenantId } = await refusedReader(t)
  const actor = { kind: 'person' as const, subject: 'rita', requestId: 'x' }
  const db = openDb({ url: service.database.serviceUrl, applicationName: 'refusing', acquireTimeoutMs: 20_000, onError: () => undefined })
  t.teardown(db.close)
  const refuse = () => recordRefusal({ ...service.deps, db }, actor, tenantId, { action: 'policy.write' })
  const counted = async () => (await refusalsOf(tenantId)).reduce((sum, { details }) => sum + (details.count ?? 1), 0)
  const held = async () => (await countedOf(tenantId)).reduce((sum, { uncounted }) => sum + uncounted, 0)
  const atOnce = () => Promise.all(Array.from({ length: 30 }, refuse))

  await atOnce()
  t.equal((await refusalsOf(tenantId)).length, 1)
  t.equal(await held(), 29)
  for (let round = 2; round <= 6; round++) {
    await aMinuteLater(tenantId)
    await Promise.all([sweep(), atOnce(), sweep()])
    t.equal(await counted() + await held(), round * 30, `round ${round}`)
  }
})

t.test('a count that the sweep ends in between starts anew: two refusals are not written twice', async (t) => {
  const { tenantId, refuse } = await refusedReader(t)
  await refuse()
  const sweeper = new Database({ connectionString: service.database.ownerUrl })
  await sweeper.connect()
  t.teardown(() => sweeper.end())
  await sweeper.query(`begin; select 1 from audit_refusals where tenant_id = '${tenantId}' for update`)
  const second = refuse() // it finds the count, and waits for it
  await eventually(async () => (await asSuperuser(service, 'select 1 from pg_stat_activity where datname = current_database() and wait_event_type = \'Lock\'')).length > 0)
  await sweeper.query(`delete from audit_refusals where tenant_id = '${tenantId}'; commit`)
  await second
  await refuse()
  t.equal((await refusalsOf(tenantId)).length, 2, 'the first of each count')
})

import { Client as Database } from 'pg'
import t, { type Test } from 'tap'
import { recordRefusal } from '../../../src/features/audit/audit.ts'
import { writeCountedRefusals } from '../../../src/features/audit/sealer.ts'
import { openDb } from '../../../src/platform/db/index.ts'
import { openWorkerDb } from '../../../src/platform/db/worker.ts'
import { eventually } from '../../support/process.ts'
import { testService, type TestService } from '../../support/service.ts'
import { asSuperuser } from '../../support/superuser.ts'

interface Row { action: string, actor: string, user_id: string | null, request_id: string, details: { rule?: string, count?: number } }

const refusalsOf = async (service: TestService): Promise<Row[]> =>
  (await asSuperuser<Row & { details: string }>(service, 'select action, actor, user_id, request_id, details from audit_events where outcome = \'refused\' order by id'))
    .map((row) => ({ ...row, details: JSON.parse(row.details) as Row['details'] }))

/** A minute goes by for every refusal that is being counted. */
const aMinuteLater = (service: TestService) => asSuperuser(service, 'update audit_refusals set last_written_at = last_written_at - interval \'61 s\'')

async function refusedReader (t: Test) {
  const service = await testService(t)
  const tenant = await service.tenant()
  const reader = await service.as({ tenant, subject: 'rita', roles: ['reader'] })
  await reader.get('/v1/users/me')
  const refuse = async () => t.match(await reader.patch('/v1/policy', { alternateEmails: 2 }), { status: 403, body: { code: 'forbidden', rule: 'role' } })
  const workers = openWorkerDb({ url: service.database.workerUrl, onError: () => undefined })
  t.teardown(workers.close)
  return { service, tenant, reader, refuse, workers, sweep: () => writeCountedRefusals(workers, service.deps) }
}

t.test('the same refusal is written once a minute; the next row says how many there were', async (t) => {
  const { service, refuse } = await refusedReader(t)
  for (let time = 1; time <= 6; time++) await refuse()
  t.match(await refusalsOf(service), [{ action: 'policy.write', actor: 'rita', user_id: null, details: { rule: 'role', count: undefined } }])
  await aMinuteLater(service)
  await refuse()
  await refuse()
  const rows = await refusalsOf(service)
  t.equal(rows.length, 2)
  t.match(rows[1], { action: 'policy.write', details: { rule: 'role', count: 6 } }, 'the five that were held back, and itself')
})

t.test('the sweep writes the count of what has been quiet for a minute, once', async (t) => {
  const { service, refuse, sweep } = await refusedReader(t)
  for (let time = 1; time <= 4; time++) await refuse()
  await sweep()
  t.equal((await refusalsOf(service)).length, 1, 'not before the minute is over')
  await aMinuteLater(service)
  await sweep()
  await sweep()
  t.match((await refusalsOf(service)).slice(1), [{ action: 'policy.write', actor: 'rita', request_id: '-', details: { rule: 'role', count: 3 } }])
  t.same(await asSuperuser(service, 'select 1 from audit_refusals'), [], 'nothing is counted any more')
  await refuse()
  t.match((await refusalsOf(service)).slice(2), [{ details: { count: undefined } }], 'and the next one is a first one')
})

t.test('a refusal that was alone leaves no count', async (t) => {
  const { service, refuse, sweep } = await refusedReader(t)
  await refuse()
  await aMinuteLater(service)
  await sweep()
  t.equal((await refusalsOf(service)).length, 1)
  t.same(await asSuperuser(service, 'select 1 from audit_refusals'), [])
})

t.test('refusals of another caller, action, user or rule are written apart', async (t) => {
  const { service, tenant, reader, refuse } = await refusedReader(t)
  await refuse()
  const other = await service.as({ tenant, subject: 'rolf', roles: ['reader'] })
  const app = await service.as({ tenant, subject: 'rita', kind: 'app' })
  t.equal((await other.patch('/v1/policy', { alternateEmails: 2 })).status, 403)
  t.equal((await app.patch('/v1/policy', { alternateEmails: 2 })).status, 403)
  t.equal((await reader.patch('/v1/organization', { name: 'x' })).status, 403)
  t.equal((await reader.put('/v1/users/ann', {})).status, 403)
  t.equal((await reader.put('/v1/users/bob', {})).status, 403)
  t.same((await refusalsOf(service)).map(({ actor, action, user_id, details }) => [actor, action, user_id, details.rule, details.count]), [
    ['rita', 'policy.write', null, 'role', undefined], ['rolf', 'policy.write', null, 'role', undefined], ['rita', 'policy.write', null, 'scope', undefined],
    ['rita', 'organization.write', null, 'role', undefined], ['rita', 'users.write', 'ann', 'role', undefined], ['rita', 'users.write', 'bob', 'role', undefined],
  ])
})

t.test('of 30 at once one is written and the others are counted, and none is lost while the sweep runs', async (t) => {
  const { service, tenant, workers } = await refusedReader(t)
  const tenantId = await service.tenantIdOf(tenant)
  const actor = { kind: 'person' as const, subject: 'rita', requestId: 'x' }
  const db = openDb({ url: service.database.serviceUrl, applicationName: 'refusing', acquireTimeoutMs: 20_000, onError: () => undefined })
  t.teardown(db.close)
  const refuse = () => recordRefusal({ ...service.deps, db }, actor, tenantId, { action: 'policy.write' })
  const counted = async () => (await refusalsOf(service)).reduce((sum, { details }) => sum + (details.count ?? 1), 0)
  const held = async () => (await asSuperuser<{ held: number }>(service, 'select coalesce(sum(uncounted), 0)::int as held from audit_refusals'))[0]!.held
  const atOnce = () => Promise.all(Array.from({ length: 30 }, refuse))

  await atOnce()
  t.equal((await refusalsOf(service)).length, 1)
  t.equal(await held(), 29)
  for (let round = 2; round <= 6; round++) {
    await aMinuteLater(service)
    await Promise.all([writeCountedRefusals(workers, service.deps), atOnce(), writeCountedRefusals(workers, service.deps)])
    t.equal(await counted() + await held(), round * 30, `round ${round}`)
  }
})

t.test('a count that the sweep ends in between starts anew: two refusals are not written twice', async (t) => {
  const { service, refuse } = await refusedReader(t)
  await refuse()
  const sweeper = new Database({ connectionString: service.database.ownerUrl })
  await sweeper.connect()
  t.teardown(() => sweeper.end())
  await sweeper.query('begin; select 1 from audit_refusals for update')
  const second = refuse() // it finds the count, and waits for it
  await eventually(async () => (await asSuperuser(service, 'select 1 from pg_stat_activity where datname = current_database() and wait_event_type = \'Lock\'')).length > 0)
  await sweeper.query('delete from audit_refusals; commit')
  await second
  await refuse()
  t.equal((await refusalsOf(service)).length, 2, 'the first of each count')
})

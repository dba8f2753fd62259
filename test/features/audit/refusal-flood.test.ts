import t from 'tap'
import { writeCountedRefusals } from '../../../src/features/audit/sealer.ts'
import { openWorkerDb } from '../../../src/platform/db/worker.ts'
import { tally, atOnce } from '../../support/replicas.ts'
import { testService } from '../../support/service.ts'
import { asSuperuser } from '../../support/superuser.ts'

const callers = 100
const rounds = 8

t.test('whoever repeats a refusal at speed leaves connections to the others, and every one is counted', async (t) => {
  const service = await testService(t)
  const ann = await service.as({ tenant: await service.tenant(), subject: 'ann' })
  const bob = await service.as({ tenant: await service.tenant(), subject: 'bob' })
  for (const person of [ann, bob]) await person.get('/v1/users/me')

  const flood = atOnce(callers, async () => { for (let round = 0; round < rounds; round++) await ann.get('/v1/users/bob') })
  t.strictSame(tally(await atOnce(5, () => bob.get('/v1/users/me'))), { 200: 5 })
  await flood
  t.strictSame(service.logged().filter((line) => line.includes('could not be recorded')), [])

  await asSuperuser(service, 'update audit_refusals set last_written_at = last_written_at - interval \'61 s\'')
  const workers = openWorkerDb({ url: service.database.workerUrl, onError: () => undefined })
  t.teardown(workers.close)
  await writeCountedRefusals(workers, service.deps)
  const rows = await asSuperuser<{ details: string }>(service, 'select details from audit_events where outcome = \'refused\' order by id')
  t.equal(rows.reduce((sum, row) => sum + ((JSON.parse(row.details) as { count?: number }).count ?? 1), 0), callers * rounds)
})

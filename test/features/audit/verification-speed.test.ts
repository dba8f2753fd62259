import t from 'tap'
import { eventOf } from '../../../src/features/audit/audit.ts'
import { sealTenant } from '../../../src/features/audit/sealer.ts'
import { openWorkerDb } from '../../../src/platform/db/worker.ts'
import { testService } from '../../support/service.ts'
import { asSuperuser } from '../../support/superuser.ts'

const rowsCount = 100_000
const chunkRows = 2_000
const withinSeconds = 5

t.test('100,000 rows are checked in under 5 s, and one altered row among them is named', { skip: process.env.LATCHKEY_LONG ? false : 'only with LATCHKEY_LONG=1' }, async (t) => {
  const service = await testService(t)
  const tenant = await service.tenant()
  const tenantId = await service.tenantIdOf(tenant)
  for (let written = 0; written < rowsCount; written += chunkRows) {
    const rows = Array.from({ length: chunkRows }, (_, index) => eventOf(service.deps, tenantId, new Date(), { kind: 'person', subject: `person-${index % 97}`, requestId: `request-${written + index}` }, {
      action: 'contactMethod.changed', userId: `person-${index % 97}`, details: { methodId: service.deps.random.uuid(), fields: ['label', 'pendingChange'] },
    }))
    await service.owner.inTenant(tenantId, async ({ db }) => {
      await db.insertInto('audit_events').values(rows).execute()
      await db.insertInto('audit_unsealed').values(rows.map(({ id }) => ({ tenant_id: tenantId, event_id: id }))).execute()
    })
  }
  const workers = openWorkerDb({ url: service.database.workerUrl, onError: () => undefined })
  t.teardown(workers.close)
  const sealedAt = performance.now()
  await sealTenant(workers, service.deps.keys, tenantId)
  t.comment(`sealed in ${((performance.now() - sealedAt) / 1000).toFixed(1)} s`)

  const auditor = await service.as({ tenant, subject: 'siem', kind: 'app', scopes: ['audit:read'] })
  const startedAt = performance.now()
  const { status, body } = await auditor.get('/v1/audit-events/verification')
  const seconds = (performance.now() - startedAt) / 1000
  t.comment(`${body.checked} rows checked in ${seconds.toFixed(2)} s`)
  t.match({ status, body }, { status: 200, body: { intact: true, checked: rowsCount + 1, waiting: 0 } })
  t.ok(seconds < withinSeconds, `${seconds.toFixed(2)} s`)

  const [half] = await asSuperuser<{ from: Date, to: Date }>(service, 'select event_at as from, event_at + interval \'20 ms\' as to from audit_seals where sequence = 50000')
  const partAt = performance.now()
  const part = (await auditor.get(`/v1/audit-events/verification?from=${half!.from.toISOString()}&to=${half!.to.toISOString()}`)).body
  const partSeconds = (performance.now() - partAt) / 1000
  t.comment(`${part.checked} of them checked in ${partSeconds.toFixed(3)} s`)
  t.match(part, { intact: true, waiting: 0 })
  t.ok(part.checked > 0 && part.checked < rowsCount / 10)
  t.ok(partSeconds < seconds / 5, 'a small part does not look at the whole log')

  await asSuperuser(service, 'update audit_events set actor = \'x\' where id = (select event_id from audit_seals where sequence = 77777)')
  t.match((await auditor.get('/v1/audit-events/verification')).body, { intact: false, altered: [77_777], missing: [], unsealed: [] })
})

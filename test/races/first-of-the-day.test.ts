import t from 'tap'
import { sql } from 'kysely'
import { without } from '../support/guards.ts'
import { replicasOf, tally } from '../support/replicas.ts'
import { seedActive } from '../support/seed.ts'
import { testService } from '../support/service.ts'

const service = await testService(t)
const replicas = await replicasOf(t, service, 3)
const users = 12

t.test('the first sends of a day, all at once over three replicas: none is told that the budget is used up', async (t) => {
  // Between seeing no parts and making them each waits for a different time, so that others make them meanwhile.
  await without(service, 'take_budget', 'if chosen is null then', async () => {
    for (let round = 0; round < 3; round++) {
      const tenant = await service.tenant()
      const apps = replicas.of(await service.as({ tenant, subject: 'payroll', kind: 'app', scopes: ['challenges:write', 'sign-in:read'] }))
      const seeded = await seedActive(service, tenant, users, ['mobilePhone'])
      const answers = await Promise.all(seeded.map(({ userId }, index) => apps[index % 3]!.post('/v1/challenges', { userId, purpose: 'signIn' })))
      t.strictSame(tally(answers), { 201: users })
      const tenantId = await service.tenantIdOf(tenant)
      const { rows } = await service.owner.inTenant(tenantId, ({ db }) => sql`select count(*)::int as parts, sum(sent)::int as sent from send_budgets where tenant_id = ${tenantId}`.execute(db))
      t.strictSame(rows, [{ parts: 16, sent: users }])
    }
  }, 'if chosen is null then perform pg_sleep(random() * 0.1);')
})

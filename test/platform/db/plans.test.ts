import t, { type Test } from 'tap'
import { asOwner } from '../../support/cluster.ts'
import { seedActive, seedChallenges } from '../../support/seed.ts'
import { codeOf, testService, type Client, type TestService } from '../../support/service.ts'

/** Rows that each table gave since the counts were set to zero, as everything that read them has ended. */
async function rowsRead (service: TestService): Promise<Array<{ name: string, rows: number }>> {
  return asOwner(service.database.ownerUrl, async (owner) => {
    const { rows } = await owner.query<{ name: string, rows: number }>(`
      select t.relname as name, (t.seq_tup_read + coalesce((select sum(i.idx_tup_read) from pg_stat_user_indexes i where i.relid = t.relid), 0))::integer as rows
        from pg_stat_user_tables t order by 2 desc`)
    return rows
  })
}

t.test('a connection that made its plans on empty tables finds each row by its key when there are many', async (t) => {
  const service = await testService(t)
  const tenant = await service.tenant()
  const app = await service.as({ tenant, subject: 'shop', kind: 'app', scopes: ['challenges:write', 'sign-in:read', 'contact-methods:read'] })
  const [first] = await seedActive(service, tenant, 1, ['mobilePhone'])
  // A plan for any value is kept from the sixth time on.
  for (let round = 0; round < 8; round++) {
    await pair(t, app, first!.userId)
    await app.put('/v1/sandbox/clock', { offsetSeconds: 300 * (round + 1) })
  }

  const users = await seedActive(service, tenant, 2_000, ['mobilePhone', 'alternatePhone'])
  await seedChallenges(service, tenant, 'another', 2_000)
  await asOwner(service.database.ownerUrl, (owner) => owner.query('select pg_stat_reset()'))
  const now = performance.now.bind(performance)
  t.intercept(performance, 'now', { value: () => now() + 3_600_000 })
  const pairs = 20
  for (const { userId } of users.slice(0, pairs)) await pair(t, app, userId)
  await service.stop() // what a connection has read is counted when it ends at the latest

  for (const { name, rows } of await rowsRead(service)) {
    // The queues count what was taken from them; a plan that reads the tenant reads tens of thousands.
    t.ok(rows <= pairs * 200, `${name}: ${rows} rows for ${pairs} starts and verifications`)
  }
})

async function pair (t: Test, app: Client, userId: string): Promise<void> {
  t.equal((await app.get(`/v1/users/${userId}/sign-in-requirements`)).status, 200)
  t.equal((await app.get(`/v1/users/${userId}/contact-methods`)).status, 200)
  const { status, body, text } = await app.post('/v1/challenges', { userId, purpose: 'signIn' })
  t.equal(status, 201, text)
  t.equal((await app.post(`/v1/challenges/${body.id}/verify`, { code: await codeOf(app, body.id) })).status, 200)
}

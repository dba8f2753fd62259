import t from 'tap'
import { asOwner } from '../support/cluster.ts'
import { eventually } from '../support/process.ts'
import { testService } from '../support/service.ts'

const connectionsMax = 2
const refusedWithinMs = 600
const recoveredWithinMs = 1_000

t.test('when every connection is taken, others hear 503 at once; then all is as before', async (t) => {
  const service = await testService(t, { connectionsMax })
  const tenant = await service.tenant()
  const tenantId = await service.tenantIdOf(tenant)
  const administrator = await service.as({ tenant, subject: 'paul', roles: ['policyAdmin'] })
  t.equal((await administrator.get('/v1/organization')).status, 200)

  const blocked = await asOwner(service.database.ownerUrl, async (owner) => {
    await owner.query('begin')
    await owner.query('select 1 from organizations where tenant_id = $1 for update', [tenantId])
    const waiting = Array.from({ length: connectionsMax }, (_one, index) => administrator.patch('/v1/organization', { name: `Name ${index}` }))
    await eventually(async () => {
      // Within a transaction the view does not change.
      const { rowCount } = await asOwner(service.database.ownerUrl, (other) => other.query('select 1 from pg_stat_activity where datname = current_database() and wait_event_type = \'Lock\''))
      return rowCount === connectionsMax
    })

    const refused = await Promise.all(Array.from({ length: 20 }, async () => {
      const startedAt = performance.now()
      const answer = await administrator.get('/v1/organization')
      return { ...answer, ms: performance.now() - startedAt }
    }))
    for (const { status, body, headers } of refused) {
      t.match({ status, code: body.code, type: headers['content-type'] }, { status: 503, code: 'unavailable', type: /application\/problem\+json/ })
      t.equal(headers['retry-after'], '1')
    }
    const slowestMs = Math.max(...refused.map(({ ms }) => ms))
    t.comment(`the slowest refusal after ${Math.round(slowestMs)} ms`)
    t.ok(slowestMs < refusedWithinMs)
    t.equal((await administrator.get('/v1/users/paul/contact-methods')).status, 200, 'the hot read has connections of its own')
    await owner.query('rollback')
    return waiting
  })

  const freedAt = performance.now()
  t.same((await Promise.all(blocked)).map(({ status }) => status), [200, 200], 'those who had one were not disturbed')
  t.equal((await administrator.get('/v1/organization')).status, 200)
  t.ok(performance.now() - freedAt < recoveredWithinMs)
})

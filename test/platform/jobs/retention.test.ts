import t from 'tap'
import { sql } from 'kysely'
import { pendingMethod, read, started } from '../../support/challenges.ts'
import { moveClock, testService, verifiedMethod } from '../../support/service.ts'

const service = await testService(t)
const day = 86_400

t.test('challenges and their messages are gone after 30 days, and readable until then', async (t) => {
  const tenant = await service.tenant()
  const tenantId = await service.tenantIdOf(tenant)
  const ann = await service.as({ tenant, subject: 'ann' })
  const challenge = await started(ann, await pendingMethod(ann, { value: '+14155550101' }))
  await moveClock(ann, 30 * day)
  t.match(await read(ann, challenge.id), { status: 200, body: { status: 'expired' } })
  await moveClock(ann, 30 * day + 901)
  t.match(await read(ann, challenge.id), { status: 404, body: { code: 'not_found' } })
  const left = await service.owner.inTenant(tenantId, ({ db }) => sql<{ messages: number, windows: number }>`
    select (select count(*)::int from messages where tenant_id = ${tenantId}) as messages`.execute(db))
  t.strictSame(left.rows, [{ messages: 0 }])
})

t.test('the value of a removed method is erased after 30 days; its record stays', async (t) => {
  const tenant = await service.tenant()
  const tenantId = await service.tenantIdOf(tenant)
  const ann = await service.as({ tenant, subject: 'ann' })
  const admin = await service.as({ tenant, subject: 'paul', roles: ['policyAdmin'] })
  t.equal((await admin.patch('/v1/policy', { registration: { required: [] } })).status, 200)
  const { id } = await verifiedMethod(ann, { kind: 'officePhone', value: '+14155550101', extension: '77' })
  const { id: kept } = await verifiedMethod(ann, { kind: 'mobilePhone', value: '+14155550102' })
  t.equal((await ann.delete(`/v1/users/me/contact-methods/${id}`)).status, 204)
  const stored = async () => (await service.owner.inTenant(tenantId, ({ db }) => sql<{ id: string, status: string, kind: string, erased: boolean, removed_by: string | null }>`
    select id, status, kind, num_nonnulls(value, value_index, destination_index, extension, pending_value) = 0 as erased, removed_by
      from contact_methods where tenant_id = ${tenantId} order by created_at`.execute(db))).rows
  await moveClock(ann, 29 * day)
  t.match(await stored(), [{ id, status: 'removed', erased: false }, { id: kept, erased: false }])
  await moveClock(ann, 31 * day)
  t.match(await stored(), [{ id, status: 'removed', kind: 'officePhone', erased: true, removed_by: 'person:ann' }, { id: kept, status: 'active', erased: false }])
})

t.test('counts that hold nobody back any more are forgotten', async (t) => {
  const tenant = await service.tenant()
  const tenantId = await service.tenantIdOf(tenant)
  const ann = await service.as({ tenant, subject: 'ann' })
  await started(ann, await pendingMethod(ann, { value: '+14155550101' }), { clientAddress: '203.0.113.9' })
  const asOwner = <Row>(statement: ReturnType<typeof sql<Row>>) => service.owner.inTenant(tenantId, ({ db }) => statement.execute(db))
  const counts = async () => (await asOwner(sql<Record<string, number>>`
    select (select count(*)::int from send_windows where tenant_id = ${tenantId}) as windows, (select count(*)::int from prefix_sends where tenant_id = ${tenantId}) as prefixes,
           (select count(distinct day)::int from send_budgets where tenant_id = ${tenantId}) as days`)).rows[0]
  t.strictSame(await counts(), { windows: 2, prefixes: 1, days: 1 })
  await moveClock(ann, 2 * day)
  t.strictSame(await counts(), { windows: 2, prefixes: 1, days: 1 }, 'what was touched lately stays')
  await asOwner(sql`update send_windows set touched_at = now() - interval '3 days'`)
  await asOwner(sql`update prefix_sends set touched_at = now() - interval '31 days'`)
  await moveClock(ann, 4 * day)
  t.strictSame(await counts(), { windows: 0, prefixes: 0, days: 0 })
})

t.test('a challenge whose proof still serves, by the server\'s own clock, is kept however far the clock was moved', async (t) => {
  const tenant = await service.tenant()
  const ann = await service.as({ tenant, subject: 'ann' })
  await verifiedMethod(ann, { kind: 'mobilePhone', value: '+14155550101' })
  const challenge = (await ann.post('/v1/challenges', { userId: 'me', purpose: 'stepUp' })).body
  const { body: { items: [message] } } = await ann.get(`/v1/sandbox/messages?challengeId=${challenge.id}&waitSeconds=10`)
  t.equal((await ann.post(`/v1/challenges/${challenge.id}/verify`, { code: message.code })).status, 200)
  await moveClock(ann, 40 * day)
  t.match(await read(ann, challenge.id), { status: 200, body: { status: 'approved' } })
})

import t from 'tap'
import { setPolicy } from '../support/answers.ts'
import { sql } from 'kysely'
import { openDb } from '../../src/platform/db/index.ts'
import { atOnce, replicasOf, tally } from '../support/replicas.ts'
import { gate, seedActive } from '../support/seed.ts'
import { testService, type Answer } from '../support/service.ts'

const service = await testService(t)
const replicas = await replicasOf(t, service, 3)
const twins = 16

/** Everyone adds at once; how each was answered. */
async function adds (tenant: string, subject: string, inputOf: (index: number) => object): Promise<Answer[]> {
  const clients = replicas.of(await service.as({ tenant, subject }))
  return atOnce(twins, (index) => clients[index % 3]!.post('/v1/users/me/contact-methods', inputOf(index)))
}
const number = (index: number) => `+141555501${String(10 + index)}`
const kinds = ['mobilePhone', 'alternatePhone', 'officePhone'] as const

t.test('parallel adds of one kind make one method, and of one value too; without the unique keys they do not', async (t) => {
  const tenant = await service.tenant()
  const oneKind = (index: number) => ({ kind: 'mobilePhone', value: number(index) })
  const oneValue = (index: number) => ({ kind: kinds[index % 3], value: number(0) })
  for (let round = 0; round < 3; round++) {
    t.strictSame(tally(await adds(tenant, `kind-${round}`, oneKind)), { 201: 1, '409 method_limit_reached': twins - 1 })
    const { 201: made, ...refused } = tally(await adds(tenant, `value-${round}`, oneValue))
    t.equal(made, 1)
    t.equal((refused['409 duplicate_method'] ?? 0) + (refused['409 method_limit_reached'] ?? 0), twins - 1)
  }
  const person = await service.as({ tenant, subject: 'kind-0' })
  t.equal((await person.get('/v1/users/me/contact-methods')).body.items.length, 1)

  const tenantId = await service.tenantIdOf(tenant)
  const asOwner = <Row>(statement: ReturnType<typeof sql<Row>>) => service.owner.inTenant(tenantId, ({ db }) => statement.execute(db))
  const { rows: guards } = await asOwner(sql<{ name: string, text: string }>`
    select indexname as name, indexdef as text from pg_indexes where indexname in ('contact_methods_one_per_place', 'contact_methods_one_per_value')`)
  t.equal(guards.length, 2)
  for (const { name } of guards) await asOwner(sql`drop index ${sql.id(name)}`)
  t.ok(tally(await adds(tenant, 'control', oneKind))['201']! > 1, 'the control: several winners')
  await asOwner(sql`delete from contact_methods where user_id = 'control'`)
  for (const { text } of guards) await asOwner(sql.raw(text))
})

t.test('up to three e-mails where the policy allows three, however many come at once', async (t) => {
  const tenant = await service.tenant()
  await setPolicy(service, tenant, { alternateEmails: 3 })
  const answers = await adds(tenant, 'ann', (index) => ({ kind: 'alternateEmail', value: `ann-${index}@example.org` }))
  t.strictSame(tally(answers), { 201: 3, '409 method_limit_reached': twins - 3 })
})

t.test('tabs that remove the last two at once leave one; without the lock on the user they leave none', async (t) => {
  const tenant = await service.tenant()
  const tenantId = await service.tenantIdOf(tenant)
  await setPolicy(service, tenant, { registration: { required: [{ count: 1, oneOf: ['mobilePhone', 'alternatePhone'] }] } })
  const left = async (userId: string) => (await service.owner.inTenant(tenantId, ({ db }) =>
    db.selectFrom('contact_methods').select(['id', 'is_default']).where('tenant_id', '=', tenantId).where('user_id', '=', userId).where('status', '=', 'active').execute()))

  /** Both tabs of each user remove, one method each; how many were told it was done. */
  const removals = async (count: number, remove: (userId: string, methodId: string, tab: number) => Promise<boolean>) => {
    const users = await seedActive(service, tenant, count, ['mobilePhone', 'alternatePhone'])
    const done: number[] = []
    for (const { userId, methodIds } of users) done.push((await Promise.all(methodIds.map((id, tab) => remove(userId, id, tab)))).filter(Boolean).length)
    return { users, done }
  }

  const guarded = await removals(20, async (userId, methodId, tab) => {
    const client = replicas.of(await service.as({ tenant, subject: userId }))[tab]!
    const { status, body } = await client.delete(`/v1/users/me/contact-methods/${methodId}`)
    if (status !== 204) t.match({ status, code: body.code }, { status: 409, code: 'last_method' })
    return status === 204
  })
  t.strictSame(guarded.done, guarded.users.map(() => 1))
  for (const { userId } of guarded.users) t.match(await left(userId), [{ is_default: true }], 'and that one is the default')

  const db = openDb({ url: service.database.serviceUrl, applicationName: 'latchkey-test', onError: () => undefined })
  t.teardown(() => db.close())
  const gates = new Map<string, () => Promise<void>>()
  const control = await removals(3, async (userId, methodId) => {
    if (!gates.has(userId)) gates.set(userId, gate(2))
    return db.inTenant(tenantId, async (tx) => {
      const others = await tx.db.selectFrom('contact_methods').select('id').where('tenant_id', '=', tenantId).where('user_id', '=', userId).where('status', '=', 'active').where('id', '<>', methodId).execute()
      await gates.get(userId)!()
      if (others.length === 0) return false
      await tx.db.updateTable('contact_methods').set({ status: 'removed', is_default: false }).where('tenant_id', '=', tenantId).where('id', '=', methodId).execute()
      return true
    })
  })
  t.strictSame(control.done, [2, 2, 2], 'the control: both win')
  t.strictSame(await left(control.users[0]!.userId), [])
})

import t from 'tap'
import { systemRandom } from '../../../src/platform/random.ts'
import { disable, isRefused } from '../../support/answers.ts'
import { deliveryOf, messagesOf, pendingMethod, read, resend, started, verify } from '../../support/challenges.ts'
import { someone } from '../../support/people.ts'
import { raiseEpoch, registered } from '../../support/proofs.ts'
import { codeOf, moveClock, testService, type Client } from '../../support/service.ts'

// No two codes are the same by chance; where `always` is set, all are.
let codes = 0
let always: string | null = null
const service = await testService(t, { random: { ...systemRandom, digits: (length) => always ?? String(++codes).padStart(length, '0') } })

interface Pending { client: Client, tenant: string, id: string }

/** Two challenges that differ in one thing, by the name of that thing. */
async function pairs (): Promise<Record<string, [Pending, Pending]>> {
  const tenant = await service.tenant()
  const elsewhere = await service.tenant()
  const app = (subject: string, of = tenant) => service.as({ tenant: of, subject, kind: 'app', scopes: ['challenges:write', 'sign-in:read'] })
  const payroll = await app('payroll')
  const user = async (of = tenant) => {
    const { userId, ids } = await someone(service, of)
    return { userId, ...ids }
  }
  const begin = async (client: Client, { userId }: { userId: string }, methodId: string, more: object = {}, of = tenant): Promise<Pending> =>
    ({ client, tenant: of, id: (await started(client, methodId, { userId, purpose: 'signIn', ...more })).id })
  const again = async (work: () => Promise<Pending>) => { await moveClock(payroll, clock += 31); return work() }
  let clock = 0

  const ann = await user()
  const bob = await user()
  const [inOne, inTheOther] = [await user(), await user(elsewhere)]
  const purposes = await user()
  const channels = await user()
  const methods = await user()
  const starters = await user()
  return {
    user: [await begin(payroll, ann, ann.mobilePhone), await begin(payroll, bob, bob.mobilePhone)],
    tenant: [await begin(payroll, inOne, inOne.mobilePhone), await begin(await app('payroll', elsewhere), inTheOther, inTheOther.mobilePhone, {}, elsewhere)],
    method: [await begin(payroll, methods, methods.mobilePhone), await begin(payroll, methods, methods.alternatePhone)],
    'method, phone and e-mail': [await begin(payroll, methods, methods.officePhone), await begin(payroll, methods, methods.alternateEmail, { purpose: 'recovery' })],
    purpose: [await begin(payroll, purposes, purposes.mobilePhone), await again(() => begin(payroll, purposes, purposes.mobilePhone, { purpose: 'stepUp' }))],
    // A newer one of the same starter and purpose would cancel the older.
    channel: [await begin(payroll, channels, channels.mobilePhone), await again(async () => begin(await app('vpn'), channels, channels.mobilePhone, { channel: 'voice' }))],
    starter: [await begin(payroll, starters, starters.mobilePhone), await again(async () => begin(await app('vpn'), starters, starters.mobilePhone))],
    'context of a transaction': [
      await begin(payroll, ann, ann.alternatePhone, { purpose: 'transaction', context: { display: 'Pay 1' } }),
      await again(() => begin(payroll, bob, bob.alternatePhone, { purpose: 'transaction', context: { display: 'Pay 2' } })),
    ],
  }
}

t.test('T-04: of two challenges that differ in one thing only, the code of one is a wrong code for the other', async (t) => {
  for (const [difference, [a, b]] of Object.entries(await pairs())) {
    const [codeOfA, codeOfB] = [await codeOf(a.client, a.id), await codeOf(b.client, b.id)]
    isRefused(t, await verify(b.client, b.id, codeOfA), 'wrong_code', {}, `${difference}: A's on B`)
    isRefused(t, await verify(a.client, a.id, codeOfB), 'wrong_code', {}, `${difference}: B's on A`)
    t.equal((await verify(a.client, a.id, codeOfA)).status, 200)
    isRefused(t, await verify(b.client, b.id, codeOfA), 'wrong_code', {}, 'nor once it was approved')
    t.equal((await verify(b.client, b.id, codeOfB)).status, 200)
  }
})

t.test('T-04: where both have the same digits, what is kept of one in the database does not make the other right', async (t) => {
  always = '777777'
  t.teardown(() => { always = null })
  const macOf = ({ tenant, id }: Pending) => service.tenantIdOf(tenant).then((tenantId) => service.owner.inTenant(tenantId, async ({ db }) =>
    (await db.selectFrom('challenges').select('code_mac').where('tenant_id', '=', tenantId).where('id', '=', id).executeTakeFirstOrThrow()).code_mac))
  const setMac = ({ tenant, id }: Pending, code_mac: Buffer) => service.tenantIdOf(tenant).then((tenantId) => service.owner.inTenant(tenantId, ({ db }) =>
    db.updateTable('challenges').set({ code_mac }).where('tenant_id', '=', tenantId).where('id', '=', id).execute()))
  for (const [difference, [a, b]] of Object.entries(await pairs())) {
    const own = await macOf(b)
    t.notOk(own.equals(await macOf(a)), difference)
    await setMac(b, await macOf(a))
    isRefused(t, await verify(b.client, b.id, '777777'), 'wrong_code', {}, difference)
    await setMac(b, own)
    t.equal((await verify(b.client, b.id, '777777')).status, 200, 'the control')
  }
})

t.test('T-04: once a code was sent again, however often, the older ones are refused', async (t) => {
  const tenant = await service.tenant()
  const { mobilePhone } = await registered(service, tenant, 'ann', ['mobilePhone'])
  const payroll = await service.as({ tenant, subject: 'payroll', kind: 'app', scopes: ['challenges:write', 'sign-in:read'] })
  const { id } = await started(payroll, mobilePhone!, { userId: 'ann', purpose: 'signIn' })
  const seen: string[] = [await codeOf(payroll, id)]
  for (const offset of [31, 92, 213]) {
    await moveClock(payroll, offset)
    t.equal((await resend(payroll, id)).status, 200)
    await deliveryOf(payroll, id, 'sent')
    seen.unshift((await messagesOf(payroll, id))[0]!.code)
  }
  t.equal(new Set(seen).size, 4)
  for (const old of seen.slice(1)) isRefused(t, await verify(payroll, id, old), 'wrong_code')
  t.equal((await verify(payroll, id, seen[0]!)).status, 200)
})

t.test('T-04: a method that is changed, removed or disabled, a user who is reset or disabled: every pending code is refused', async (t) => {
  const after: Record<string, (around: { tenant: string, ann: Client, petra: Client, id: string }) => Promise<unknown>> = {
    'the number is changed': ({ ann, id }) => ann.patch(`/v1/users/me/contact-methods/${id}`, { value: '+14155550140' }),
    'the method is removed': ({ ann, id }) => ann.delete(`/v1/users/me/contact-methods/${id}`),
    'the method is disabled': ({ tenant, id }) => disable(service, tenant, id),
    'the user is reset': ({ tenant }) => raiseEpoch(service, tenant, 'ann'),
    'the user is disabled': ({ petra }) => petra.put('/v1/users/ann', { status: 'disabled' }),
  }
  for (const [event, happen] of Object.entries(after)) {
    const tenant = await service.tenant()
    const ids = await registered(service, tenant, 'ann', ['mobilePhone', 'alternatePhone'])
    const app = (subject: string) => service.as({ tenant, subject, kind: 'app', scopes: ['challenges:write', 'sign-in:read'] })
    const [ann, petra] = [await service.as({ tenant, subject: 'ann' }), await service.as({ tenant, subject: 'petra', roles: ['privilegedAdmin'] })]
    const id = ids.alternatePhone!
    const pending: Array<{ client: Client, id: string, code: string }> = []
    let offset = 0
    for (const [purpose, client] of [['signIn', await app('payroll')], ['transaction', await app('vpn')], ['callerCheck', petra], ['recovery', await app('portal')]] as const) {
      const challenge = await started(client, id, { userId: 'ann', purpose, ...(purpose === 'transaction' && { context: { display: 'x' } }) })
      pending.push({ client, id: challenge.id, code: await codeOf(client, challenge.id) })
      await moveClock(petra, offset = offset === 0 ? 31 : offset === 31 ? 92 : 213)
    }
    await happen({ tenant, ann, petra, id })
    for (const [index, { client, id, code }] of pending.entries()) {
      for (let attempt = 0; attempt < 2; attempt++) isRefused(t, await verify(client, id, code, index % 2 === 0 ? {} : { 'idempotency-key': `k${attempt}` }), 'challenge_canceled', {}, `${event}: ${index}`)
      if (event !== 'the user is reset') t.match((await read(client, id)).body, { status: 'canceled' })
    }
  }
})

t.test('a value that was verified ends what others had started to verify it', async (t) => {
  const tenant = await service.tenant()
  const ann = await service.as({ tenant, subject: 'ann' })
  const payroll = await service.as({ tenant, subject: 'payroll', kind: 'app', scopes: ['challenges:write', 'sign-in:read'] })
  const methodId = await pendingMethod(ann, { value: '+14155550101' })
  const byApp = await started(payroll, methodId, { userId: 'ann' })
  const code = await codeOf(payroll, byApp.id)
  await moveClock(ann, 31)
  const own = await started(ann, methodId)
  t.equal((await verify(ann, own.id, await codeOf(ann, own.id))).status, 200)
  t.match((await read(payroll, byApp.id)).body, { status: 'canceled' })
  isRefused(t, await verify(payroll, byApp.id, code), 'challenge_canceled')
  isRefused(t, await resend(payroll, byApp.id), 'challenge_canceled')
})

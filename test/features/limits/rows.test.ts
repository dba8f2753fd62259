import t, { type Test } from 'tap'
import { sql } from 'kysely'
import { auditOf, isRefused, setPolicy } from '../../support/answers.ts'
import { deliveryOf, moveTo, resend, secondsBetween, start, verify } from '../../support/challenges.ts'
import { refusedUntil } from '../../support/limits.ts'
import { newcomer, someone } from '../../support/people.ts'
import { registered } from '../../support/proofs.ts'
import { codeOf, moveClock, testService, type Answer, type Client } from '../../support/service.ts'

// One test for each row of "Limits" that is about sends; those of destinations are in destinations.test.ts, those about
// wrong codes in wrong-codes.test.ts, and what holds over several replicas in replicas.test.ts.
const service = await testService(t)

async function scene (limits: Record<string, number> = {}) {
  const tenant = await service.tenant()
  const payroll = await service.as({ tenant, subject: 'payroll', kind: 'app', scopes: ['challenges:write', 'sign-in:read'] })
  if (Object.keys(limits).length > 0) await setPolicy(service, tenant, { limits })
  return {
    tenant, payroll, pia: await service.as({ tenant, subject: 'pia', roles: ['policyAdmin'] }),
    user: (having?: Parameters<typeof someone>[2]) => someone(service, tenant, having),
    signIn: (userId: string, methodId: string, more: object = {}) => start(payroll, methodId, { userId, purpose: 'signIn', ...more }),
    /** Someone new asks for the code of a number of theirs. */
    register: async (value: string, more: Record<string, unknown> = {}, kind = 'mobilePhone') => {
      const { client, userId, methodId } = await newcomer(service, tenant, value, { kind })
      return { client, userId, methodId, answer: await start(client, methodId, more) }
    },
  }
}
const hourAfter = (time: string) => new Date(Date.parse(time) + 3_600_000).toISOString()
const sent = (t: Test, answer: Answer, message = 'sent') => { t.match(answer, { status: 201, body: { code: undefined } }, message); return answer.body as Record<string, any> }

t.test('per user: 10 sends an hour that were not approved', async (t) => {
  const { payroll, user, signIn } = await scene()
  const { userId, ids } = await user()
  const phones = [ids.mobilePhone, ids.alternatePhone, ids.officePhone]
  const challenges: Array<Record<string, any>> = []
  for (const offset of [0, 31, 92]) {
    await moveClock(payroll, offset)
    for (const phone of phones) challenges.push(sent(t, await signIn(userId, phone)))
  }
  await moveClock(payroll, 213)
  challenges.push(sent(t, await signIn(userId, ids.mobilePhone)))
  t.strictSame(challenges.map(({ sendsRemaining }) => sendsRemaining), [4, 4, 4, 3, 3, 3, 2, 2, 1, 0], 'what is left of the nearest limit')
  const until = hourAfter(challenges[0]!.createdAt)
  t.equal(challenges[9]!.resendAvailableAt, until, 'and when it opens again')
  const tryAll = async () => {
    for (const phone of phones.slice(1)) await refusedUntil(t, payroll, until, () => signIn(userId, phone))
    await refusedUntil(t, payroll, until, () => start(payroll, ids.alternateEmail, { userId, purpose: 'recovery' }))
    await refusedUntil(t, payroll, until, () => resend(payroll, challenges[9]!.id))
  }
  await tryAll()
  t.match((await refusedUntil(t, payroll, until, () => signIn(userId, ids.mobilePhone))).body, { challengeId: challenges[9]!.id }, 'names the one that waits')
  const { userId: another, ids: theirs } = await user()
  sent(t, await signIn(another, theirs.mobilePhone), 'another user has an hour of their own')

  t.equal((await verify(payroll, challenges[9]!.id, await codeOf(payroll, challenges[9]!.id))).status, 200)
  t.equal(sent(t, await signIn(userId, ids.mobilePhone), 'an approved one is given back').sendsRemaining, 0)
  await moveTo(payroll, until, -2)
  for (const phone of phones.slice(1)) await refusedUntil(t, payroll, until, () => signIn(userId, phone))
  await moveTo(payroll, until)
  sent(t, await signIn(userId, ids.alternatePhone), 'none of the refused ones counted')
})

t.test('per user: what no provider took does not count', async (t) => {
  const { tenant, payroll, signIn } = await scene({ userPerHour: 2 })
  const ids = await registered(service, tenant, 'ann', ['mobilePhone', 'officePhone'], 48, { mobilePhone: '+14155550198' })
  for (let round = 0; round < 4; round++) {
    const failing = sent(t, await signIn('ann', ids.mobilePhone!))
    t.equal(failing.sendsRemaining, 1)
    t.match(await deliveryOf(payroll, failing.id, 'failed'), { status: 'failed' })
  }
  t.equal(sent(t, await signIn('ann', ids.officePhone!)).sendsRemaining, 1)
  sent(t, await signIn('ann', ids.mobilePhone!))
})

t.test('per client address (IPv6 by /64): 30 sends an hour, where the caller passes the end user\'s address', async (t) => {
  const { payroll, user, signIn } = await scene()
  const begin = async (clientAddress?: string) => { const { userId, ids } = await user(['mobilePhone']); return signIn(userId, ids.mobilePhone, { ...(clientAddress !== undefined && { clientAddress }) }) }
  const forms = ['203.0.113.7', '::ffff:203.0.113.7', '::FFFF:cb00:7107', '0:0:0:0:0:ffff:203.0.113.7']
  const network = ['2001:db8:1:2::1', '2001:DB8:1:2:ffff:ffff:ffff:ffff', '2001:0db8:0001:0002:0000:0000:0000:0009', '2001:db8:1:2::203.0.113.7']
  for (const [same, neighbours] of [[forms, ['203.0.113.8', '::ffff:203.0.113.70']], [network, ['2001:db8:1:3::1', '2001:db8:1:1:ffff::']]] as const) {
    const challenges: Array<Record<string, any>> = []
    for (let sends = 0; sends < 30; sends++) challenges.push(sent(t, await begin(same[sends % 4])))
    t.strictSame(challenges.map(({ sendsRemaining }) => sendsRemaining).slice(24), [4, 4, 3, 2, 1, 0])
    const until = hourAfter(challenges[0]!.createdAt)
    t.equal(challenges[29]!.resendAvailableAt, until)
    for (const form of same) await refusedUntil(t, payroll, until, () => begin(form))
    sent(t, await begin(), 'without an address nothing of it counts')
    for (const neighbour of neighbours) sent(t, await begin(neighbour), neighbour)
    await moveTo(payroll, challenges[29]!.createdAt, 35)
    await refusedUntil(t, payroll, until, () => resend(payroll, challenges[29]!.id))
    t.equal((await verify(payroll, challenges[29]!.id, await codeOf(payroll, challenges[29]!.id))).status, 200, 'the old code stays good')
    await refusedUntil(t, payroll, until, () => begin(same[0]))
    await moveTo(payroll, until, -2)
    await refusedUntil(t, payroll, until, () => begin(same[1]))
    await moveTo(payroll, until)
    sent(t, await begin(same[2]), 'none of the refused ones counted')
  }
})

t.test('per client address: what is sent again counts where the first one did', async (t) => {
  const { payroll, user, signIn } = await scene({ clientAddressPerHour: 2 })
  const { userId, ids } = await user()
  const challenge = sent(t, await signIn(userId, ids.mobilePhone, { clientAddress: '203.0.113.7' }))
  t.equal(challenge.sendsRemaining, 1)
  await moveTo(payroll, challenge.resendAvailableAt)
  const again = (await resend(payroll, challenge.id)).body
  t.match(again, { sendsRemaining: 0, resendAvailableAt: hourAfter(challenge.createdAt) })
  await refusedUntil(t, payroll, again.resendAvailableAt, () => signIn(userId, ids.alternatePhone, { clientAddress: '203.0.113.7' }))
})

const numberOf = (index: number) => `+1415555${String(index).padStart(4, '0')}`

t.test('per number prefix (first 7 digits), per tenant: 20 an hour; a breach blocks it for 12 h and is written down once', async (t) => {
  const { tenant, payroll, pia, register, signIn, user } = await scene({ prefixPerHour: 20 })
  const first = (await register(numberOf(100))).answer.body
  for (let index = 101; index < 120; index++) sent(t, (await register(numberOf(index))).answer)
  t.strictSame((await pia.get('/v1/fraud/prefix-blocks')).body.items, [])
  const breach = (await register(numberOf(120))).answer
  isRefused(t, breach, 'send_limited')
  const { body: { items: [block] } } = await pia.get('/v1/fraud/prefix-blocks')
  t.match(block, { prefix: '1415555' })
  t.equal(secondsBetween(block.blockedAt, block.blockedUntil), 43_200)
  t.ok(breach.body.retryAfterSeconds >= 43_200 && breach.body.retryAfterSeconds <= 43_202, String(breach.body.retryAfterSeconds))
  t.equal(breach.headers['retry-after'], String(breach.body.retryAfterSeconds))

  const waiting = await newcomer(service, tenant, numberOf(121))
  await refusedUntil(t, payroll, block.blockedUntil, () => start(waiting.client, waiting.methodId))
  await refusedUntil(t, payroll, block.blockedUntil, () => start(payroll, waiting.methodId, { userId: waiting.userId }))
  t.match(await auditOf(service, tenant, 'action=prefix.blocked'), [{ details: { prefix: '1415555', blockedUntil: block.blockedUntil } }], 'one row')
  sent(t, (await register('+14155560101')).answer, 'another prefix')
  sent(t, (await register('x@example.org', {}, 'alternateEmail')).answer, 'an e-mail has none')
  const { userId, ids } = await user(['mobilePhone'])
  sent(t, await signIn(userId, ids.mobilePhone), 'whoever had verified their number signs in')
  const { tenant: elsewhere } = await scene({ prefixPerHour: 20 })
  const other = await newcomer(service, elsewhere, numberOf(122))
  sent(t, await start(other.client, other.methodId), 'another tenant')

  await moveTo(payroll, first.createdAt, 3_700)
  await refusedUntil(t, payroll, block.blockedUntil, () => start(waiting.client, waiting.methodId))
  await moveTo(payroll, block.blockedUntil, -2)
  await refusedUntil(t, payroll, block.blockedUntil, () => start(waiting.client, waiting.methodId))
  await moveTo(payroll, block.blockedUntil)
  sent(t, await start(waiting.client, waiting.methodId))
  t.strictSame((await pia.get('/v1/fraud/prefix-blocks')).body.items, [])
})

t.test('per number prefix: an hour is any hour', async (t) => {
  for (const [before, status] of [[true, 429], [false, 201]] as const) {
    const { payroll, register } = await scene({ prefixPerHour: 2 })
    const first = (await register(numberOf(100))).answer.body
    const second = sent(t, (await register(numberOf(101))).answer)
    await moveTo(payroll, hourAfter((before ? first : second).createdAt), before ? -2 : 1)
    t.equal((await register(numberOf(102))).answer.status, status, before ? '2 s before it is over' : 'once it is')
  }
})

t.test('per number prefix: no limit where more than 20 % of the last 50 sends were verified', async (t) => {
  for (const [verified, blocked] of [[4, true], [5, false]] as const) {
    const { tenant, register } = await scene({ prefixPerHour: 20 })
    for (let index = 0; index < 20; index++) {
      const { client, answer } = await register(numberOf(index))
      if (index < verified) t.equal((await verify(client, answer.body.id, await codeOf(client, answer.body.id))).status, 200)
    }
    t.equal((await register(numberOf(20))).answer.status, blocked ? 429 : 201, `${verified} of 20`)
    // Only the last fifty are looked at: the oldest of them, which was verified, is about to leave.
    const tenantId = await service.tenantIdOf(tenant)
    await service.owner.inTenant(tenantId, ({ db }) => sql`
      update prefix_sends set recent = array(select gen_random_uuid() from generate_series(1, 50)), verified = array_fill(true, '{11}') || array_fill(false, '{39}') where tenant_id = ${tenantId}`.execute(db))
    await service.owner.inTenant(tenantId, ({ db }) => sql`delete from prefix_blocks where tenant_id = ${tenantId}`.execute(db))
    t.equal((await register(numberOf(21))).answer.status, 201, '11 of 50')
    t.equal((await register(numberOf(22))).answer.status, 429, '10 of 50')
  }
})

t.test('per number prefix: numbers already verified in the tenant, by anyone, are exempt', async (t) => {
  const { pia, register } = await scene({ prefixPerHour: 1 })
  const known = await register(numberOf(1))
  t.equal((await verify(known.client, known.answer.body.id, await codeOf(known.client, known.answer.body.id))).status, 200)
  for (let index = 0; index < 3; index++) {
    const { client, answer } = await register('(415) 555-0001', {}, index === 2 ? 'officePhone' : 'mobilePhone')
    t.equal((await verify(client, sent(t, answer, 'whoever else brings it').id, await codeOf(client, answer.body.id))).status, 200)
  }
  sent(t, (await register(numberOf(2))).answer, 'none of them counted; one of two verified is more than 20 %')
  t.strictSame((await pia.get('/v1/fraud/prefix-blocks')).body.items, [])
})

t.test('per tenant: a daily budget of sends, the last 30 % only for verified methods; the next day is another', async (t) => {
  for (const [budget, openToAll] of [[10, 7], [17, 11]] as const) {
    const { tenant, payroll, register, user, signIn } = await scene()
    await setPolicy(service, tenant, { sendsPerDay: budget })
    const { body: { now } } = await payroll.get('/v1/sandbox/clock')
    // Not the next one, which may be nearer than the time that the test begins before it.
    const midnight = `${new Date(Date.parse(now) + 2 * 86_400_000).toISOString().slice(0, 10)}T00:00:00.000Z`
    await moveTo(payroll, midnight, -1_000)
    for (let send = 1; send <= openToAll; send++) sent(t, (await register(numberOf(send))).answer, `${send} of ${budget}`)
    const waiting = await newcomer(service, tenant, numberOf(100))
    await refusedUntil(t, payroll, midnight, () => start(waiting.client, waiting.methodId))
    let last = { userId: '', ids: { mobilePhone: '' } }
    for (let send = openToAll + 1; send <= budget; send++) { last = await user(['mobilePhone']); sent(t, await signIn(last.userId, last.ids.mobilePhone), `${send} of ${budget}`) }
    const { userId, ids } = await user(['mobilePhone'])
    await refusedUntil(t, payroll, midnight, () => signIn(userId, ids.mobilePhone))
    await refusedUntil(t, payroll, midnight, () => start(waiting.client, waiting.methodId))
    await moveTo(payroll, midnight, -2)
    await refusedUntil(t, payroll, midnight, () => signIn(userId, ids.mobilePhone))
    await moveTo(payroll, midnight)
    sent(t, await signIn(userId, ids.mobilePhone), 'a new day')
    sent(t, await start(waiting.client, waiting.methodId))
  }
})

t.test('per tenant: whatever a refused send had taken of the budget is given back', async (t) => {
  const { tenant, user, signIn } = await scene()
  const { userId, ids } = await user()
  await setPolicy(service, tenant, { sendsPerDay: 3 })
  sent(t, await signIn(userId, ids.mobilePhone))
  for (let attempt = 0; attempt < 10; attempt++) isRefused(t, await signIn(userId, ids.mobilePhone), 'send_limited')
  sent(t, await signIn(userId, ids.alternatePhone))
  sent(t, await signIn(userId, ids.officePhone))
  const another = await user()
  isRefused(t, await signIn(another.userId, another.ids.mobilePhone), 'send_limited')
})

t.test('per tenant: the parts of a budget are exactly the whole, whatever it is and when it is changed', async (t) => {
  const { tenant } = await scene()
  const tenantId = await service.tenantIdOf(tenant)
  /** How many are granted one after the other, in the tenant's today. */
  const granted = (whole: number, proven: boolean, tries: number) => service.owner.inTenant(tenantId, async ({ db }) => {
    let count = 0
    for (let attempt = 0; attempt < tries; attempt++) {
      const { rows } = await sql<{ slot: number | null }>`select take_budget(${whole}, ${proven}) as slot`.execute(db)
      if (rows[0]!.slot !== null) count++
    }
    return count
  })
  const anew = () => service.owner.inTenant(tenantId, ({ db }) => sql`delete from send_budgets where tenant_id = ${tenantId}`.execute(db))
  for (const whole of [1, 2, 3, 7, 10, 15, 16, 17, 31, 33, 50]) {
    const open = Math.floor(whole * 0.7)
    await anew()
    t.equal(await granted(whole, false, whole + 3), open, `${open} of ${whole} for all`)
    t.equal(await granted(whole, true, whole + 3), whole - open, 'the rest for the verified')
    await anew()
    t.equal(await granted(whole, true, open), open)
    t.equal(await granted(whole, false, 3), 0, 'whoever used it up')
    t.equal(await granted(whole, true, whole), whole - open)
  }
  await anew()
  t.equal(await granted(10_000, true, 25), 25)
  t.equal(await granted(10, true, 10), 0, 'lowered below what was sent')
  t.equal(await granted(30, false, 10), 0)
  t.equal(await granted(40, false, 10), 3, 'raised again: 28 of 40 are for all')
  t.equal(await granted(40, true, 40), 12)
  t.equal(await granted(41, true, 40), 1)
})

t.test('countries: an allow-list, by default the tenant\'s own country', async (t) => {
  const { tenant, payroll, pia } = await scene()
  const ann: Client = await service.as({ tenant, subject: 'ann' })
  const add = (value: string) => ann.post('/v1/users/me/contact-methods', { kind: 'mobilePhone', value })
  t.strictSame((await pia.get('/v1/policy')).body.countries, ['US'])
  for (const abroad of ['+447400123456', '+16045550101', '+4915123456789']) isRefused(t, await add(abroad), 'phone_number_not_allowed', { pointer: '/value' }, abroad)
  await setPolicy(service, tenant, { countries: ['US', 'GB'] })
  const { body: { id } } = await add('+447400123456')
  await setPolicy(service, tenant, { countries: ['US'] })
  isRefused(t, await start(ann, id), 'phone_number_not_allowed')
  await setPolicy(service, tenant, { countries: ['GB'] })
  t.equal((await start(payroll, id, { userId: 'ann' })).status, 201)
  t.equal((await ann.get('/v1/sandbox/messages?waitSeconds=5')).body.items.length, 1)
})

t.test('the same number written in any way: one bucket, normalised first', async (t) => {
  const { tenant } = await scene()
  const spellings = [
    '+14155550101', '+1 (415) 555-0101', '4155550101', '(415) 555-0101', '415.555.0101', '415 555 0101', '1-415-555-0101', 'tel:+1-415-555-0101', '011 1 415 555 0101',
    '\uff0b\uff11\uff14\uff11\uff15\uff15\uff15\uff15\uff10\uff11\uff10\uff11', '+1 415\u2011555\u20110101', '\u0661\u0664\u0661\u0665\u0665\u0665\u0665\u0660\u0661\u0660\u0661',
  ]
  const clients = await Promise.all(spellings.map((value) => newcomer(service, tenant, value)))
  const answers: Answer[] = []
  for (const { client, methodId } of clients) answers.push(await start(client, methodId))
  t.strictSame(answers.map(({ status }) => status), [201, ...new Array(11).fill(429)])
})

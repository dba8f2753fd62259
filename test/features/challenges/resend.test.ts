import t from 'tap'
import { sql } from 'kysely'
import { failChallenge } from '../../../src/features/challenges/challenges.ts'
import { systemRandom } from '../../../src/platform/random.ts'
import { auditOf, isRefused, setPolicy } from '../../support/answers.ts'
import { deliveryOf, messagesOf, oneOfEachEnd, read, refusalOfEnd, resend, secondsBetween, started, verify } from '../../support/challenges.ts'
import { countWrongCodes } from '../../support/limits.ts'
import { raiseEpoch, registered } from '../../support/proofs.ts'
import { moveClock, otherCode, testService } from '../../support/service.ts'

// No two codes are the same, so that an old one is never right by chance.
let codes = 0
const service = await testService(t, { random: { ...systemRandom, digits: (length) => String(++codes).padStart(length, '0') } })

/** Ann with a mobile phone and an e-mail, and an app that may challenge her. */
async function scene () {
  const tenant = await service.tenant()
  const ids = await registered(service, tenant, 'ann', ['mobilePhone', 'alternateEmail'])
  const payroll = await service.as({ tenant, subject: 'payroll', kind: 'app', scopes: ['challenges:write', 'sign-in:read'] })
  return {
    tenant, payroll, ids, ann: await service.as({ tenant, subject: 'ann' }), hans: await service.as({ tenant, subject: 'hans', roles: ['helpdesk'] }),
    petra: await service.as({ tenant, subject: 'petra', roles: ['privilegedAdmin'] }),
    signIn: (more: object = {}) => started(payroll, ids.mobilePhone!, { userId: 'ann', purpose: 'signIn', ...more }),
  }
}
const newestCode = async (client: Parameters<typeof messagesOf>[0], id: string) => (await messagesOf(client, id))[0]!.code as string
/** The codes of a challenge, newest first, once there are so many. */
async function codesOf (client: Parameters<typeof messagesOf>[0], id: string, count: number): Promise<string[]> {
  for (;;) {
    const messages = await messagesOf(client, id)
    if (messages.length >= count) return messages.map(({ code }) => code as string)
  }
}

t.test('a resend gives a new code and a new time; the old code is a wrong one from then on', async (t) => {
  const { tenant, payroll, signIn } = await scene()
  const challenge = await signIn({ context: { display: 'Room 7' } })
  await newestCode(payroll, challenge.id)
  await moveClock(payroll, 31)
  const { status, body, headers } = await resend(payroll, challenge.id)
  t.match({ status, location: headers.location }, { status: 200, location: undefined })
  t.strictSame(Object.keys(body).toSorted(), Object.keys(challenge).toSorted())
  const { expiresAt, resendAvailableAt, ...rest } = body
  const { expiresAt: _expiresAt, resendAvailableAt: _resendAvailableAt, ...before } = challenge
  t.strictSame(rest, { ...before, sendsRemaining: 3 })
  const { body: { now } } = await payroll.get('/v1/sandbox/clock')
  t.ok(Math.abs(secondsBetween(now, expiresAt) - 300) < 3, 'as long as a first one')
  t.ok(Math.abs(secondsBetween(now, resendAvailableAt) - 60) < 3, 'and the next wait is the longer one')
  t.match((await read(payroll, challenge.id)).body, { expiresAt, resendAvailableAt, sendsRemaining: 3, status: 'pending' })

  const [right, old] = await codesOf(payroll, challenge.id, 2) as [string, string]
  t.match((await messagesOf(payroll, challenge.id))[0]!.body, `${right} is your code to sign in: Room 7.`, 'it says the same')
  isRefused(t, await verify(payroll, challenge.id, old), 'wrong_code')
  t.match((await verify(payroll, challenge.id, right)).body, { status: 'approved' })
  t.match(await auditOf(service, tenant, 'action=challenge.resent'), [{ userId: 'ann', actor: { kind: 'app', id: 'payroll' }, details: { challengeId: challenge.id, purpose: 'signIn', channel: 'sms' } }])
})

t.test('fifteen minutes after the start it ends, however often it was sent again', async (t) => {
  const { payroll, ids } = await scene()
  const challenge = await started(payroll, ids.alternateEmail!, { userId: 'ann', purpose: 'recovery' })
  const end = (last: Record<string, any>) => secondsBetween(challenge.createdAt, last.expiresAt)
  t.equal(end(challenge), 600)
  for (const [offset, endsAfter] of [[31, 631], [92, 692], [213, 813], [514, 900], [815, 900]] as const) {
    await moveClock(payroll, offset)
    const { body } = await resend(payroll, challenge.id)
    t.ok(end(body) <= 900 && end(body) >= endsAfter && end(body) < endsAfter + 5, `sent again after ${offset} s it ends after ${end(body)}`)
  }
  const [code] = await codesOf(payroll, challenge.id, 6) as [string]
  t.match((await messagesOf(payroll, challenge.id))[0]!.body, /It is good for \d\d seconds\./, 'and the message says so')
  await moveClock(payroll, 902)
  isRefused(t, await resend(payroll, challenge.id), 'challenge_expired')
  isRefused(t, await verify(payroll, challenge.id, code), 'challenge_expired')
})

t.test('attempts go on counting, also towards the lock', async (t) => {
  const { payroll, signIn, ann } = await scene()
  const challenge = await signIn()
  for (let attempt = 1; attempt <= 3; attempt++) await verify(payroll, challenge.id, '999999')
  await moveClock(payroll, 31)
  t.match((await resend(payroll, challenge.id)).body, { attemptsRemaining: 2 })
  const [right] = await codesOf(payroll, challenge.id, 2) as [string]
  isRefused(t, await verify(payroll, challenge.id, otherCode(right)), 'wrong_code')
  t.match((await verify(payroll, challenge.id, otherCode(right))).body, { code: 'wrong_code', attemptsRemaining: 0 })
  isRefused(t, await verify(payroll, challenge.id, right), 'challenge_exhausted')
  isRefused(t, await resend(payroll, challenge.id), 'challenge_exhausted')
  t.match((await ann.get('/v1/users/me/lockout')).body, { wrongCodesInARow: 5 })
})

t.test('a resend that a limit refuses sends nothing and leaves the old code good', async (t) => {
  const { tenant, payroll, signIn } = await scene()
  const challenge = await signIn()
  const tooEarly = await resend(payroll, challenge.id)
  isRefused(t, tooEarly, 'send_limited')
  t.match(tooEarly.body, { challengeId: challenge.id, retryAfterSeconds: /^(29|30)$/ })
  t.equal(tooEarly.headers['retry-after'], String(tooEarly.body.retryAfterSeconds))
  await moveClock(payroll, 31)
  await setPolicy(service, tenant, { limits: { userPerHour: 1 } })
  const tooMany = await resend(payroll, challenge.id)
  isRefused(t, tooMany, 'send_limited')
  t.ok(tooMany.body.retryAfterSeconds > 3_560, 'the user\'s hour')
  const { status: _status, delivery: _delivery, ...unchanged } = challenge
  t.match((await read(payroll, challenge.id)).body, { ...unchanged, status: 'pending' })
  t.match(await verify(payroll, challenge.id, (await codesOf(payroll, challenge.id, 1))[0]!), { status: 200 })
  t.equal((await messagesOf(payroll, challenge.id)).length, 1)
})

t.test('what has ended is not sent again', async (t) => {
  const tenant = await service.tenant()
  const eve = await service.as({ tenant, subject: 'eve' })
  for (const [end, id] of Object.entries(await oneOfEachEnd(eve))) {
    const sent = (await messagesOf(eve, id, 0)).length
    isRefused(t, await resend(eve, id), refusalOfEnd[end as keyof typeof refusalOfEnd], {}, end)
    t.match((await read(eve, id)).body, { status: end })
    t.equal((await messagesOf(eve, id, 0)).length, sent)
  }
})

t.test('only who started it may; for everyone else it is a 404 and nothing happens', async (t) => {
  const { tenant, signIn, ann, hans, petra, payroll } = await scene()
  const challenge = await signIn()
  await moveClock(payroll, 31)
  const elsewhere = await service.tenant()
  const others = [ann, hans, petra, ...await Promise.all([
    service.as({ tenant, subject: 'vpn', kind: 'app', scopes: ['challenges:write', 'sign-in:read'] }), service.as({ tenant, subject: 'payroll' }),
    service.as({ tenant, subject: 'payroll', kind: 'app', scopes: ['sign-in:read'] }), service.as({ tenant: elsewhere, subject: 'payroll', kind: 'app', scopes: ['challenges:write', 'sign-in:read'] }),
  ])]
  for (const other of others) isRefused(t, await resend(other, challenge.id), 'not_found')
  isRefused(t, await resend(payroll, crypto.randomUUID()), 'not_found')
  isRefused(t, await resend(payroll, 'x'), 'validation_failed', { parameter: 'challengeId' })
  t.match((await resend(payroll, challenge.id)).body, { sendsRemaining: 3 }, 'none of them sent anything')
})

t.test('the same key sends once and tells the same again; a refusal is judged anew', async (t) => {
  const { signIn, payroll } = await scene()
  const challenge = await signIn()
  const key = { 'idempotency-key': 'again' }
  isRefused(t, await resend(payroll, challenge.id, undefined, key), 'send_limited')
  await moveClock(payroll, 31)
  const first = await resend(payroll, challenge.id, undefined, key)
  t.match(first, { status: 200, body: { sendsRemaining: 3 } })
  t.notOk(first.headers['idempotent-replayed'])
  for (const body of [undefined, {}]) {
    const again = await resend(payroll, challenge.id, body, key)
    t.match(again, { status: 200, headers: { 'idempotent-replayed': 'true' } })
    t.strictSame(again.body, first.body)
  }
  t.equal((await codesOf(payroll, challenge.id, 2)).length, 2)
  await moveClock(payroll, 92)
  t.match((await resend(payroll, challenge.id, undefined, { 'idempotency-key': 'and again' })).body, { sendsRemaining: 2 })
  isRefused(t, await payroll.post(`/v1/challenges/${challenge.id}/cancel`, undefined, key), 'idempotency_key_reused')
})

t.test('the body may be left away or say nothing; anything else is refused', async (t) => {
  const { signIn, payroll } = await scene()
  const challenge = await signIn()
  await moveClock(payroll, 31)
  isRefused(t, await resend(payroll, challenge.id, { channel: 'voice' }), 'validation_failed', { pointer: '/channel' })
  for (const body of ['null', '[]', '"x"', '7']) isRefused(t, await resend(payroll, challenge.id, body, { 'content-type': 'application/json' }), 'validation_failed', {}, body)
  isRefused(t, await resend(payroll, challenge.id, '{', { 'content-type': 'application/json' }), 'malformed_body')
  t.equal((await resend(payroll, challenge.id, {})).status, 200)
  await moveClock(payroll, 92)
  t.equal((await resend(payroll, challenge.id, '', { 'content-type': 'application/json' })).status, 200)
})

t.test('where the number was changed, the user was reset or disabled since, it is over', async (t) => {
  const { tenant, signIn, payroll, ann, ids, petra } = await scene()
  const changed = await signIn()
  await moveClock(payroll, 31)
  await ann.patch(`/v1/users/me/contact-methods/${ids.mobilePhone}`, { value: '+14155550140' })
  isRefused(t, await resend(payroll, changed.id), 'challenge_canceled', {}, 'also while the change waits')
  await moveClock(payroll, 92)

  const reset = await signIn()
  await moveClock(payroll, 123)
  await raiseEpoch(service, tenant, 'ann')
  isRefused(t, await resend(payroll, reset.id), 'challenge_canceled')
  await moveClock(payroll, 184)
  const disabled = await signIn()
  await moveClock(payroll, 310)
  await petra.put('/v1/users/ann', { status: 'disabled' })
  isRefused(t, await resend(payroll, disabled.id), 'challenge_canceled')
  t.equal((await messagesOf(payroll, disabled.id)).length, 1)
})

t.test('to a locked user nothing is sent again, but for a caller check', async (t) => {
  const { tenant, signIn, payroll, hans } = await scene()
  const challenge = await signIn()
  await moveClock(payroll, 31)
  const check = await started(hans, (await registered(service, tenant, 'bob', ['mobilePhone'], 48, { mobilePhone: '+14155550141' })).mobilePhone!, { userId: 'bob', purpose: 'callerCheck' })
  for (const user of ['ann', 'bob']) await countWrongCodes(service, tenant, user, { inARow: 10, lockedSeconds: 100 })
  const locked = await resend(payroll, challenge.id)
  isRefused(t, locked, 'user_locked')
  t.ok(locked.body.retryAfterSeconds >= 98 && locked.body.retryAfterSeconds <= 100)
  await moveClock(payroll, 62)
  t.equal((await resend(hans, check.id)).status, 200)
  await moveClock(payroll, 135)
  t.match((await resend(payroll, challenge.id)).body, { sendsRemaining: 3 }, 'the lock is over, and it counted nothing')
})

t.test('where no carrier takes what is sent again it fails; that send does not count, the one before does', async (t) => {
  const { signIn, payroll } = await scene()
  const first = await signIn()
  await newestCode(payroll, first.id)
  await moveClock(payroll, 31)
  await payroll.put('/v1/sandbox/faults', { channel: 'sms', mode: 'error' })
  t.equal((await resend(payroll, first.id)).status, 200)
  await deliveryOf(payroll, first.id, 'failed')
  t.match((await read(payroll, first.id)).body, { status: 'failed' })
  await payroll.put('/v1/sandbox/faults', { channel: 'sms', mode: 'none' })
  const next = await signIn()
  t.equal(next.sendsRemaining, 3, 'the first went out')
  t.ok(Math.abs(secondsBetween(next.createdAt, next.resendAvailableAt) - 60) < 2)
})

t.test('the late failure of an old message does not end what was sent again since', async (t) => {
  const { tenant, signIn, payroll } = await scene()
  const challenge = await signIn()
  await newestCode(payroll, challenge.id)
  await moveClock(payroll, 31)
  t.equal((await resend(payroll, challenge.id)).status, 200)
  const [right] = await codesOf(payroll, challenge.id, 2) as [string]
  await service.deps.db.inTenant(await service.tenantIdOf(tenant), async (tx) => {
    await sql`update messages set state = 'failed' where tenant_id = ${tx.tenantId} and challenge_id = ${challenge.id}
                 and queued_at = (select min(queued_at) from messages where tenant_id = ${tx.tenantId} and challenge_id = ${challenge.id})`.execute(tx.db)
    await failChallenge(tx, challenge.id)
  })
  t.match((await read(payroll, challenge.id)).body, { status: 'pending' })
  t.equal((await verify(payroll, challenge.id, right)).status, 200)
})

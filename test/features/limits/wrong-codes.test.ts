import t from 'tap'
import { auditOf, isRefused } from '../../support/answers.ts'
import { cancel, moveTo, read, resend, start, started, verify } from '../../support/challenges.ts'
import { refusedUntil } from '../../support/limits.ts'
import { newcomer, someone } from '../../support/people.ts'
import { codeOf, moveClock, otherCode, testService, type Client } from '../../support/service.ts'

// The two rows of "Limits" about wrong codes in a row; the routes of the lock are in lockout.test.ts.
const service = await testService(t)
const minutes = 60

async function scene (having?: Parameters<typeof someone>[2]) {
  const tenant = await service.tenant()
  const { userId, ids } = await someone(service, tenant, having)
  const app = (subject: string) => service.as({ tenant, subject, kind: 'app', scopes: ['challenges:write', 'sign-in:read'] })
  const payroll = await app('payroll')
  const hans = await service.as({ tenant, subject: 'hans', roles: ['helpdesk'] })
  return {
    tenant, userId, ids, app, payroll, hans, ann: await service.as({ tenant, subject: userId }),
    lockout: async () => (await hans.get(`/v1/users/${userId}/lockout`)).body as { lockedUntil: string | null, wrongCodesInARow: number, lockedMethods: string[] },
    begin: (methodId: string, more: object = {}, client = payroll) => started(client, methodId, { userId, purpose: 'signIn', ...more }),
    tryToBegin: (methodId: string, more: object = {}) => start(payroll, methodId, { userId, purpose: 'signIn', ...more }),
  }
}

/** Gives so many wrong codes, each of which must be judged. */
async function guess (client: Client, challengeId: string, times: number): Promise<void> {
  const wrong = otherCode(await codeOf(client, challengeId))
  for (let attempt = 0; attempt < times; attempt++) {
    const { body } = await verify(client, challengeId, wrong)
    if (body.code !== 'wrong_code') throw new Error(`a wrong code was ${body.code} and not judged`)
  }
}

t.test('wrong codes in a row, all codes of a user: 10 lock for 15 minutes; every 5 more double it, to 24 hours', async (t) => {
  const { tenant, userId, ids, payroll, begin, tryToBegin, lockout } = await scene()
  const phones = [ids.mobilePhone, ids.alternatePhone, ids.officePhone]
  await guess(payroll, (await begin(phones[0]!)).id, 5)
  const untouched = await begin(ids.alternateEmail, { purpose: 'recovery' })
  const code = await codeOf(payroll, untouched.id)
  let offsetLocks = 0
  for (const lockedMinutes of [15, 30, 60, 120, 240, 480, 960, 1440, 1440]) {
    const challenge = await begin(phones[++offsetLocks % 3]!)
    t.match(await lockout(), { lockedUntil: null, wrongCodesInARow: offsetLocks * 5 })
    await guess(payroll, challenge.id, 4)
    t.match(await lockout(), { lockedUntil: null })
    const { body: { now: before } } = await payroll.get('/v1/sandbox/clock')
    await guess(payroll, challenge.id, 1)
    const { body: { now: after } } = await payroll.get('/v1/sandbox/clock')
    const { lockedUntil, wrongCodesInARow } = await lockout() as { lockedUntil: string, wrongCodesInARow: number }
    t.equal(wrongCodesInARow, offsetLocks * 5 + 5)
    const length = (from: string) => (Date.parse(lockedUntil) - Date.parse(from)) / 1000
    t.ok(length(before) >= lockedMinutes * minutes && length(after) <= lockedMinutes * minutes, `${wrongCodesInARow} in a row lock for ${lockedMinutes} minutes`)
    if (offsetLocks === 1) {
      await refusedUntil(t, payroll, lockedUntil, () => verify(payroll, untouched.id, code), 'user_locked')
      t.match((await read(payroll, untouched.id)).body, { status: 'pending', attemptsRemaining: 5 }, 'nothing of it is judged')
    }
    for (const phone of phones) await refusedUntil(t, payroll, lockedUntil, () => tryToBegin(phone, { channel: 'voice' }), 'user_locked')
    await moveTo(payroll, lockedUntil, -2)
    await refusedUntil(t, payroll, lockedUntil, () => tryToBegin(phones[2]!), 'user_locked')
    await moveTo(payroll, lockedUntil)
  }
  const last = await begin(phones[0]!)
  t.equal((await verify(payroll, last.id, await codeOf(payroll, last.id))).status, 200)
  t.match(await lockout(), { lockedUntil: null, wrongCodesInARow: 0 }, 'a right code clears it')
  const rows = await auditOf(service, tenant, 'action=user.locked')
  t.strictSame(rows.map(({ details }) => details.wrongCodesInARow).toReversed(), [10, 15, 20, 25, 30, 35, 40, 45, 50])
  t.ok(rows.every((row) => row.userId === userId))
})

t.test('wrong codes in a row: cleared by a right code, however many challenges they were spread over', async (t) => {
  const { ids, payroll, app, ann, begin, lockout } = await scene()
  const [vpn, portal] = [await app('vpn'), await app('portal')]
  await guess(payroll, (await begin(ids.mobilePhone)).id, 2)
  await guess(vpn, (await begin(ids.alternatePhone, { channel: 'voice', purpose: 'transaction', context: { display: 'x' } }, vpn)).id, 3)
  await guess(portal, (await begin(ids.alternateEmail, { purpose: 'recovery' }, portal)).id, 2)
  await guess(ann, (await begin(ids.officePhone, { userId: 'me', purpose: 'stepUp' }, ann)).id, 2)
  t.match(await lockout(), { wrongCodesInARow: 9, lockedUntil: null }, 'over purposes, channels, methods and callers')
  await moveClock(payroll, 31)
  const newer = await begin(ids.mobilePhone)
  t.match(await lockout(), { wrongCodesInARow: 9 }, 'a newer challenge resets nothing')
  await cancel(payroll, newer.id)
  await moveClock(payroll, 92)
  const right = await begin(ids.mobilePhone)
  await moveClock(payroll, 213)
  t.equal((await resend(payroll, right.id)).status, 200)
  t.match(await lockout(), { wrongCodesInARow: 9 }, 'nor a code that was sent again')
  await moveClock(payroll, 514)
  const last = await begin(ids.mobilePhone)
  t.equal((await verify(payroll, last.id, await codeOf(payroll, last.id))).status, 200)
  t.match(await lockout(), { wrongCodesInARow: 0 })
  await guess(vpn, (await begin(ids.alternatePhone, {}, vpn)).id, 5)
  await guess(portal, (await begin(ids.officePhone, {}, portal)).id, 4)
  t.match(await lockout(), { wrongCodesInARow: 9, lockedUntil: null }, 'the count began anew')
  await guess(portal, (await begin(ids.alternateEmail, { purpose: 'recovery' }, portal)).id, 1)
  t.match(await lockout(), { wrongCodesInARow: 10, lockedUntil: /^20/ })
})

t.test('wrong codes in a row: codes that verify a contact count as well', async (t) => {
  const tenant = await service.tenant()
  const { client, methodId } = await newcomer(service, tenant, '+14155550111')
  await guess(client, (await started(client, methodId)).id, 5)
  await moveClock(client, 31)
  const second = await started(client, methodId)
  await guess(client, second.id, 5)
  isRefused(t, await start(client, methodId), 'user_locked')
  t.match((await client.get('/v1/users/me/lockout')).body, { wrongCodesInARow: 10, lockedChannels: ['sms', 'voice', 'email', 'totp', 'recoveryCode'] })
})

t.test('wrong codes in a row: an administrator clears a lock, and the next ones count from one', async (t) => {
  const { userId, ids, payroll, hans, begin, tryToBegin, lockout } = await scene()
  await guess(payroll, (await begin(ids.mobilePhone)).id, 5)
  const waiting = await begin(ids.officePhone)
  const code = await codeOf(payroll, waiting.id)
  await guess(payroll, (await begin(ids.alternatePhone)).id, 5)
  isRefused(t, await verify(payroll, waiting.id, code), 'user_locked')
  t.equal((await hans.delete(`/v1/users/${userId}/lockout`)).status, 204)
  t.equal((await verify(payroll, waiting.id, code)).status, 200, 'what waited is judged again')
  await moveClock(payroll, 31)
  const next = await tryToBegin(ids.mobilePhone)
  t.equal(next.status, 201)
  await guess(payroll, next.body.id, 5)
  t.match(await lockout(), { wrongCodesInARow: 5, lockedUntil: null })
})

t.test('wrong codes in a row: caller checks do not count, are not blocked, and a right one clears nothing', async (t) => {
  const { ids, payroll, hans, begin, lockout } = await scene()
  const check = async (methodId: string) => begin(methodId, { purpose: 'callerCheck' }, hans)
  const first = await check(ids.mobilePhone)
  await guess(hans, first.id, 5)
  isRefused(t, await verify(hans, first.id, await codeOf(hans, first.id)), 'challenge_exhausted')
  t.match(await lockout(), { wrongCodesInARow: 0, lockedUntil: null })
  await guess(payroll, (await begin(ids.alternatePhone)).id, 5)
  const running = await check(ids.officePhone)
  await guess(payroll, (await begin(ids.alternateEmail, { purpose: 'recovery' })).id, 5)
  t.match(await lockout(), { wrongCodesInARow: 10, lockedUntil: /^20/ })
  t.equal((await verify(hans, running.id, await codeOf(hans, running.id))).status, 200, 'one that runs is judged')
  await moveClock(payroll, 31)
  const another = await check(ids.mobilePhone)
  await guess(hans, another.id, 1)
  t.equal((await verify(hans, another.id, await codeOf(hans, another.id))).status, 200, 'and one can be started')
  t.match(await lockout(), { wrongCodesInARow: 10, lockedUntil: /^20/ }, 'the lock is as it was')
})

/** T-05: new challenges with four wrong codes each, past every lock, until the method gives no more. Says how many were judged. */
async function wearOut ({ payroll, lockout, tryToBegin }: Awaited<ReturnType<typeof scene>>, methodId: string): Promise<number> {
  for (let judged = 0; ;) {
    const { lockedUntil } = await lockout()
    if (lockedUntil !== null) await moveTo(payroll, lockedUntil)
    const answer = await tryToBegin(methodId, { clientAddress: `203.0.113.${judged}` })
    if (answer.body.code === 'send_limited') { await moveTo(payroll, (await payroll.get('/v1/sandbox/clock')).body.now, answer.body.retryAfterSeconds); continue }
    if (answer.status !== 201) return judged
    const wrong = otherCode(await codeOf(payroll, answer.body.id))
    for (let attempt = 0; attempt < 4; attempt++) if ((await verify(payroll, answer.body.id, wrong)).body.code === 'wrong_code') judged++
    if (judged > 60) throw new Error('it gives more')
  }
}

t.test('wrong codes in a row on one method (T-05): 50 and it is disabled, whatever is started anew and however long one waits', async (t) => {
  const around = await scene(['mobilePhone', 'alternatePhone'])
  const { tenant, userId, ids, payroll, ann, hans, begin, tryToBegin } = around
  t.equal(await wearOut(around, ids.mobilePhone), 50)
  t.match((await ann.get(`/v1/users/me/contact-methods/${ids.mobilePhone}`)).body, { status: 'disabled', isDefault: false })
  isRefused(t, await tryToBegin(ids.mobilePhone), 'method_not_usable')
  t.match(await auditOf(service, tenant, 'action=contactMethod.disabled'), [{ userId, details: { methodId: ids.mobilePhone, reason: 'wrongCodes' } }])
  t.match((await ann.get(`/v1/users/me/contact-methods/${ids.alternatePhone}`)).body, { isDefault: true }, 'the next takes its place')
  const other = await begin(ids.alternatePhone)
  t.equal((await verify(payroll, other.id, await codeOf(payroll, other.id))).status, 200, 'and works')
  t.equal((await hans.delete(`/v1/users/${userId}/lockout`)).status, 204)
  isRefused(t, await tryToBegin(ids.mobilePhone), 'method_not_usable', {}, 'no right code and no administrator brings it back')
})

t.test('wrong codes in a row on one method: at the 50th the right code of any challenge for it is refused', async (t) => {
  const { tenant, userId, ids, payroll, app, begin } = await scene(['mobilePhone', 'alternatePhone'])
  const count = (onMobile: number) => service.owner.inTenant(tenantId, ({ db }) => db.insertInto('code_failures')
    .values({ tenant_id: tenantId, user_id: userId, in_a_row: 1, by_method: JSON.stringify({ [ids.mobilePhone]: onMobile }) }).execute())
  const tenantId = await service.tenantIdOf(tenant)
  await count(48)
  const vpn = await app('vpn')
  const challenge = await begin(ids.mobilePhone)
  const code = await codeOf(payroll, challenge.id)
  await moveClock(payroll, 31)
  const other = await begin(ids.mobilePhone, {}, vpn)
  const otherRight = await codeOf(vpn, other.id)
  await guess(payroll, challenge.id, 2)
  isRefused(t, await verify(payroll, challenge.id, code), 'challenge_canceled')
  isRefused(t, await verify(vpn, other.id, otherRight), 'challenge_canceled')
  t.match((await read(payroll, challenge.id)).body, { attemptsRemaining: 3 }, 'three were left')
})

t.test('wrong codes in a row on one method: the last usable one is locked until an administrator lifts it', async (t) => {
  const around = await scene(['mobilePhone', 'alternateEmail'])
  const { userId, ids, payroll, hans, ann, begin, tryToBegin, lockout } = around
  t.equal(await wearOut(around, ids.mobilePhone), 50)
  t.match((await ann.get(`/v1/users/me/contact-methods/${ids.mobilePhone}`)).body, { status: 'active', isDefault: true })
  await moveTo(payroll, (await payroll.get('/v1/sandbox/clock')).body.now, 7 * 86_400)
  t.match(await lockout(), { lockedUntil: null, lockedMethods: [ids.mobilePhone] })
  for (const more of [{}, { channel: 'voice' }, { purpose: 'recovery' }]) {
    const answer = await tryToBegin(ids.mobilePhone, more)
    isRefused(t, answer, 'user_locked', {}, 'a week later, too')
    t.notOk('retryAfterSeconds' in answer.body, 'waiting does not help')
  }
  const check = await begin(ids.mobilePhone, { purpose: 'callerCheck' }, hans)
  t.equal((await verify(hans, check.id, await codeOf(hans, check.id))).status, 200, 'the help desk can still call')
  t.match(await lockout(), { lockedMethods: [ids.mobilePhone] })
  const mailed = await begin(ids.alternateEmail, { purpose: 'recovery' })
  t.equal((await verify(payroll, mailed.id, await codeOf(payroll, mailed.id))).status, 200, 'another method is not locked')
  t.match(await lockout(), { lockedMethods: [ids.mobilePhone], wrongCodesInARow: 0 }, 'and lifts nothing')
  t.equal((await hans.delete(`/v1/users/${userId}/lockout`)).status, 204)
  const next = await begin(ids.mobilePhone)
  t.equal((await verify(payroll, next.id, await codeOf(payroll, next.id))).status, 200)
})

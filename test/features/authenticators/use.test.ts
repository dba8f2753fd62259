import t from 'tap'
import { decodeJwt } from 'jose'
import { auditOf, isRefused, setPolicy, startVerification } from '../../support/answers.ts'
import { moveTo, read, verify } from '../../support/challenges.ts'
import { countWrongCodes } from '../../support/limits.ts'
import { begunByPass, byPass, issued, otherValue } from '../../support/passes.ts'
import { raiseEpoch, registered, withProof } from '../../support/proofs.ts'
import { parseKeyRing } from '../../../src/platform/keys.ts'
import { testKeyRingText } from '../../support/keys.ts'
import { replicaOf } from '../../support/replicas.ts'
import { clientOf, codeOf, moveClock, testService } from '../../support/service.ts'

const service = await testService(t)

/** Ann with nothing but a password, the help desk, and an app that may know. */
async function scene () {
  const tenant = await service.tenant()
  await setPolicy(service, tenant, { registration: { firstRegistration: 'proof' } })
  const ann = await service.as({ tenant, subject: 'ann', amr: ['pwd'] })
  await ann.get('/v1/users/me')
  return {
    tenant, ann, hans: await service.as({ tenant, subject: 'hans', roles: ['helpdesk'] }),
    vpn: await service.as({ tenant, subject: 'vpn', kind: 'app', scopes: ['challenges:write', 'sign-in:read'] }),
    statusOf: async () => (await ann.get('/v1/users/me/authenticators')).body.items[0]?.status as string | undefined,
  }
}

t.test('with nothing but a pass a person registers: recovery, proof, a method, its code, active', async (t) => {
  const { tenant, ann, hans } = await scene()
  const mine = '/v1/users/me/contact-methods'
  const phone = { kind: 'mobilePhone', value: '+14155550144' }
  isRefused(t, await ann.post(mine, phone), 'proof_required')
  const pass = await issued(hans, 'ann')
  const started = await byPass(ann)
  t.match(started, { status: 201, headers: { location: `/v1/challenges/${started.body.id}` } })
  t.strictSame({ ...started.body, id: '', createdAt: '', expiresAt: '' }, {
    id: '', status: 'pending', purpose: 'recovery', channel: 'temporaryAccessPass', methodId: pass.authenticatorId, destination: null, codeLength: null, attemptsRemaining: 5, sendsRemaining: 0,
    expiresAt: '', resendAvailableAt: null, createdAt: '', endedAt: null, delivery: null,
  })
  t.strictSame((await read(ann, started.body.id)).body, started.body)
  isRefused(t, await ann.post(`/v1/challenges/${started.body.id}/resend`), 'nothing_to_resend')
  const approval = await verify(ann, started.body.id, pass.value)
  t.match(approval, { status: 200, body: { challengeId: started.body.id, status: 'approved' } })
  t.match(decodeJwt(approval.body.proof), { sub: 'ann', jti: started.body.id, purpose: 'recovery', amr: ['otp'], acr: 'latchkey:recovery', epoch: 0 })
  const proof = withProof(approval.body.proof)
  const added = await ann.post(mine, phone, proof)
  t.equal(added.status, 201)
  const challenge = await startVerification(ann, added.body.id)
  t.equal((await verify(ann, challenge, await codeOf(ann, challenge), proof)).status, 200)
  t.match((await ann.get(`${mine}/${added.body.id}`)).body, { status: 'active', isDefault: true })
  t.match(await auditOf(service, tenant, 'action=pass.used'), [{ actor: { kind: 'person', id: 'ann' }, userId: 'ann', details: { challengeId: started.body.id, methodId: pass.authenticatorId, purpose: 'recovery' } }])
  t.equal((await ann.get('/v1/sandbox/messages?channel=voice')).body.items.length, 0)
})

t.test('it is read without case, spaces and hyphens, and with what looks alike', async (t) => {
  const { ann, hans } = await scene()
  const pass = await issued(hans, 'ann', { oneTime: false })
  const groups = pass.value.match(/.{4}/g)!
  const ways = [pass.value.toLowerCase(), groups.join('-'), ` ${groups.join(' ')}\n`, pass.value.replaceAll('0', 'o').replaceAll('1', 'l'), pass.value.replaceAll('0', 'O').replaceAll('1', 'I')]
  for (const way of ways) t.equal((await verify(ann, (await begunByPass(ann)).id, way)).status, 200, JSON.stringify(way))
  t.match((await ann.get('/v1/users/me/authenticators')).body.items, [{ status: 'active', oneTime: false, lastUsedAt: String }])
})

t.test('whatever else is entered is a wrong code, and counted', async (t) => {
  const { ann, hans } = await scene()
  const pass = await issued(hans, 'ann')
  const { id } = await begunByPass(ann)
  isRefused(t, await ann.post(`/v1/challenges/${id}/verify`, { assertion: {} }), 'channel_not_available')
  for (const [left, wrong] of [[3, otherValue(pass.value)], [2, `${pass.value}0`], [1, '７KQ2!"§$%&/()=']] as const) {
    const answer = await verify(ann, id, wrong)
    isRefused(t, answer, 'wrong_code', {}, wrong)
    t.equal(answer.body.attemptsRemaining, left)
  }
  t.equal((await verify(ann, id, pass.value)).status, 200, 'the last try is as good as the first')
})

t.test('five wrong tries in a row, over however many challenges and callers, make it void', async (t) => {
  const { tenant, ann, hans, vpn } = await scene()
  const pass = await issued(hans, 'ann', { oneTime: false })
  const wrong = otherValue(pass.value)
  const first = await begunByPass(ann)
  for (let time = 0; time < 2; time++) isRefused(t, await verify(ann, first.id, wrong), 'wrong_code')
  const second = await begunByPass(vpn, 'ann', { purpose: 'signIn' })
  t.equal(second.attemptsRemaining, 3, 'a new challenge resets nothing')
  const third = await begunByPass(ann)
  t.match((await read(ann, first.id)).body, { status: 'canceled' }, 'a newer one takes its place')
  isRefused(t, await verify(ann, third.id, wrong), 'wrong_code')
  t.equal((await verify(vpn, second.id, pass.value)).status, 200)
  const fourth = await begunByPass(vpn, 'ann', { purpose: 'signIn' })
  t.equal(fourth.attemptsRemaining, 5, 'a right one clears the count')
  for (let left = 4; left > 0; left--) t.match((await verify(vpn, fourth.id, wrong)).body, { code: 'wrong_code', attemptsRemaining: left })
  const fifth = await verify(ann, third.id, wrong)
  isRefused(t, fifth, 'wrong_code')
  for (const [client, { id }] of [[ann, third], [vpn, fourth]] as const) {
    isRefused(t, await verify(client, id, pass.value), 'challenge_canceled')
    t.match((await read(client, id)).body, { status: 'canceled' })
  }
  isRefused(t, await byPass(ann), 'no_usable_method')
  isRefused(t, await byPass(ann, 'me', { methodId: pass.authenticatorId }), 'no_usable_method')
  t.same((await ann.get('/v1/users/me/authenticators')).body.items, [])
  t.match(await auditOf(service, tenant, 'action=pass.voided'), [{ userId: 'ann', details: { authenticatorId: pass.authenticatorId, reason: 'wrongCodes' } }])
  t.equal((await ann.get('/v1/users/me/lockout')).body.wrongCodesInARow, 0, 'none of them counts towards the lock')
})

t.test('the fifth wrong try of one challenge ends both', async (t) => {
  const { ann, hans } = await scene()
  const pass = await issued(hans, 'ann')
  const { id } = await begunByPass(ann)
  for (let time = 0; time < 5; time++) isRefused(t, await verify(ann, id, otherValue(pass.value)), 'wrong_code')
  isRefused(t, await verify(ann, id, pass.value), 'challenge_exhausted')
  t.match((await read(ann, id)).body, { status: 'exhausted', attemptsRemaining: 0 })
  isRefused(t, await byPass(ann), 'no_usable_method')
})

t.test('once is once, also for challenges that were started before; many times is many', async (t) => {
  const { ann, hans, vpn, statusOf } = await scene()
  const once = await issued(hans, 'ann')
  const [mine, theirs] = [await begunByPass(ann), await begunByPass(vpn, 'ann', { purpose: 'stepUp' })]
  t.equal((await verify(ann, mine.id, once.value)).status, 200)
  t.equal(await statusOf(), 'used')
  isRefused(t, await verify(ann, mine.id, once.value), 'challenge_approved')
  isRefused(t, await verify(vpn, theirs.id, once.value), 'challenge_canceled')
  for (const more of [{}, { methodId: once.authenticatorId }]) isRefused(t, await byPass(ann, 'me', more), 'no_usable_method')

  const many = await issued(hans, 'ann', { oneTime: false })
  for (const purpose of ['recovery', 'stepUp'] as const) t.equal((await verify(ann, (await begunByPass(ann, 'me', { purpose })).id, many.value)).status, 200)
  t.equal((await verify(vpn, (await begunByPass(vpn, 'ann', { purpose: 'signIn' })).id, many.value)).status, 200)
  t.equal(await statusOf(), 'active')
})

t.test('it is good from its start to its end, by the sandbox\'s clock', async (t) => {
  const { ann, hans, statusOf } = await scene()
  const startsAt = new Date(Date.now() + 3_600_000).toISOString()
  const pass = await issued(hans, 'ann', { startsAt, lifetimeMinutes: 10 })
  t.match(pass, { startsAt, expiresAt: new Date(Date.parse(startsAt) + 600_000).toISOString() })
  t.equal(await statusOf(), 'pending')
  isRefused(t, await byPass(ann), 'no_usable_method', {}, 'not yet')
  await moveTo(ann, startsAt, 1)
  t.equal(await statusOf(), 'active')
  const early = await begunByPass(ann)
  await moveTo(ann, pass.expiresAt, -2)
  const late = await begunByPass(ann)
  t.match((await read(ann, early.id)).body.status, /canceled|expired/)
  await moveTo(ann, pass.expiresAt, 1)
  t.equal(await statusOf(), 'expired')
  isRefused(t, await verify(ann, late.id, pass.value), 'challenge_canceled', {}, 'over while the challenge goes on')
  isRefused(t, await byPass(ann), 'no_usable_method')
})

t.test('a lock does not hold for a pass, and a right one lifts it', async (t) => {
  const { tenant, hans, vpn } = await scene()
  await registered(service, tenant, 'bob', ['mobilePhone'])
  await countWrongCodes(service, tenant, 'bob', { inARow: 10, lockedSeconds: 900 })
  const pass = await issued(hans, 'bob')
  isRefused(t, await vpn.post('/v1/challenges', { userId: 'bob', purpose: 'signIn' }), 'user_locked')
  const { id } = await begunByPass(vpn, 'bob', { purpose: 'signIn' })
  isRefused(t, await verify(vpn, id, otherValue(pass.value)), 'wrong_code')
  t.equal((await verify(vpn, id, pass.value)).status, 200)
  t.equal((await vpn.get('/v1/users/bob/lockout')).body.lockedUntil, null)
})

t.test('a recovery without a channel goes over the pass of who has nothing else, and by its id', async (t) => {
  const { tenant, ann, hans, vpn } = await scene()
  const start = (more: object = {}) => ann.post('/v1/challenges', { userId: 'me', purpose: 'recovery', ...more })
  isRefused(t, await start(), 'no_usable_method')
  const pass = await issued(hans, 'ann')
  t.match((await start()).body, { channel: 'temporaryAccessPass', methodId: pass.authenticatorId })
  t.match((await start({ methodId: pass.authenticatorId.toUpperCase() })).body, { channel: 'temporaryAccessPass', methodId: pass.authenticatorId })
  isRefused(t, await start({ methodId: pass.authenticatorId, channel: 'sms' }), 'not_found')
  isRefused(t, await vpn.post('/v1/challenges', { userId: 'ann', purpose: 'signIn' }), 'no_usable_method', {}, 'a sign-in asks for it by name')
  t.match((await vpn.post('/v1/challenges', { userId: 'ann', purpose: 'signIn', methodId: pass.authenticatorId })).body, { channel: 'temporaryAccessPass' })

  const ids = await registered(service, tenant, 'bob', ['mobilePhone'])
  await issued(hans, 'bob')
  t.match((await vpn.post('/v1/challenges', { userId: 'bob', purpose: 'recovery' })).body, { channel: 'sms' })
  isRefused(t, await byPass(vpn, 'bob', { methodId: ids.mobilePhone }), 'channel_not_available')
  isRefused(t, await byPass(vpn, 'bob', { methodId: pass.authenticatorId }), 'not_found', {}, 'someone else\'s')
})

t.test('only for recovery, sign-in and step-up; not to recover where the policy takes none', async (t) => {
  const { tenant, ann, hans, vpn } = await scene()
  await issued(hans, 'ann')
  isRefused(t, await byPass(hans, 'ann', { purpose: 'callerCheck' }), 'channel_not_available')
  isRefused(t, await byPass(vpn, 'ann', { purpose: 'transaction', context: { display: 'x' } }), 'channel_not_available')
  await setPolicy(service, tenant, { registration: { proofs: ['phone'] } })
  isRefused(t, await byPass(ann), 'channel_not_available')
  isRefused(t, await ann.post('/v1/challenges', { userId: 'me', purpose: 'recovery' }), 'no_usable_method')
  await setPolicy(service, tenant, { registration: { proofs: ['temporaryAccessPass'] } })
  t.match((await ann.post('/v1/challenges', { userId: 'me', purpose: 'recovery' })).body, { channel: 'temporaryAccessPass' })
})

t.test('a raised epoch, and a disabled user, end it', async (t) => {
  const { tenant, ann, hans, vpn } = await scene()
  const pass = await issued(hans, 'ann', { oneTime: false })
  const { id } = await begunByPass(ann)
  await raiseEpoch(service, tenant, 'ann')
  isRefused(t, await verify(ann, id, pass.value), 'challenge_canceled')
  isRefused(t, await byPass(ann), 'no_usable_method')
  const next = await issued(hans, 'ann')
  const challenge = await begunByPass(vpn, 'ann')
  await (await service.as({ tenant, subject: 'petra', roles: ['privilegedAdmin'] })).put('/v1/users/ann', { status: 'disabled' })
  isRefused(t, await verify(vpn, challenge.id, next.value), 'challenge_canceled')
  isRefused(t, await byPass(vpn, 'ann'), 'no_usable_method')
})

t.test('it takes no send of anyone, and none is left for it to wait for', async (t) => {
  const { tenant, ann, hans, vpn } = await scene()
  await setPolicy(service, tenant, { limits: { userPerHour: 1 }, sendsPerDay: 1 })
  await issued(hans, 'ann')
  for (let time = 0; time < 4; time++) await begunByPass(time % 2 === 0 ? ann : vpn, time % 2 === 0 ? 'me' : 'ann', { clientAddress: '203.0.113.7' })
  await moveClock(ann, 1)
  await registered(service, tenant, 'ann', ['mobilePhone'])
  t.match((await vpn.post('/v1/challenges', { userId: 'ann', purpose: 'signIn' })).status, 201)
})

t.test('a lost answer is given again with its key, and the pass is used once', async (t) => {
  const { ann, hans } = await scene()
  const pass = await issued(hans, 'ann')
  const key = { 'idempotency-key': 'once' }
  const start = await ann.post('/v1/challenges', { userId: 'me', purpose: 'recovery', channel: 'temporaryAccessPass' }, key)
  t.match(await ann.post('/v1/challenges', { userId: 'me', purpose: 'recovery', channel: 'temporaryAccessPass' }, key), { status: 201, headers: { 'idempotent-replayed': 'true' }, body: start.body })
  const once = { 'idempotency-key': 'check' }
  const first = await verify(ann, start.body.id, pass.value, once)
  const again = await verify(ann, start.body.id, pass.value, once)
  t.match(again, { status: 200, headers: { 'idempotent-replayed': 'true' } })
  t.strictSame(decodeJwt(again.body.proof), decodeJwt(first.body.proof))
})

t.test('a pass of before a rotation of the keys is good after it', async (t) => {
  const before = await testService(t, { keyRing: parseKeyRing(testKeyRingText.split(',')[0]!) })
  const tenant = await before.tenant()
  const ann = await before.as({ tenant, subject: 'ann', amr: ['pwd'] })
  await ann.get('/v1/users/me')
  const pass = await issued(await before.as({ tenant, subject: 'hans', roles: ['helpdesk'] }), 'ann', { oneTime: false })
  const { id } = await begunByPass(ann)
  const after = clientOf(await replicaOf(t, before), ann.token)
  t.equal((await verify(after, id, pass.value)).status, 200)
  t.equal((await verify(after, (await begunByPass(after)).id, pass.value)).status, 200)
})

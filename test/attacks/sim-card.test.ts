import t from 'tap'
import { isRefused, setPolicy, startVerification } from '../support/answers.ts'
import { start, started, verify } from '../support/challenges.ts'
import { noticesIn } from '../support/notices.ts'
import { begunByPass, byPass, issued } from '../support/passes.ts'
import { withProof } from '../support/proofs.ts'
import { proofByPass, resetDone, resetStage } from '../support/resets.ts'
import { codeOf, moveClock, testService } from '../support/service.ts'

/** The thief has Ann's password and a copy of her SIM card, so that every message to her number is theirs; the help desk has reset her as `compromised`. */
const service = await testService(t)
const mine = '/v1/users/me/contact-methods'
const hers = '+14155550132'
const day = 86_400

async function scene () {
  const stage = await resetStage(service)
  await setPolicy(service, stage.tenant, { registration: { firstRegistration: 'proof' } })
  const session = await service.as({ tenant: stage.tenant, subject: 'ann', amr: ['pwd', 'sms'], authSecondsAgo: 30 })
  await session.get('/v1/users/me')
  const recovery = await started(session, stage.ids.mobilePhone!, { purpose: 'recovery' })
  const late = { challenge: recovery.id as string, code: await codeOf(session, recovery.id) }
  await resetDone(stage.helen, 'ann', { reason: 'compromised' })
  return { ...stage, session, late, thief: await stage.signsIn() }
}

t.test('what they held before the reset is worth nothing: the session, the code, a proof', async (t) => {
  const { session, late, thief, tenant } = await scene()
  isRefused(t, await session.get('/v1/users/me'), 'invalid_token')
  isRefused(t, await verify(thief, late.challenge, late.code), 'challenge_canceled')
  const strong = await service.as({ tenant, subject: 'ann', amr: ['pwd', 'sms'], authSecondsAgo: 30 })
  isRefused(t, await strong.post(mine, { kind: 'mobilePhone', value: hers }), 'invalid_token', {}, 'nor does a new token for the old sign-in')
})

t.test('neither the number nor the mailbox recovers, now or a day later', async (t) => {
  const { thief, ids, app, helen, signsIn } = await scene()
  for (const days of [0, 2]) {
    await moveClock(helen, days * day)
    const client = days === 0 ? thief : await signsIn()
    t.match((await app.get('/v1/users/ann/sign-in-requirements')).body.registration.acceptedProofs, [{ channel: 'temporaryAccessPass' }])
    t.equal((await app.get('/v1/users/ann/sign-in-requirements')).body.registration.acceptedProofs.length, 1)
    for (const methodId of [ids.mobilePhone, ids.alternateEmail]) isRefused(t, await client.post('/v1/challenges', { userId: 'me', purpose: 'recovery', methodId }), 'not_found')
    isRefused(t, await client.post('/v1/challenges', { userId: 'me', purpose: 'recovery' }), 'no_usable_method')
    for (const method of [{ kind: 'mobilePhone', value: hers }, { kind: 'alternateEmail', value: 'someone@example.org' }]) isRefused(t, await client.post(mine, method), 'proof_required')
  }
})

t.test('no notice of it has a link, so that whoever reads Ann\'s messages cannot freeze her out', async (t) => {
  const { helen } = await scene()
  const told = (await noticesIn(helen)).filter(({ body }) => /reset/i.test(body))
  t.ok(told.length >= 2, `${told.length} were told`)
  for (const { body } of told) t.notMatch(body, /not-me/)
})

t.test('once Ann has registered another number with a pass, the old one is a stranger\'s', async (t) => {
  const { helen, app, ids, signsIn } = await scene()
  const pass = await issued(helen, 'ann', { oneTime: false })
  const ann = await signsIn()
  const proof = withProof(await proofByPass(ann, pass.value))
  const { body: { id } } = await ann.post(mine, { kind: 'mobilePhone', value: '+14155550188' }, proof)
  const challenge = await startVerification(ann, id)
  t.equal((await verify(ann, challenge, await codeOf(ann, challenge), proof)).status, 200)
  const thief = await signsIn()
  isRefused(t, await start(thief, ids.mobilePhone!, { purpose: 'stepUp' }), 'not_found')
  isRefused(t, await thief.patch(`${mine}/${id}`, { value: hers }), 'insufficient_user_authentication')
  isRefused(t, await thief.delete(`${mine}/${id}`), 'insufficient_user_authentication')
  t.match((await app.get('/v1/users/ann/sign-in-requirements')).body, { state: 'registered', methods: [{ id }] })
})

t.test('a guessed pass: five tries over all challenges, and it is gone', async (t) => {
  const { helen, thief } = await scene()
  await issued(helen, 'ann')
  const first = await begunByPass(thief)
  for (let guess = 0; guess < 3; guess++) isRefused(t, await verify(thief, first.id, `AAAAAAAAAAA${guess}`), 'wrong_code')
  const second = await begunByPass(thief)
  for (let guess = 3; guess < 5; guess++) isRefused(t, await verify(thief, second.id, `AAAAAAAAAAA${guess}`), 'wrong_code')
  isRefused(t, await byPass(thief), 'no_usable_method')
})

import t from 'tap'
import { isRefused, setPolicy, startVerification } from '../support/answers.ts'
import { started, verify } from '../support/challenges.ts'
import { pathTo, press, toldBy } from '../support/notices.ts'
import { issue, issued } from '../support/passes.ts'
import { proofOf, withProof } from '../support/proofs.ts'
import { proofByPass, reset, resetDone, resetStage } from '../support/resets.ts'
import { codeOf, moveClock, testService, verifiedMethod } from '../support/service.ts'

/** The thief has Ann's password and nothing else: a token of hers that says no more than that. */
const service = await testService(t)
const mine = '/v1/users/me/contact-methods'
const theirs = { kind: 'officePhone', value: '+14155550177' }
const hour = 3_600

async function scene (having: Parameters<typeof resetStage>[1] = ['mobilePhone', 'alternatePhone', 'alternateEmail']) {
  const stage = await resetStage(service, having)
  await setPolicy(service, stage.tenant, { registration: { firstRegistration: 'proof' } })
  return { ...stage, thief: await stage.signsIn() }
}

t.test('registers: not beside Ann\'s own methods, and not where she has none', async (t) => {
  const { thief } = await scene()
  isRefused(t, await thief.post(mine, theirs), 'insufficient_user_authentication')
  const { thief: early } = await scene([])
  for (const kind of ['mobilePhone', 'officePhone']) isRefused(t, await early.post(mine, { ...theirs, kind }), 'proof_required')
  isRefused(t, await early.post(mine, { kind: 'alternateEmail', value: 'thief@example.net' }), 'proof_required')
})

t.test('CVE-2026-3429: takes the strong method away first, or makes a weak one the default', async (t) => {
  const { thief, ids, helen } = await scene()
  const { authenticatorId } = await issued(helen, 'ann')
  for (const attempt of [
    thief.delete(`${mine}/${ids.mobilePhone}`), thief.delete(`${mine}/${ids.alternateEmail}`), thief.patch(`${mine}/${ids.mobilePhone}`, { value: '+14155550177' }), thief.patch(`${mine}/${ids.mobilePhone}`, { label: 'x' }),
    thief.put('/v1/users/me/default-method', { methodId: ids.alternatePhone }), thief.delete(`/v1/users/me/authenticators/${authenticatorId}`), thief.post('/v1/users/me/session-revocations'), thief.get('/v1/users/me/export'),
  ]) isRefused(t, await attempt, 'insufficient_user_authentication')
})

t.test('sees no number in full, and nothing that can be guessed from', async (t) => {
  const { thief } = await scene()
  for (const path of ['/v1/users/me', mine, `${mine}?reveal=true`, '/v1/users/me/sign-in-requirements', '/v1/users/me/timeline']) {
    const { status, text } = await thief.get(path)
    t.equal(status, 200, path)
    t.notMatch(text, /41555501|someone@/, path)
  }
})

t.test('is their own administrator: no reset, no pass, no lifted lock, no off-boarding', async (t) => {
  const { thief } = await scene()
  for (const userId of ['ann', 'me']) {
    isRefused(t, await reset(thief, userId), 'forbidden', { rule: 'role' })
    isRefused(t, await issue(thief, userId), 'forbidden', { rule: 'role' })
    isRefused(t, await thief.delete(`/v1/users/${userId}/lockout`), 'forbidden', { rule: 'role' })
    isRefused(t, await thief.put(`/v1/users/${userId}`, { signInEmail: 'thief@example.net' }), 'forbidden', { rule: 'role' })
    isRefused(t, await thief.post(`/v1/users/${userId}/offboarding`), 'forbidden', { rule: 'role' })
  }
})

t.test('brings the proof of someone else, of another purpose, or of a time before the reset', async (t) => {
  const { tenant, thief, helen, signsIn } = await scene()
  const bobs = await proofOf(service, tenant, { userId: 'bob' })
  for (const proof of [bobs, await proofOf(service, tenant, { userId: 'ann', purpose: 'verifyContact' }), await proofOf(service, tenant, { userId: 'ann', starter: { kind: 'app', id: 'shop' } })]) {
    isRefused(t, await thief.post(mine, theirs, withProof(proof)), 'insufficient_user_authentication')
  }
  const old = await proofOf(service, tenant, { userId: 'ann', purpose: 'recovery' })
  await resetDone(helen, 'ann')
  isRefused(t, await (await signsIn()).post(mine, theirs, withProof(old)), 'proof_required')
})

t.test('recovers by the e-mail that was bound a moment ago', async (t) => {
  const { as, helen, tenant } = await scene([])
  await setPolicy(service, tenant, { registration: { firstRegistration: 'password' } })
  const thief = await as('ann', { amr: ['pwd'] })
  const email = await verifiedMethod(thief, { kind: 'alternateEmail', value: 'thief@example.net' })
  await verifiedMethod(await as('ann'), { kind: 'mobilePhone', value: '+14155550132' })
  await resetDone(helen, 'ann')
  const again = await as('ann', { amr: ['pwd'] })
  const challenge = await started(again, email.id, { purpose: 'recovery' })
  const { body: { proof } } = await verify(again, challenge.id, await codeOf(again, challenge.id))
  isRefused(t, await again.post(mine, theirs, withProof(proof)), 'proof_required')
})

t.test('has an app bring the number, and verifies it with the password', async (t) => {
  const { as } = await scene()
  const hr = await as('hr', { kind: 'app', scopes: ['contact-methods:write'] })
  const { body: { id } } = await hr.post('/v1/users/ann/contact-methods', theirs)
  const thief = await as('ann', { amr: ['pwd'] })
  const challenge = await startVerification(thief, id)
  isRefused(t, await verify(thief, challenge, await codeOf(thief, challenge)), 'insufficient_user_authentication')
  t.match((await thief.get(`${mine}/${id}`)).body, { status: 'pending' })
  const ann = await as('ann')
  await moveClock(ann, 60)
  const hers = await startVerification(ann, id)
  t.equal((await verify(ann, hers, await codeOf(ann, hers))).status, 200, 'Ann, with her second factor, does')
})

t.test('with a pass that reached them in time: Ann\'s link ends it, and waiting out the freeze does not bring it back', async (t) => {
  const { helen, ids, as, app } = await scene()
  const told = await toldBy(helen, async () => {
    const pass = await issued(helen, 'ann', { oneTime: false })
    const thief = await as('ann', { amr: ['pwd'] })
    const proof = withProof(await proofByPass(thief, pass.value))
    const { body: { id } } = await thief.post(mine, theirs, proof)
    const challenge = await startVerification(thief, id)
    t.equal((await verify(thief, challenge, await codeOf(thief, challenge), proof)).status, 200, 'a pass is as good as the strongest method')
    ids.planted = id
  })
  t.equal((await press(service, pathTo(told, 'someone@example.org'))).statusCode, 200)
  await moveClock(helen, 24 * hour + 60)
  const thief = await as('ann', { amr: ['pwd'] })
  const { body: requirements } = await app.get('/v1/users/ann/sign-in-requirements')
  t.match(requirements, { state: 'reregistrationRequired', methods: [] })
  t.notOk(requirements.registration.acceptedProofs.some(({ methodId }: { methodId?: string }) => methodId === ids.planted), 'the number that was planted is no way back')
  const challenge = await started(thief, ids.planted!, { purpose: 'recovery' })
  const { body: { proof } } = await verify(thief, challenge.id, await codeOf(thief, challenge.id))
  isRefused(t, await thief.post(mine, { kind: 'mobilePhone', value: '+14155550188' }, withProof(proof)), 'proof_required')
})

t.test('guesses the link of Ann\'s notice', async (t) => {
  const { helen, as, ids } = await scene()
  const ann = await as('ann')
  const told = await toldBy(helen, () => ann.delete(`${mine}/${ids.alternatePhone}`))
  const path = pathTo(told, 'someone@example.org')
  const last = path.at(-1)!
  for (const altered of [`${path.slice(0, -1)}${last === 'A' ? 'B' : 'A'}`, `${path}A`, path.slice(0, -2)]) t.equal((await press(service, altered)).statusCode, 404)
  t.match((await ann.get('/v1/users/me/lockout')).body, { frozenUntil: null })
})

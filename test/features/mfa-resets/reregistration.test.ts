import t from 'tap'
import { isRefused, setPolicy } from '../../support/answers.ts'
import { start, verify } from '../../support/challenges.ts'
import { proofByPass, reset, resetDone, resetStage } from '../../support/resets.ts'
import { codeOf, moveClock, testService, type Client } from '../../support/service.ts'

const service = await testService(t)
const requirements = async (client: Client) => (await client.get('/v1/users/ann/sign-in-requirements')).body

/** Adds a method and verifies it, both with a proof. */
async function registers (client: Client, kind: string, value: string, proof: Record<string, string>): Promise<void> {
  const added = await client.post('/v1/users/me/contact-methods', { kind, value }, proof)
  if (added.status !== 201) throw new Error(`adding answered ${added.status} ${added.text}`)
  const challenge = await start(client, added.body.id)
  const approved = await verify(client, challenge.body.id, await codeOf(client, challenge.body.id), proof)
  if (approved.status !== 200) throw new Error(`verifying answered ${approved.status} ${approved.text}`)
}

t.test('required, in progress, and over by itself once all that the policy asks for was verified after the reset', async (t) => {
  const { tenant, helen, app, signsIn } = await resetStage(service, ['mobilePhone', 'alternatePhone', 'alternateEmail'])
  await setPolicy(service, tenant, { registration: { required: [{ count: 1, oneOf: ['mobilePhone'] }, { count: 1, oneOf: ['alternatePhone'] }] } })
  t.match(await requirements(app), { state: 'registered' })
  const { temporaryAccessPass: pass } = await resetDone(helen, 'ann', { scope: 'kinds', kinds: ['mobilePhone'], temporaryAccessPass: {} })
  const required = await requirements(app)
  t.match(required, { state: 'reregistrationRequired', next: 'register' })
  t.equal(required.registration.missing.length, 2, 'the alternate phone of before does not count')
  const bare = await signsIn()
  const proof = { 'latchkey-proof': await proofByPass(bare, pass.value) }
  await registers(bare, 'mobilePhone', '+14155550177', proof)
  t.match(await requirements(app), { state: 'reregistrationInProgress', next: 'register', registration: { missing: [{ count: 1, oneOf: ['alternatePhone'] }] } })

  const old = (await bare.get('/v1/users/me/contact-methods')).body.items.find(({ kind }: any) => kind === 'alternatePhone')
  isRefused(t, await bare.patch(`/v1/users/me/contact-methods/${old.id}`, { value: '+14155550178' }, proof), 'proof_required', {}, 'what was verified before is changed with more than a pass')
  const challenge = await start(bare, old.id)
  t.equal(challenge.status, 201, challenge.text)
  const code = await codeOf(bare, challenge.body.id)
  isRefused(t, await verify(bare, challenge.body.id, code), 'proof_required')
  const approved = await verify(bare, challenge.body.id, code, proof)
  t.equal(approved.status, 200, approved.text)
  t.match(await requirements(app), { state: 'registered', since: null })
  isRefused(t, await start(bare, old.id), 'method_not_usable', {}, 'once it is over, nothing of it waits')
})

t.test('what an administrator vouches for does not end it; what they add and the person verifies does', async (t) => {
  const { tenant, helen, paul, app, signsIn } = await resetStage(service)
  await setPolicy(service, tenant, { preVerified: true })
  const { temporaryAccessPass: pass } = await resetDone(helen, 'ann', { temporaryAccessPass: {} })
  t.equal((await paul.post('/v1/users/ann/contact-methods', { kind: 'mobilePhone', value: '+14155550177', preVerified: true, reason: 'seen in person' })).status, 201)
  t.match(await requirements(app), { state: 'reregistrationRequired' })
  const { body: listed } = await helen.get('/v1/users/ann/contact-methods')
  await helen.delete(`/v1/users/ann/contact-methods/${listed.items.find(({ kind }: any) => kind === 'mobilePhone').id}`)
  const added = await helen.post('/v1/users/ann/contact-methods', { kind: 'mobilePhone', value: '+14155550178' })
  t.equal(added.status, 201, added.text)
  const bare = await signsIn()
  const challenge = await start(bare, added.body.id)
  const code = await codeOf(bare, challenge.body.id)
  isRefused(t, await verify(bare, challenge.body.id, code), 'proof_required')
  t.equal((await verify(bare, challenge.body.id, code, { 'latchkey-proof': await proofByPass(bare, pass.value) })).status, 200)
  t.match(await requirements(app), { state: 'registered' })
})

t.test('where the policy has a deadline, it is over after it, until another reset', async (t) => {
  const { tenant, helen, app, signsIn } = await resetStage(service)
  await setPolicy(service, tenant, { registration: { deadlineDays: 3 } })
  const { temporaryAccessPass: pass } = await resetDone(helen, 'ann', { temporaryAccessPass: { lifetimeMinutes: 480 } })
  const { since, registration } = await requirements(app)
  t.equal(Date.parse(registration.deadline) - Date.parse(since), 3 * 86_400_000)
  const bare = await signsIn()
  const proof = { 'latchkey-proof': await proofByPass(bare, pass.value) }
  const added = await bare.post('/v1/users/me/contact-methods', { kind: 'mobilePhone', value: '+14155550177' }, proof)
  await moveClock(app, 3 * 86_400 - 60)
  const challenge = await start(bare, added.body.id)
  t.notOk(challenge.status === 201, 'what was added three days ago waits no more')
  t.match(await requirements(app), { state: 'reregistrationRequired' })
  await moveClock(app, 3 * 86_400 + 1)
  t.match(await requirements(app), { state: 'reregistrationExpired', next: 'deny', methods: [] })
  isRefused(t, await bare.post('/v1/users/me/contact-methods', { kind: 'mobilePhone', value: '+14155550177' }, proof), 'forbidden', { rule: 'registration_deadline' })
  const again = await resetDone(helen, 'ann', { temporaryAccessPass: {} })
  t.match(await requirements(app), { state: 'reregistrationRequired', next: 'register' })
  const later = await signsIn()
  await registers(later, 'mobilePhone', '+14155550177', { 'latchkey-proof': await proofByPass(later, again.temporaryAccessPass.value) })
  t.match(await requirements(app), { state: 'registered' })
})

t.test('where the policy asks for a caller check, it arms one reset, by whom and for whom it was done, for 15 minutes', async (t) => {
  const { tenant, helen, as } = await resetStage(service)
  await setPolicy(service, tenant, { callerCheck: 'required' })
  const checked = async (client: Client) => {
    const challenge = await client.post('/v1/challenges', { userId: 'ann', purpose: 'callerCheck', channel: 'email' })
    if (challenge.status !== 201) throw new Error(challenge.text)
    await verify(client, challenge.body.id, await codeOf(client, challenge.body.id))
    return challenge.body.id as string
  }
  isRefused(t, await reset(helen, 'ann'), 'forbidden', { rule: 'caller_check' })
  const callerChallengeId = await checked(helen)
  isRefused(t, await reset(await as('hugo', { roles: ['helpdesk'] }), 'ann', { callerChallengeId }), 'forbidden', { rule: 'caller_check' })
  t.equal((await reset(helen, 'ann', { callerChallengeId })).status, 201)
  await moveClock(helen, 11)
  isRefused(t, await reset(helen, 'ann', { callerChallengeId }), 'forbidden', { rule: 'caller_check' }, 'once')
  await moveClock(helen, 60)
  const stale = await checked(helen)
  await moveClock(helen, 60 + 901)
  isRefused(t, await reset(helen, 'ann', { callerChallengeId: stale }), 'forbidden', { rule: 'caller_check' })
})

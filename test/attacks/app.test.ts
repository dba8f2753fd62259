import t from 'tap'
import { isRefused, startVerification } from '../support/answers.ts'
import { cancel, read, resend, started, verify } from '../support/challenges.ts'
import { pathTo, press, toldBy } from '../support/notices.ts'
import { withProof } from '../support/proofs.ts'
import { makePrivileged, reset, resetStage } from '../support/resets.ts'
import { codeOf, moveClock, otherCode, testService, type Client } from '../support/service.ts'
import type { Scope } from '../../src/vocabulary.ts'

/** An app of the tenant has been taken over: its token is good, and it does what it can. */
const service = await testService(t)
const anns = '/v1/users/ann/contact-methods'
const theirs = { kind: 'officePhone', value: '+14155550177' }

async function scene () {
  const stage = await resetStage(service, ['mobilePhone', 'alternatePhone', 'alternateEmail'])
  const app = (subject: string, ...scopes: Scope[]) => stage.as(subject, { kind: 'app', scopes })
  return { ...stage, evil: await app('evil', 'challenges:write', 'contact-methods:write', 'contact-methods:read', 'mfa-resets:write', 'users:write', 'sign-in:read'), appOf: app }
}

t.test('takes another app\'s challenge, its code or its proof', async (t) => {
  const { evil, appOf, ids } = await scene()
  const portal = await appOf('portal', 'challenges:write', 'sign-in:read', 'contact-methods:write')
  const { id } = await started(portal, ids.mobilePhone!, { userId: 'ann', purpose: 'stepUp' })
  const code = await codeOf(portal, id)
  for (const attempt of [read(evil, id), verify(evil, id, code), resend(evil, id), cancel(evil, id)]) isRefused(t, await attempt, 'not_found')
  const own = await started(evil, ids.alternatePhone!, { userId: 'ann', purpose: 'stepUp' })
  isRefused(t, await verify(evil, own.id, code === await codeOf(evil, own.id) ? otherCode(code) : code), 'wrong_code', {}, 'a code is for its own challenge')
  const { body: { proof } } = await verify(portal, id, code)
  isRefused(t, await evil.delete(`${anns}/${ids.alternateEmail}`, withProof(proof)), 'proof_required')
  t.equal((await portal.delete(`${anns}/${ids.alternateEmail}`, withProof(proof))).status, 204)
})

t.test('makes a proof for signing in change the methods', async (t) => {
  const { evil, ids } = await scene()
  for (const purpose of ['signIn', 'transaction']) {
    const { id } = await started(evil, purpose === 'signIn' ? ids.mobilePhone! : ids.alternatePhone!, { userId: 'ann', purpose, ...(purpose === 'transaction' && { context: { display: 'Pay 1 to Bob' } }) })
    const { body: { proof } } = await verify(evil, id, await codeOf(evil, id))
    isRefused(t, await evil.patch(`${anns}/${ids.mobilePhone}`, { value: '+14155550177' }, withProof(proof)), 'proof_required', {}, purpose)
  }
})

t.test('brings a number and has it verified: not by itself, not by a second app, not by a person with the password alone', async (t) => {
  const { evil, appOf, as } = await scene()
  const added = await evil.post(anns, { ...theirs, isDefault: true })
  t.match(added, { status: 201, body: { status: 'pending', isDefault: false } })
  const accomplice = await appOf('accomplice', 'challenges:write', 'sign-in:read')
  for (const client of [evil, accomplice]) isRefused(t, await client.post('/v1/challenges', { userId: 'ann', purpose: 'verifyContact', methodId: added.body.id }), 'proof_required')
  const thief = await as('ann', { amr: ['pwd'] })
  const challenge = await startVerification(thief, added.body.id)
  isRefused(t, await verify(thief, challenge, await codeOf(thief, challenge)), 'insufficient_user_authentication')
  isRefused(t, await evil.post(anns, { kind: 'alternateEmail', value: 'x@example.net', preVerified: true, reason: 'x' }), 'forbidden', { rule: 'scope' })
})

t.test('resets, off-boards or makes ordinary whoever is privileged, or gives itself a pass', async (t) => {
  const { tenant, evil } = await scene()
  isRefused(t, await reset(evil, 'ann', { temporaryAccessPass: {} }), 'forbidden', { rule: 'scope' })
  isRefused(t, await evil.post('/v1/users/ann/authenticators/temporary-access-pass', {}), 'forbidden', { rule: 'scope' })
  await makePrivileged(service, tenant, 'ann')
  for (const more of [{}, { breakGlass: true }]) isRefused(t, await reset(evil, 'ann', more), 'forbidden', { rule: 'privileged_target' })
  isRefused(t, await evil.post('/v1/users/ann/offboarding'), 'forbidden', { rule: 'scope' })
  isRefused(t, await evil.delete('/v1/users/ann/privilege'), 'forbidden', { rule: 'scope' })
  isRefused(t, await evil.put('/v1/users/ann', { privileged: false }), 'forbidden', { rule: 'privileged_target' })
  isRefused(t, await evil.put('/v1/users/ann', { status: 'disabled' }), 'forbidden', { rule: 'privileged_target' })
  isRefused(t, await evil.put('/v1/users/ann', { signInEmail: 'evil@example.net' }), 'forbidden', { rule: 'privileged_target' })
  isRefused(t, await evil.post('/v1/users/ann/session-revocations'), 'forbidden', { rule: 'privileged_target' })
})

t.test('is called like a person, and is still nobody\'s self', async (t) => {
  const { as, ids } = await scene()
  const namesake = await as('ann', { kind: 'app', scopes: ['contact-methods:write', 'contact-methods:read', 'challenges:write', 'sign-in:read'] })
  for (const body of [theirs, { kind: 'alternateEmail', value: 'x@example.net' }]) t.notOk((await namesake.post(anns, body)).body.status === 'active')
  isRefused(t, await namesake.delete(`${anns}/${(await namesake.get(anns)).body.items[0].id}`), 'proof_required')
  const own = await as('ann')
  const challenge = await started(own, ids.mobilePhone!, { purpose: 'stepUp' })
  isRefused(t, await read(namesake, challenge.id), 'not_found', {}, 'a person\'s challenge is the person\'s')
})

/** What an app may learn of a start: everything but what differs for every start. */
const shapeOf = async (client: Client, userId: string, more: object) => {
  const { status, body, headers } = await client.post('/v1/challenges', { userId, ...more })
  const { id, methodId, destination, createdAt, expiresAt, resendAvailableAt, instance: _instance, ...rest } = body
  return JSON.stringify({ status, rest, headers: Object.keys(headers).toSorted((a, b) => a.localeCompare(b)), has: [id, methodId, createdAt, expiresAt, resendAvailableAt].map((value) => typeof value), destination: String(destination).replace(/\d/g, '#') })
}

t.test('CVE-2024-39891, CVE-2023-39522: a blind app finds nobody by asking: known, privileged, frozen, disabled, off-boarded and unknown look alike', async (t) => {
  const { tenant, paul, helen, as, appOf, ids } = await scene()
  const blind = await appOf('blind', 'challenges:write')
  const made = async (subject: string) => { await (await as(subject)).get('/v1/users/me'); return subject }
  const [boss, left, off] = [await made('boss'), await made('left'), await made('off')]
  await makePrivileged(service, tenant, boss)
  await paul.post(`/v1/users/${left}/offboarding`)
  await paul.put(`/v1/users/${off}`, { status: 'disabled' })
  const unknown = await shapeOf(blind, 'nobody', { purpose: 'signIn' })
  for (const userId of ['ann', boss, left, off]) t.equal(await shapeOf(blind, userId, { purpose: 'signIn' }), unknown, userId)
  const told = await toldBy(helen, async () => (await as('ann')).delete(`${anns}/${ids.alternatePhone}`))
  await press(service, pathTo(told, 'someone@example.org'))
  for (const [step, purpose] of (['recovery', 'verifyContact', 'stepUp'] as const).entries()) {
    await moveClock(helen, 600 * (step + 1))
    t.equal(await shapeOf(blind, 'ann', { purpose }), await shapeOf(blind, 'nobody', { purpose }), `frozen, ${purpose}`)
  }
})

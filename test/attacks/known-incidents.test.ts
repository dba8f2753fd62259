import t from 'tap'
import { isRefused, setPolicy } from '../support/answers.ts'
import { cancel, pendingMethod, read, resend, started, verify } from '../support/challenges.ts'
import { ask, operations, requestOf } from '../support/document.ts'
import { withProof } from '../support/proofs.ts'
import { resetDone, resetStage } from '../support/resets.ts'
import { codeOf, moveClock, otherCode, testService } from '../support/service.ts'

/** What went wrong elsewhere, and is not told by another test; docs/security.md has the table of all. */
const service = await testService(t)
const mine = '/v1/users/me/contact-methods'
const day = 86_400

t.test('CVE-2026-27946, CVE-2026-54693 (Zitadel): a user marks a number of their own as verified by changing it', async (t) => {
  const { as, helen } = await resetStage(service, [])
  const ann = await as('ann')
  const id = await pendingMethod(ann, { value: '+14155550132' })
  for (const extra of [{ status: 'active' }, { verifiedAt: '2026-11-22T09:30:00.000Z' }, { verified: true }, { pre_verified: true }, { addedBy: 'administrator' }, { version: 9 }, { tenantId: 'x' }, { userId: 'bob' }, { __proto__: null, constructor: {} }]) {
    isRefused(t, await ann.patch(`${mine}/${id}`, extra), 'validation_failed', {}, JSON.stringify(extra))
    isRefused(t, await ann.post(mine, { kind: 'alternatePhone', value: '+14155550133', ...extra }), 'validation_failed')
  }
  isRefused(t, await ann.put('/v1/users/me/default-method', { methodId: id }), 'method_not_usable')
  t.match((await helen.get('/v1/users/ann/contact-methods')).body.items, [{ id, status: 'pending', verifiedAt: null, version: 1 }])
})

t.test('CVE-2025-64103 (Zitadel), CVE-2026-45690 (Nextcloud), CVE-2026-33315 (Vikunja): a token from before the second factor works at another door', async (t) => {
  const { signsIn, helen, paul, ids: { alternateEmail: methodId = '' } } = await resetStage(service, ['mobilePhone', 'alternatePhone', 'alternateEmail'])
  const pass = await helen.post('/v1/users/ann/authenticators/temporary-access-pass', {})
  const before = async () => JSON.stringify([(await paul.get('/v1/users/ann')).body, (await paul.get('/v1/users/ann/contact-methods')).body, (await paul.get('/v1/users/ann/authenticators')).body, (await paul.get('/v1/policy')).body])
  const state = await before()
  const half = await signsIn()
  for (const operation of operations.filter(({ id, method }) => method !== 'GET' && !/Sandbox|Challenge|searchUsers/.test(id))) {
    const { status, body } = await ask(half, requestOf(operation, { userId: 'me', methodId, authenticatorId: pass.body.authenticatorId }))
    t.ok([401, 403, 404].includes(status), `${operation.id}: ${status} ${body?.code}`)
  }
  t.equal(await before(), state)
})

t.test('CVE-2026-94218 (Keycloak): starting over drops that one must register again', async (t) => {
  const { tenant, helen, app, signsIn, ids } = await resetStage(service)
  await setPolicy(service, tenant, { registration: { firstRegistration: 'password' } })
  await resetDone(helen, 'ann')
  const ann = await signsIn()
  const { id } = await started(ann, ids.alternateEmail!, { purpose: 'recovery' })
  await moveClock(helen, 60)
  await resend(ann, id)
  await cancel(ann, id)
  await moveClock(helen, 120)
  const again = await started(ann, ids.alternateEmail!, { purpose: 'recovery' })
  const { body: { proof } } = await verify(ann, again.id, await codeOf(ann, again.id))
  t.match((await app.get('/v1/users/ann/sign-in-requirements')).body, { state: 'reregistrationRequired', next: 'register', methods: [] })
  isRefused(t, await ann.post(mine, { kind: 'mobilePhone', value: '+14155550177' }), 'proof_required', {}, 'a password does not do, though the policy takes it at the very first time')
  await ann.post(mine, { kind: 'alternateEmail', value: 'x@example.net' }, withProof(proof))
  t.match((await app.get('/v1/users/ann/sign-in-requirements')).body, { state: 'reregistrationRequired' })
})

t.test('CVE-2026-55670 (Zitadel): whoever gets the id of someone who left reads what is left of them', async (t) => {
  const { paul, helen, as, ids } = await resetStage(service)
  const { id: resetId } = await resetDone(helen, 'ann', { note: 'about the former one', ticket: 'HD-1' })
  t.equal((await paul.post('/v1/users/ann/offboarding')).status, 201)
  await moveClock(paul, 31 * day)
  t.equal((await paul.put('/v1/users/ann', { displayName: 'Another Ann' })).status, 201)
  const another = await as('ann')
  for (const path of ['/v1/users/me', mine, '/v1/users/me/authenticators', '/v1/users/me/mfa-resets', '/v1/users/me/timeline', '/v1/users/me/export', '/v1/users/me/lockout', '/v1/users/me/sign-in-requirements']) {
    const { status, text } = await another.get(path)
    t.equal(status, 200, `${path}: ${text}`)
    for (const trace of [ids.mobilePhone!, ids.alternateEmail!, 'HD-1', 'former', 'helen', 'lost device', 'lostDevice']) t.notOk(text.includes(trace), `${path} tells ${trace}`)
  }
  isRefused(t, await another.get(`/v1/mfa-resets/${resetId}`), 'not_found')
  t.equal((await helen.get(`/v1/mfa-resets/${resetId}`)).status, 200, 'what administrators did they can look up')
})

t.test('MTN (HackerOne #777957): the code stands in an answer to whoever asked for it to be sent', async (t) => {
  const { app, ids, helen } = await resetStage(service)
  const begun = await app.post('/v1/challenges', { userId: 'ann', purpose: 'signIn', methodId: ids.mobilePhone })
  const code = await codeOf(app, begun.body.id)
  await moveClock(helen, 60)
  for (const { text } of [begun, await read(app, begun.body.id), await resend(app, begun.body.id), await verify(app, begun.body.id, otherCode(code)), await cancel(app, begun.body.id)]) t.notOk(new RegExp(`(?<![0-9a-f-])${code}(?![0-9a-f])`).test(text))
})

t.test('CVE-2024-47070 (authentik): an address that cannot be read skips a check', async (t) => {
  const { tenant, app, ids } = await resetStage(service)
  for (const forwarded of ['a', '::ffff:999.1.1.1', '1'.repeat(5_000), '203.0.113.7, unknown, "']) {
    const headers = { 'x-forwarded-for': forwarded, 'x-real-ip': forwarded, forwarded: `for=${forwarded}` }
    isRefused(t, await (await service.as({ tenant, subject: 'ann', amr: ['pwd'] })).delete(`${mine}/${ids.mobilePhone}`, headers), 'insufficient_user_authentication')
  }
  isRefused(t, await app.post('/v1/challenges', { userId: 'ann', purpose: 'signIn', clientAddress: '999.1.1.1' }), 'validation_failed')
})

t.test('CVE-2024-1722 (Keycloak): someone else\'s wrong guesses lock the user out', async (t) => {
  const { as, app, ids } = await resetStage(service)
  const { id } = await started(app, ids.mobilePhone!, { userId: 'ann', purpose: 'signIn' })
  const bob = await as('bob')
  for (let guess = 0; guess < 12; guess++) isRefused(t, await verify(bob, id, String(guess).padStart(6, '0')), 'not_found')
  isRefused(t, await bob.post('/v1/challenges', { userId: 'ann', purpose: 'recovery' }), 'not_found')
  t.match((await app.get('/v1/users/ann/lockout')).body, { wrongCodesInARow: 0, lockedUntil: null })
  t.equal((await verify(app, id, await codeOf(app, id))).status, 200)
})

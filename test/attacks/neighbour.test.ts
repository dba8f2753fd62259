import t from 'tap'
import { isRefused } from '../support/answers.ts'
import { approve, reject, waitingIn } from '../support/approvals.ts'
import { cancel, read, resend, started, verify } from '../support/challenges.ts'
import { issue, issued } from '../support/passes.ts'
import { proofOf, withProof } from '../support/proofs.ts'
import { makePrivileged, reset, resetDone, resetStage } from '../support/resets.ts'
import { codeOf, testService } from '../support/service.ts'

/** A privileged administrator of the tenant next door, who knows every id (CVE-2025-64431, CVE-2026-33132: ids of another organisation were taken). */
const service = await testService(t)

async function scene () {
  const here = await resetStage(service, ['mobilePhone', 'alternateEmail'])
  const there = await resetStage(service, [], 'someone-else')
  const roles = ['helpdesk', 'privilegedAdmin', 'policyAdmin', 'auditor'] as const
  return { here, there, mallory: await there.as('mallory', { roles }), app: await there.as('shop', { kind: 'app', scopes: ['challenges:write', 'contact-methods:write', 'contact-methods:read', 'users:read', 'users:write', 'mfa-resets:write', 'sign-in:read'] }) }
}

t.test('reaches nobody by their id: all of it is the 404 of an id that never was', async (t) => {
  const { here, mallory, app } = await scene()
  const { authenticatorId } = await issued(here.helen, 'ann')
  const done = await resetDone(here.helen, 'ann', { scope: 'kinds', kinds: ['officePhone'] })
  const anns = '/v1/users/ann'
  for (const client of [mallory, app]) {
    for (const path of [anns, `${anns}/contact-methods`, `${anns}/contact-methods/${here.ids.mobilePhone}`, `${anns}/sign-in-requirements`, `${anns}/lockout`, `${anns}/mfa-resets`, `${anns}/allowed-actions`, `/v1/mfa-resets/${done.id}`]) {
      isRefused(t, await client.get(path), 'not_found', {}, path)
    }
    isRefused(t, await client.patch(`${anns}/contact-methods/${here.ids.mobilePhone}`, { label: 'x' }), 'not_found')
    isRefused(t, await client.delete(`${anns}/contact-methods/${here.ids.mobilePhone}`), 'not_found')
    isRefused(t, await reset(client, 'ann'), 'not_found')
  }
  isRefused(t, await issue(mallory, 'ann'), 'not_found')
  isRefused(t, await mallory.delete(`${anns}/authenticators/${authenticatorId}`), 'not_found')
  isRefused(t, await mallory.post(`${anns}/offboarding`), 'not_found')
  t.same((await mallory.post('/v1/users/search', { phone: '+14155550132' })).body.items, [], 'nor by their number')
})

t.test('has a user of the same name at home: what is done to that one is not done to Ann', async (t) => {
  const { here, mallory } = await scene()
  t.equal((await mallory.put('/v1/users/ann', { displayName: 'Ann', signInEmail: 'ann@example.net' })).status, 201)
  const before = JSON.stringify((await here.paul.get('/v1/users/ann')).body)
  isRefused(t, await mallory.delete(`/v1/users/ann/contact-methods/${here.ids.mobilePhone}`), 'not_found')
  await resetDone(mallory, 'ann', { reason: 'compromised' })
  t.equal((await mallory.post('/v1/users/ann/offboarding')).status, 201)
  t.equal(JSON.stringify((await here.paul.get('/v1/users/ann')).body), before)
  t.equal((await here.paul.get('/v1/users/ann/contact-methods')).body.items.length, 2)
})

t.test('decides what waits here, or carries a challenge, a proof, a pass, a cursor or a key across', async (t) => {
  const { here, there, mallory, app } = await scene()
  await makePrivileged(service, here.tenant, 'ann')
  const asked = waitingIn(await here.paul.delete(`/v1/users/ann/contact-methods/${here.ids.alternateEmail}`))
  for (const attempt of [mallory.get(`/v1/approvals/${asked}`), approve(mallory, asked), reject(mallory, asked), mallory.post(`/v1/approvals/${asked}/collect`)]) isRefused(t, await attempt, 'not_found')

  const challenge = await started(here.app, here.ids.mobilePhone!, { userId: 'ann', purpose: 'signIn' })
  const code = await codeOf(here.app, challenge.id)
  for (const attempt of [read(app, challenge.id), verify(app, challenge.id, code), resend(app, challenge.id), cancel(app, challenge.id)]) isRefused(t, await attempt, 'not_found', {}, 'an app of the same name')
  t.equal((await verify(here.app, challenge.id, code)).status, 200)

  await (await there.as('ann')).get('/v1/users/me')
  const proof = await proofOf(service, here.tenant, { userId: 'ann' })
  isRefused(t, await (await there.as('ann', { authSecondsAgo: 3_600 })).post('/v1/users/me/session-revocations', {}, withProof(proof)), 'insufficient_user_authentication')

  const { body: { nextCursor } } = await here.paul.get('/v1/users?limit=1')
  isRefused(t, await mallory.get(`/v1/users?limit=1&cursor=${nextCursor}`), 'invalid_cursor')
  const key = { 'idempotency-key': 'one key' }
  t.equal((await reset(await here.as('mallory', { roles: ['privilegedAdmin'] }), 'ann', {}, key)).status, 202)
  isRefused(t, await reset(mallory, 'nobody', {}, key), 'not_found', {}, 'nor is an answer replayed to a namesake')
})

t.test('changes the policy next door, or reads its log', async (t) => {
  const { here, mallory } = await scene()
  t.equal((await mallory.patch('/v1/policy', { codes: { length: 9 } })).status, 200)
  t.match((await here.paul.get('/v1/policy')).body, { codes: { length: 6 } })
  t.notMatch((await mallory.get('/v1/audit-events?limit=200&userId=ann')).text, /helen|paul/)
  t.same((await mallory.get('/v1/approvals')).body.items, [])
})

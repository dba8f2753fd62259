import t from 'tap'
import { sql } from 'kysely'
import { auditOf, isRefused, startVerification } from '../support/answers.ts'
import { approve, reject, waitingIn, withBoss } from '../support/approvals.ts'
import { started, verify } from '../support/challenges.ts'
import { pathTo, press, toldBy } from '../support/notices.ts'
import { byPass, issue, issued } from '../support/passes.ts'
import { withProof } from '../support/proofs.ts'
import { makePrivileged, proofByPass, reset, resetStage } from '../support/resets.ts'
import { codeOf, testService } from '../support/service.ts'

/** Hans of the help desk, or an administrator, is the thief (Okta, 31 August 2023: help desks that were talked into it). */
const service = await testService(t)
const mine = '/v1/users/me/contact-methods'

t.test('acts on themself by an administrator\'s route, also under another role', async (t) => {
  const { as } = await resetStage(service)
  for (const roles of [['helpdesk'], ['privilegedAdmin'], ['helpdesk', 'privilegedAdmin', 'policyAdmin']]) {
    const hans = await as('hans', { roles })
    for (const userId of ['hans', 'me']) {
      isRefused(t, await reset(hans, userId), 'forbidden', { rule: 'self_administration' })
      isRefused(t, await issue(hans, userId, { basis: 'inPerson' }), 'forbidden', { rule: 'self_administration' })
      isRefused(t, await hans.delete(`/v1/users/${userId}/lockout`), 'forbidden', { rule: 'self_administration' })
      isRefused(t, await hans.post('/v1/challenges', { userId, purpose: 'callerCheck' }), 'forbidden', { rule: 'self_administration' })
    }
  }
})

t.test('Okta 2023: resets those who have more to lose; a colleague of the help desk is one of them', async (t) => {
  const { tenant, helen, as } = await resetStage(service)
  await makePrivileged(service, tenant, 'ann')
  const hans = await as('hans', { roles: ['helpdesk'] })
  await hans.get('/v1/users/me')
  await (await as('audrey', { roles: ['auditor'] })).get('/v1/users/me')
  for (const userId of ['ann', 'hans', 'audrey']) {
    for (const attempt of [
      reset(helen, userId), reset(helen, userId, { breakGlass: true }), issue(helen, userId), issue(helen, userId, { breakGlass: true }), helen.delete(`/v1/users/${userId}/lockout`),
      helen.post(`/v1/users/${userId}/contact-methods`, { kind: 'officePhone', value: '+14155550177' }), helen.post(`/v1/users/${userId}/session-revocations`), helen.post('/v1/challenges', { userId, purpose: 'callerCheck' }),
    ]) isRefused(t, await attempt, 'forbidden', { rule: 'privileged_target' }, userId)
    isRefused(t, await helen.delete(`/v1/users/${userId}/privilege`), 'forbidden', { rule: 'role' }, 'nor makes them ordinary first')
    isRefused(t, await helen.put(`/v1/users/${userId}`, { privileged: false }), 'forbidden', { rule: 'role' })
  }
  t.equal((await auditOf(service, tenant, 'actor=helen&action=mfaResets.create')).length, 3, 'each attempt is in the log')
})

t.test('issues a pass for a friend: the user hears of it, and their link takes back all that came of it', async (t) => {
  const { helen, as, ids } = await resetStage(service)
  const told = await toldBy(helen, async () => {
    const pass = await issued(helen, 'ann', { oneTime: false, lifetimeMinutes: 480 })
    isRefused(t, await byPass(helen, 'ann'), 'not_found', {}, 'they do not use it themself')
    const friend = await as('ann', { amr: ['pwd'] })
    const proof = withProof(await proofByPass(friend, pass.value))
    const { body: { id } } = await friend.post(mine, { kind: 'officePhone', value: '+14155550177' }, proof)
    const challenge = await startVerification(friend, id)
    t.equal((await verify(friend, challenge, await codeOf(friend, challenge), proof)).status, 200)
  })
  t.equal((await press(service, pathTo(told, 'someone@example.org'))).statusCode, 200)
  const friend = await as('ann', { amr: ['pwd'] })
  isRefused(t, await byPass(friend), 'no_usable_method', {}, 'the pass is void')
  const app = await as('gate', { kind: 'app', scopes: ['sign-in:read', 'challenges:write'] })
  t.match((await app.get('/v1/users/ann/sign-in-requirements')).body, { state: 'reregistrationRequired', methods: [] }, 'their number signs nobody in')
  isRefused(t, await friend.delete(`${mine}/${ids.mobilePhone}`), 'user_frozen')
})

t.test('uses a caller check that is not theirs, not of this user, or used before; and its code for more than that', async (t) => {
  const { tenant, helen, as, ids } = await resetStage(service)
  const hans = await as('hans', { roles: ['helpdesk'] })
  const check = await started(helen, ids.mobilePhone!, { userId: 'ann', purpose: 'callerCheck' })
  const { body: { proof } } = await verify(helen, check.id, await codeOf(helen, check.id))
  isRefused(t, await reset(hans, 'ann', { callerChallengeId: check.id }), 'forbidden', { rule: 'caller_check' })
  await (await as('bob')).get('/v1/users/me')
  isRefused(t, await reset(helen, 'bob', { callerChallengeId: check.id }), 'forbidden', { rule: 'caller_check' })
  isRefused(t, await (await as('ann', { amr: ['pwd'] })).post(mine, { kind: 'officePhone', value: '+14155550177' }, withProof(proof)), 'insufficient_user_authentication', {}, 'the code that was read to the help desk lets nobody in')
  t.equal((await reset(helen, 'ann', { callerChallengeId: check.id })).status, 201)
  isRefused(t, await issue(helen, 'ann', { basis: 'callerCheck', callerChallengeId: check.id }), 'forbidden', { rule: 'caller_check' })
  t.equal((await auditOf(service, tenant, 'action=mfa.reset'))[0]?.details.callerChecked, true)
})

t.test('brings a number of their own: it counts for nothing until the user verifies it, and cannot be the default', async (t) => {
  const { helen, app } = await resetStage(service)
  const added = await helen.post('/v1/users/ann/contact-methods', { kind: 'officePhone', value: '+14155550177', isDefault: true })
  t.match(added, { status: 201, body: { status: 'pending', isDefault: false } })
  isRefused(t, await helen.post('/v1/challenges', { userId: 'ann', purpose: 'verifyContact', methodId: added.body.id }), 'not_found')
  isRefused(t, await app.post('/v1/challenges', { userId: 'ann', purpose: 'verifyContact', methodId: added.body.id }), 'proof_required', {}, 'nor an app for them')
  isRefused(t, await helen.put('/v1/users/ann/default-method', { methodId: added.body.id }), 'method_not_usable')
  isRefused(t, await helen.post('/v1/users/ann/contact-methods', { kind: 'alternatePhone', value: '+14155550166', preVerified: true, reason: 'trust me' }), 'forbidden', { rule: 'role' })
  t.notOk((await app.get('/v1/users/ann/sign-in-requirements')).body.methods.some(({ id }: { id: string }) => id === added.body.id))
})

t.test('an administrator approves their own request, has its target approve it, or collects what another asked for', async (t) => {
  const { boss, as, petra, paul, pia } = await withBoss(service)
  const asked = waitingIn(await reset(petra, 'boss', { temporaryAccessPass: {} }))
  isRefused(t, await approve(petra, asked), 'forbidden', { rule: 'own_request' })
  isRefused(t, await approve(await as('petra', 'privilegedAdmin', 'policyAdmin'), asked), 'forbidden', { rule: 'own_request' })
  isRefused(t, await approve(await as('boss', 'privilegedAdmin'), asked), 'forbidden', { rule: 'self_administration' })
  isRefused(t, await reject(await as('boss', 'privilegedAdmin'), asked), 'forbidden', { rule: 'self_administration' })
  for (const client of [boss, pia, await as('hans', 'helpdesk')]) isRefused(t, await approve(client, asked), 'forbidden', { rule: 'role' })
  t.equal((await approve(paul, asked)).status, 200)
  isRefused(t, await paul.post(`/v1/approvals/${asked}/collect`), 'not_found')
  isRefused(t, await approve(paul, asked), 'approval_closed', {}, 'and once is once')
  t.equal((await petra.post(`/v1/approvals/${asked}/collect`)).status, 200)
  isRefused(t, await petra.post(`/v1/approvals/${asked}/collect`), 'approval_closed')
})

t.test('edits the request after it was asked for: no route does, and in the database it is noticed', async (t) => {
  const { tenant, petra, paul, methods, phone } = await withBoss(service)
  const asked = waitingIn(await petra.patch(`${methods}/${phone}`, { label: 'harmless' }))
  for (const method of ['PUT', 'PATCH', 'DELETE'] as const) {
    const { statusCode } = await service.app.inject({ method, url: `/v1/approvals/${asked}`, headers: { authorization: `Bearer ${petra.token}` }, ...(method !== 'DELETE' && { payload: { details: {} } }) })
    t.equal(statusCode, 405, method)
  }
  const other = waitingIn(await petra.patch(`${methods}/${phone}`, { value: '+14155550177' }))
  const tenantId = await service.tenantIdOf(tenant)
  await service.owner.inTenant(tenantId, ({ db }) => sql`
    update approvals set request = o.request, request_mac = o.request_mac from approvals o
     where o.tenant_id = ${tenantId} and o.id = ${other} and approvals.tenant_id = ${tenantId} and approvals.id = ${asked}`.execute(db))
  isRefused(t, await approve(paul, asked), 'approval_closed', { rule: 'altered_request' })
})

t.test('breaks the glass again and again', async (t) => {
  const { petra } = await withBoss(service)
  t.equal((await reset(petra, 'boss', { breakGlass: true })).status, 201)
  isRefused(t, await issue(petra, 'boss', { breakGlass: true }), 'forbidden', { rule: 'break_glass' })
})

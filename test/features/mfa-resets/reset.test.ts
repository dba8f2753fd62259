import t from 'tap'
import { isRefused } from '../../support/answers.ts'
import { start, verify } from '../../support/challenges.ts'
import { noticesIn } from '../../support/notices.ts'
import { makePrivileged, proofByPass, reset, resetDone, resetStage } from '../../support/resets.ts'
import { codeOf, moveClock, testService } from '../../support/service.ts'

const service = await testService(t)
const requirements = async (client: { get: (url: string) => Promise<{ body: any }> }, userId = 'ann') => (await client.get(`/v1/users/${userId}/sign-in-requirements`)).body

t.test('the story: a lost phone, a reset with a pass, and nothing but the pass registers a new one', async (t) => {
  const { helen, app, signsIn, ids } = await resetStage(service)
  const done = await resetDone(helen, 'ann', { note: 'Called from +1 415 555 0132', ticket: 'HD-1', temporaryAccessPass: { lifetimeMinutes: 30 } })
  t.strictSame(Object.keys(done).sort(), ['id', 'kept', 'notified', 'removed', 'sessionsValidFrom', 'status', 'temporaryAccessPass'])
  t.equal(done.status, 'completed')
  t.strictSame(done.removed, [{ id: ids.mobilePhone, kind: 'mobilePhone', display: '+1 ••• ••• ••32' }])
  t.strictSame(done.kept, [{ id: ids.alternateEmail, kind: 'alternateEmail', display: 's•••@example.org' }])
  t.strictSame(done.notified.map(({ display }: any) => display).sort(), ['+1 ••• ••• ••32', 's•••@example.org'])
  t.strictSame(Object.keys(done.temporaryAccessPass).sort(), ['authenticatorId', 'expiresAt', 'oneTime', 'startsAt', 'value'])

  const after = await requirements(app)
  t.match(after, { state: 'reregistrationRequired', next: 'register', reason: 'lostDevice', methods: [], sessionsValidFrom: done.sessionsValidFrom, devicesValidFrom: String })
  t.ok(after.registration.acceptedProofs.some(({ channel }: any) => channel === 'temporaryAccessPass'))

  const bare = await signsIn()
  const value = { kind: 'mobilePhone', value: '+14155550177' }
  isRefused(t, await bare.post('/v1/users/me/contact-methods', value), 'proof_required', {}, 'a password alone adds nothing')
  const proof = { 'latchkey-proof': await proofByPass(bare, done.temporaryAccessPass.value) }
  const added = await bare.post('/v1/users/me/contact-methods', value, proof)
  t.equal(added.status, 201, added.text)
  const challenge = await start(bare, added.body.id)
  const code = await codeOf(bare, challenge.body.id)
  isRefused(t, await verify(bare, challenge.body.id, code), 'proof_required', {}, 'the code alone verifies nothing')
  t.equal((await verify(bare, challenge.body.id, code, proof)).status, 200)
  t.match(await requirements(app), { state: 'registered', next: 'challenge', since: null, reason: null })
  isRefused(t, await bare.post('/v1/users/me/contact-methods', { kind: 'alternatePhone', value: '+14155550178' }), 'insufficient_user_authentication', {}, 'it is over: the new method is what counts')
})

t.test('a reset of any scope raises the epoch, ends what is pending and lifts the lock', async (t) => {
  const { helen, app, as } = await resetStage(service, ['mobilePhone', 'alternatePhone', 'alternateEmail'])
  const ann = await as('ann')
  const pending = await ann.post('/v1/users/me/contact-methods', { kind: 'officePhone', value: '+14155550140' })
  const changed = await ann.patch(`/v1/users/me/contact-methods/${(await ann.get('/v1/users/me/contact-methods')).body.items[2].id}`, { value: 'new@example.org' })
  t.ok(changed.body.pendingChange)
  const challenge = await app.post('/v1/challenges', { userId: 'ann', purpose: 'signIn' })
  const code = await codeOf(app, challenge.body.id)

  const done = await resetDone(helen, 'ann', { scope: 'kinds', kinds: ['alternatePhone'], reason: 'newDevice', revokeSessions: false, forgetDevices: false })
  t.strictSame(done.removed.map(({ kind }: any) => kind).sort(), ['alternatePhone', 'officePhone'])
  t.equal(done.sessionsValidFrom, null)
  isRefused(t, await verify(app, challenge.body.id, code), 'challenge_canceled')
  t.match(await requirements(app), { state: 'registered', next: 'challenge', sessionsValidFrom: null, devicesValidFrom: null })
  const { items } = (await ann.get('/v1/users/me/contact-methods')).body
  t.strictSame(items.map(({ kind, pendingChange }: any) => [kind, pendingChange]), [['mobilePhone', null], ['alternateEmail', null]])
  t.notOk(items.some(({ id }: any) => id === pending.body.id))
})

t.test('a scope that leaves the policy unmet requires to register again, and the default goes to the next', async (t) => {
  const { helen, app, ids } = await resetStage(service, ['mobilePhone', 'alternatePhone'])
  const done = await resetDone(helen, 'ann', { scope: 'methods', methodIds: [ids.mobilePhone!.toUpperCase()], reason: 'other' })
  t.strictSame(done.kept.map(({ id }: any) => id), [ids.alternatePhone])
  t.match(await requirements(app), { state: 'reregistrationRequired', next: 'register', reason: 'other', methods: [] })
  t.equal((await helen.get(`/v1/users/ann/contact-methods/${ids.alternatePhone}`)).body.isDefault, true)
})

t.test('after "compromised" the alternate e-mail goes, too, and no notice carries a link', async (t) => {
  const { helen, app } = await resetStage(service)
  const done = await resetDone(helen, 'ann', { reason: 'compromised' })
  t.strictSame(done.removed.map(({ kind }: any) => kind).sort(), ['alternateEmail', 'mobilePhone'])
  t.strictSame((await requirements(app)).registration.acceptedProofs, [{ channel: 'temporaryAccessPass' }])
  const told = await noticesIn(helen)
  t.ok(told.length >= 2)
  t.notOk(told.some(({ body }) => body.includes('/not-me/')))
})

t.test('a later reset for another reason does not make a mailbox trusted that was compromised', async (t) => {
  const { helen, app } = await resetStage(service)
  await resetDone(helen, 'ann', { scope: 'kinds', kinds: ['mobilePhone'], reason: 'compromised' })
  t.match(await requirements(app), { state: 'reregistrationRequired', reason: 'compromised' })
  await moveClock(app, 11)
  const later = await resetDone(helen, 'ann', { reason: 'lostDevice' })
  t.strictSame(later.removed.map(({ kind }: any) => kind), ['alternateEmail'])
  t.match(await requirements(app), { reason: 'compromised', registration: { acceptedProofs: [{ channel: 'temporaryAccessPass' }] } })
  t.match((await helen.get(`/v1/mfa-resets/${later.id}`)).body, { reason: 'lostDevice' }, 'the history says what was asked for')
})

t.test('the surviving e-mail recovers as well', async (t) => {
  const { helen, signsIn } = await resetStage(service)
  await resetDone(helen, 'ann')
  const bare = await signsIn()
  const challenge = await bare.post('/v1/challenges', { userId: 'me', purpose: 'recovery', channel: 'email' })
  t.equal(challenge.status, 201, challenge.text)
  const { body } = await verify(bare, challenge.body.id, await codeOf(bare, challenge.body.id))
  t.equal((await bare.post('/v1/users/me/contact-methods', { kind: 'mobilePhone', value: '+14155550177' }, { 'latchkey-proof': body.proof })).status, 201)
})

t.test('what a client can break by its input alone is refused', async (t) => {
  const { helen } = await resetStage(service)
  for (const body of [
    { scope: 'kinds' }, { scope: 'methods' }, { scope: 'all', kinds: ['mobilePhone'] }, { scope: 'all', methodIds: [crypto.randomUUID()] }, { scope: 'kinds', kinds: [] }, { scope: 'everything' },
    { reason: 'because' }, { revokeSessions: false }, { reason: 'compromised', revokeSessions: false }, { reason: 'left', revokeSessions: false }, { temporaryAccessPass: { lifetimeMinutes: 5 } }, { epoch: 7 },
  ]) isRefused(t, await reset(helen, 'ann', body), 'validation_failed', {}, JSON.stringify(body))
  isRefused(t, await reset(helen, 'ann', { temporaryAccessPass: { lifetimeMinutes: 481 } }), 'policy_out_of_bounds')
  isRefused(t, await reset(helen, 'ann', { scope: 'methods', methodIds: [crypto.randomUUID()] }), 'not_found')
  isRefused(t, await reset(helen, 'nobody'), 'not_found')
  isRefused(t, await reset(helen, 'ann', { callerChallengeId: crypto.randomUUID() }), 'forbidden', { rule: 'caller_check' })
  t.equal((await helen.get('/v1/users/ann/mfa-resets')).body.items.length, 0)
})

t.test('who may reset whom', async (t) => {
  const { tenant, helen, paul, as, app } = await resetStage(service)
  await makePrivileged(service, tenant, 'ann')
  isRefused(t, await reset(helen, 'ann'), 'forbidden', { rule: 'privileged_target' })
  isRefused(t, await reset(helen, 'helen'), 'forbidden', { rule: 'self_administration' })
  isRefused(t, await reset(helen, 'me'), 'forbidden', { rule: 'self_administration' })
  isRefused(t, await reset(await as('ann'), 'me'), 'forbidden', { rule: 'role' })
  isRefused(t, await reset(await as('rita', { roles: ['reader'] }), 'ann'), 'forbidden', { rule: 'role' })
  isRefused(t, await reset(app, 'ann'), 'forbidden', { rule: 'scope' })
  const resetter = await as('resetter', { kind: 'app', scopes: ['mfa-resets:write'] })
  isRefused(t, await reset(resetter, 'ann'), 'forbidden', { rule: 'privileged_target' })
  isRefused(t, await reset(await as('late', { roles: ['privilegedAdmin'], authSecondsAgo: 700 }), 'ann'), 'insufficient_user_authentication')
  isRefused(t, await reset(await as('bare', { roles: ['privilegedAdmin'], amr: ['pwd'] }), 'ann'), 'insufficient_user_authentication')
  await as('bob').then((bob) => bob.get('/v1/users/me'))
  isRefused(t, await reset(resetter, 'bob', { temporaryAccessPass: {} }), 'forbidden', { rule: 'scope' }, 'no app issues a pass')
  t.equal((await reset(resetter, 'bob')).status, 201)
  const foreign = await resetStage(service)
  isRefused(t, await reset(foreign.paul, 'bob'), 'not_found', {}, 'a neighbour sees nobody')
  t.equal((await reset(paul, 'ann')).status, 202)
})

t.test('the reset of a privileged user waits, is done once it is approved, and its pass is for who asked, once', async (t) => {
  const { tenant, app, paul, petra, as, ids } = await resetStage(service)
  await makePrivileged(service, tenant, 'ann')
  const asked = await reset(paul, 'ann', { temporaryAccessPass: { oneTime: true } })
  t.equal(asked.status, 202)
  t.strictSame(Object.keys(asked.body).sort(), ['approvalId', 'id', 'status'])
  t.equal(asked.headers.location, `/v1/approvals/${asked.body.approvalId}`)
  t.match((await paul.get(`/v1/mfa-resets/${asked.body.id}`)).body, { status: 'pendingApproval', removed: [] })
  t.match(await requirements(app), { state: 'registered' }, 'nothing has happened yet')
  isRefused(t, await paul.post(`/v1/approvals/${asked.body.approvalId}/approve`), 'forbidden', { rule: 'own_request' })
  isRefused(t, await (await as('ann', { roles: ['privilegedAdmin'] })).post(`/v1/approvals/${asked.body.approvalId}/approve`), 'forbidden', { rule: 'self_administration' })
  const approved = await petra.post(`/v1/approvals/${asked.body.approvalId}/approve`)
  t.equal(approved.status, 200, approved.text)
  t.match((await paul.get(`/v1/mfa-resets/${asked.body.id}`)).body, { status: 'completed', removed: [{ id: ids.mobilePhone }] })
  t.match(await requirements(app), { state: 'reregistrationRequired' })
  const collected = await paul.post(`/v1/approvals/${asked.body.approvalId}/collect`)
  t.equal(collected.status, 200, collected.text)
  t.match(collected.body.temporaryAccessPass, { value: String, oneTime: true })
  isRefused(t, await paul.post(`/v1/approvals/${asked.body.approvalId}/collect`), 'approval_closed')
  isRefused(t, await reset(await as('x', { roles: ['privilegedAdmin'] }), 'ann', { breakGlass: true }), 'reset_in_progress', {}, 'a moment later is the same press of a button')
})

t.test('a rejected or expired reset says so, and does nothing', async (t) => {
  const { tenant, app, paul, petra } = await resetStage(service)
  await makePrivileged(service, tenant, 'ann')
  const rejected = await reset(paul, 'ann')
  await petra.post(`/v1/approvals/${rejected.body.approvalId}/reject`)
  t.match((await paul.get(`/v1/mfa-resets/${rejected.body.id}`)).body, { status: 'rejected' })
  const expired = await reset(paul, 'ann')
  await moveClock(app, 1801)
  t.match((await paul.get(`/v1/mfa-resets/${expired.body.id}`)).body, { status: 'expired' })
  isRefused(t, await petra.post(`/v1/approvals/${expired.body.approvalId}/approve`), 'approval_closed')
  t.match(await requirements(app), { state: 'registered' })
  t.equal((await reset(paul, 'ann', { breakGlass: true })).status, 201, 'break-glass does without')
})

t.test('a dry run says what would happen, to whom it may not happen as well, and changes nothing', async (t) => {
  const { tenant, helen, paul, app, ids } = await resetStage(service)
  const preview = (client: typeof helen, body: object = {}) => client.post('/v1/users/ann/mfa-resets?dryRun=true', { scope: 'all', reason: 'lostDevice', ...body })
  const would = await preview(helen)
  t.equal(would.status, 200, would.text)
  t.match(would.body, { dryRun: true, allowed: true, removed: [{ id: ids.mobilePhone }], kept: [{ id: ids.alternateEmail }], reregistrationRequired: true, waitsForApproval: false })
  await makePrivileged(service, tenant, 'ann')
  t.match((await preview(helen)).body, { allowed: false, rule: 'privileged_target' })
  t.match((await preview(paul)).body, { allowed: true, waitsForApproval: true })
  isRefused(t, await preview(app), 'forbidden', { rule: 'scope' })
  t.match(await requirements(app), { state: 'registered' })
  t.equal((await helen.get('/v1/users/ann/mfa-resets')).body.items.length, 0)
})

t.test('a second reset within ten seconds is the same press of a button; a key gives the same answer, without the pass', async (t) => {
  const { helen, app } = await resetStage(service)
  const key = { 'idempotency-key': 'one' }
  const first = await reset(helen, 'ann', { temporaryAccessPass: {} }, key)
  t.equal(first.status, 201)
  const again = await reset(helen, 'ann', { temporaryAccessPass: {} }, key)
  t.equal(again.status, 201)
  t.equal(again.headers['idempotent-replayed'], 'true')
  t.strictSame(again.body, { ...first.body, temporaryAccessPass: { ...first.body.temporaryAccessPass, value: null } })
  const repeated = await reset(helen, 'ann')
  isRefused(t, repeated, 'reset_in_progress')
  t.equal(repeated.body.resetId, first.body.id)
  await moveClock(app, 11)
  t.equal((await reset(helen, 'ann')).status, 201)
  const { items } = (await helen.get('/v1/users/ann/mfa-resets')).body
  t.equal(items.length, 2)
  t.equal(items[1].id, first.body.id, 'newest first')
})

t.test('the history says who, when and why; the person does not read what administrators wrote to each other', async (t) => {
  const { helen, as } = await resetStage(service)
  const { id } = await resetDone(helen, 'ann', { note: 'sounded nervous', ticket: 'HD-7' })
  t.match((await helen.get(`/v1/mfa-resets/${id}`)).body, { userId: 'ann', scope: 'all', reason: 'lostDevice', note: 'sounded nervous', ticket: 'HD-7', requestedBy: { kind: 'person', id: 'helen' } })
  const ann = await as('ann')
  t.match((await ann.get(`/v1/mfa-resets/${id}`)).body, { note: null, ticket: null, reason: 'lostDevice' })
  t.equal((await ann.get('/v1/users/me/mfa-resets')).body.items.length, 1)
  isRefused(t, await (await as('bob')).get(`/v1/mfa-resets/${id}`), 'not_found')
  isRefused(t, await (await resetStage(service)).helen.get(`/v1/mfa-resets/${id}`), 'not_found')
})

t.test('resets and passes of one administrator are limited together', async (t) => {
  const { tenant, helen, as } = await resetStage(service)
  const penny = await as('penny', { roles: ['policyAdmin'] })
  const limited = await penny.patch('/v1/policy', { limits: { resetsPerHour: 2 } })
  t.equal(limited.status, 200, limited.text)
  for (const userId of ['bob', 'cid', 'dan']) await (await service.as({ tenant, subject: userId })).get('/v1/users/me')
  t.equal((await reset(helen, 'bob')).status, 201)
  t.equal((await helen.post('/v1/users/cid/authenticators/temporary-access-pass', {})).status, 201)
  isRefused(t, await reset(helen, 'dan'), 'rate_limited', { rule: 'policy.limits.resetsPerHour' })
})

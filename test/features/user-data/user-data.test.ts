import t from 'tap'
import { auditOf, isRefused } from '../../support/answers.ts'
import { makePrivileged, resetDone, resetStage } from '../../support/resets.ts'
import { testService, verifiedMethod } from '../../support/service.ts'

const service = await testService(t)

t.test('the timeline tells a person what was done, in plain words, newest first and page by page', async (t) => {
  const { helen, as, app } = await resetStage(service, [])
  const cid = await as('cid')
  await cid.get('/v1/users/me')
  await verifiedMethod(cid, { kind: 'mobilePhone', value: '+14155550177' })
  await resetDone(helen, 'cid')
  const again = await as('cid')
  const { status, body } = await again.get('/v1/users/me/timeline')
  t.equal(status, 200)
  t.strictSame(body.items.map(({ text, by }: any) => [text, by]).slice(0, 3), [
    ['The sign-in methods were reset (lost device).', 'administrator'],
    ['A contact method was verified by text message.', 'self'],
    ['A mobile phone was added. It counts once it is verified.', 'self'],
  ])
  t.notOk(JSON.stringify(body).includes('5550177'))
  const first = await again.get('/v1/users/me/timeline?limit=2')
  const second = await again.get(`/v1/users/me/timeline?limit=2&cursor=${first.body.nextCursor}`)
  t.strictSame([...first.body.items, ...second.body.items], body.items.slice(0, 4))
  t.equal((await helen.get('/v1/users/cid/timeline')).status, 200)
  isRefused(t, await app.get('/v1/users/cid/timeline'), 'not_found')
  isRefused(t, await (await as('bob')).get('/v1/users/cid/timeline'), 'not_found')
  isRefused(t, await helen.get('/v1/users/nobody/timeline'), 'not_found')
  isRefused(t, await (await as('audrey', { roles: ['auditor'] })).get(`/v1/audit-events?cursor=${first.body.nextCursor}`), 'invalid_cursor')
})

t.test('the export holds all there is, in full, removed methods among it; it needs a fresh second factor and is written down', async (t) => {
  const { tenant, helen, paul, as } = await resetStage(service, [])
  const cid = await as('cid')
  await cid.get('/v1/users/me')
  const method = await verifiedMethod(cid, { kind: 'mobilePhone', value: '+14155550177', label: 'Mine' })
  await resetDone(helen, 'cid', { note: 'between us' })
  await helen.post('/v1/users/cid/authenticators/temporary-access-pass', {})
  isRefused(t, await (await as('cid', { amr: ['pwd'] })).get('/v1/users/me/export'), 'insufficient_user_authentication')
  const { status, body, text } = await (await as('cid')).get('/v1/users/me/export')
  t.equal(status, 200, text)
  t.match(body, {
    userId: 'cid', user: { status: 'active', reregistrationReason: 'lostDevice' }, contactMethods: [{ id: method.id, label: 'Mine', status: 'removed', value: '+14155550177' }],
    authenticators: [{ kind: 'temporaryAccessPass', voidAt: null }], challenges: [{ purpose: 'verifyContact', status: 'approved' }], resets: [{ reason: 'lostDevice', note: null }], timeline: [{}],
  })
  t.ok(body.messages.length > 0)
  for (const secret of ['code_mac', 'codeMac', 'between us']) t.notOk(text.includes(secret), secret)
  t.equal((await paul.get('/v1/users/cid/export')).status, 200)
  isRefused(t, await helen.get('/v1/users/cid/export'), 'not_found')
  t.strictSame((await auditOf(service, tenant, 'action=user.exported')).map(({ actor }) => actor.id), ['paul', 'cid'])
})

t.test('allowed actions say what may be done, what waits, and the rule that decided', async (t) => {
  const { tenant, helen, paul, as, app } = await resetStage(service)
  const allowed = async (client: typeof helen, userId = 'ann') => {
    const { status, body, text } = await client.get(`/v1/users/${userId}/allowed-actions`)
    t.equal(status, 200, text)
    return Object.fromEntries(body.items.map(({ action, allowed, rule, waitsForApproval }: any) => [action, waitsForApproval ? 'waits' : allowed || rule]))
  }
  t.match(await allowed(helen), { 'mfaResets.create': true, 'passes.issue': true, 'offboarding.write': 'role', 'users.write': 'role', 'contactMethods.write': true, 'lockout.lift': true })
  t.match(await allowed(await as('rita', { roles: ['reader'] })), { 'mfaResets.create': 'role', 'users.read': true, 'mfaResets.read': true })
  t.match(await allowed(app), { 'mfaResets.create': 'scope', 'users.read': true, 'challenges.start': true })
  t.match(await allowed(await as('ann'), 'me'), { 'contactMethods.write': true, 'mfaResets.create': 'role', 'users.export': true })
  t.match(await allowed(paul, 'paul'), { 'mfaResets.create': 'self_administration', 'contactMethods.write': true })
  await makePrivileged(service, tenant, 'ann')
  t.match(await allowed(helen), { 'mfaResets.create': 'privileged_target', 'lockout.lift': 'privileged_target', 'users.read': true })
  t.match(await allowed(paul), { 'mfaResets.create': 'waits', 'offboarding.write': 'waits', 'lockout.lift': true, 'contactMethods.reveal': true })
  isRefused(t, await (await as('bob')).get('/v1/users/ann/allowed-actions'), 'not_found')
})

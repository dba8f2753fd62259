import t from 'tap'
import { auditOf, isRefused } from '../../support/answers.ts'
import { testService } from '../../support/service.ts'

const service = await testService(t)

async function callers () {
  const tenant = await service.tenant()
  return {
    tenant,
    app: await service.as({ tenant, subject: 'directory', kind: 'app', scopes: ['users:read', 'users:write'] }),
    petra: await service.as({ tenant, subject: 'petra', roles: ['privilegedAdmin'] }),
  }
}

t.test('PUT makes the user (201, with Location), then changes what it names and keeps the rest (200)', async (t) => {
  const { tenant, app } = await callers()
  const made = await app.put('/v1/users/ann@corp', { displayName: 'Ann Smith', signInEmail: 'Ann@example.com', locale: 'de-CH' })
  t.match(made, {
    status: 201, headers: { location: '/v1/users/ann%40corp', etag: '"1"' },
    body: { userId: 'ann@corp', displayName: 'Ann Smith', signInEmail: null, signInEmailDisplay: 'a•••@example.com', locale: 'de-CH', privileged: false, status: 'active', version: 1 },
  })
  t.same((await app.get(made.headers.location as string)).body, made.body)

  const renamed = await app.put('/v1/users/ann@corp', { displayName: 'Ann Jones' })
  t.match(renamed, { status: 200, headers: { etag: '"2"' }, body: { ...made.body, displayName: 'Ann Jones', version: 2, updatedAt: String } })
  t.notOk(renamed.headers.location)
  const emptied = await app.put('/v1/users/ann@corp', { displayName: null, signInEmail: null, locale: null })
  t.match(emptied.body, { displayName: null, signInEmailDisplay: null, locale: null, version: 3 }, 'null empties')
  t.match((await auditOf(service, tenant, 'userId=ann@corp')).map(({ action, details }) => [action, details.fields]), [
    ['user.changed', ['displayName', 'signInEmail', 'locale']], ['user.changed', ['displayName']], ['user.created', ['displayName', 'signInEmail', 'locale']],
  ])
})

t.test('PUT of what is there already changes nothing, and an empty one makes a user without a name', async (t) => {
  const { app } = await callers()
  t.match(await app.put('/v1/users/ann', {}), { status: 201, body: { displayName: null, signInEmailDisplay: null, status: 'active', version: 1 } })
  await app.put('/v1/users/ann', { displayName: 'Ann', signInEmail: 'ann@example.com' })
  t.match(await app.put('/v1/users/ann', { displayName: 'Ann', signInEmail: 'ann@example.com', privileged: false, status: 'active' }), { status: 200, headers: { etag: '"2"' } })
  t.match(await app.put('/v1/users/ann', {}), { status: 200, body: { version: 2 } })
})

t.test('If-Match names the version the change is based on, else 412 version_mismatch', async (t) => {
  const { app } = await callers()
  isRefused(t, await app.put('/v1/users/ann', {}, { 'if-match': '"1"' }), 'version_mismatch', {}, 'a user who is not there')
  isRefused(t, await app.put('/v1/users/ann', {}, { 'if-match': '*' }), 'version_mismatch', {}, 'has no version at all')
  isRefused(t, await app.get('/v1/users/ann'), 'not_found', {}, 'and was not made')
  await app.put('/v1/users/ann', {})
  t.match(await app.put('/v1/users/ann', { displayName: 'A' }, { 'if-match': '"1"' }), { status: 200, headers: { etag: '"2"' } })
  isRefused(t, await app.put('/v1/users/ann', { displayName: 'B' }, { 'if-match': '"1"' }), 'version_mismatch')
  t.match(await app.put('/v1/users/ann', { displayName: 'C' }, { 'if-match': '*' }), { status: 200, body: { displayName: 'C' } })
})

t.test('users:write may set privileged, on a new user too, and nothing clears it: 403 second_approver', async (t) => {
  const { app, petra } = await callers()
  t.match(await app.put('/v1/users/boss', { privileged: true }), { status: 201, body: { privileged: true } })
  await app.put('/v1/users/ann', { displayName: 'Ann' })
  t.match(await app.put('/v1/users/ann', { privileged: true, displayName: 'Ann, CFO', status: 'disabled' }), { status: 200, body: { privileged: true, displayName: 'Ann, CFO', status: 'disabled' } })

  isRefused(t, await petra.put('/v1/users/ann', { privileged: false }), 'forbidden', { rule: 'second_approver' })
  isRefused(t, await app.put('/v1/users/ann', { privileged: false }), 'forbidden', { rule: 'privileged_target' })
  t.match((await app.get('/v1/users/ann')).body, { privileged: true, version: 2 })
})

t.test('of a privileged user signInEmail and status wait for a second approver, and an app changes nothing', async (t) => {
  const { app, petra } = await callers()
  await app.put('/v1/users/boss', { privileged: true, signInEmail: 'boss@example.com' })
  for (const change of [{ signInEmail: 'thief@example.com' }, { signInEmail: null }, { status: 'disabled' }, { displayName: 'B', status: 'disabled' }]) {
    t.match(await petra.put('/v1/users/boss', change), { status: 202, body: { status: 'pendingApproval' } }, JSON.stringify(change))
  }
  for (const change of [{ displayName: 'B' }, { locale: 'de' }, { signInEmail: 'thief@example.com' }, { status: 'disabled' }]) {
    isRefused(t, await app.put('/v1/users/boss', change), 'forbidden', { rule: 'privileged_target' }, JSON.stringify(change))
  }
  t.match(await petra.put('/v1/users/boss', { displayName: 'Boss', locale: 'fr', signInEmail: 'boss@example.com', status: 'active' }),
    { status: 200, body: { displayName: 'Boss', locale: 'fr' } }, 'what cannot take the account over changes, beside values that stand')
  t.match(await app.put('/v1/users/boss', { displayName: 'Boss', privileged: true }), { status: 200, body: { version: 2 } }, 'a sync that changes nothing is no change')
})

t.test('only a privileged administrator and users:write may put, and nobody themself: 403 with the rule', async (t) => {
  const { tenant, petra } = await callers()
  await petra.put('/v1/users/ann', {})
  for (const role of ['user', 'reader', 'helpdesk', 'policyAdmin', 'auditor'] as const) {
    const client = await service.as({ tenant, subject: `a-${role}`, roles: [role] })
    for (const id of ['ann', 'nobody', 'me', `a-${role}`]) isRefused(t, await client.put(`/v1/users/${id}`, { displayName: 'X' }), 'forbidden', { rule: 'role' }, `${role} ${id}`)
  }
  const app = await service.as({ tenant, subject: 'crm', kind: 'app', scopes: ['users:read', 'contact-methods:write'] })
  isRefused(t, await app.put('/v1/users/ann', {}), 'forbidden', { rule: 'scope' })
  for (const id of ['me', 'petra']) isRefused(t, await petra.put(`/v1/users/${id}`, { displayName: 'X' }), 'forbidden', { rule: 'self_administration' }, id)
})

t.test('a disabled user is let in nowhere, from that moment, and comes back the same way', async (t) => {
  const { tenant, app } = await callers()
  const ann = await service.as({ tenant, subject: 'ann' })
  t.equal((await ann.get('/v1/users/me')).status, 200)
  await app.put('/v1/users/ann', { status: 'disabled' })
  for (const path of ['/v1/users/me', '/v1/users/me/contact-methods', '/v1/sandbox/messages']) isRefused(t, await ann.get(path), 'invalid_token', {}, path)
  await app.put('/v1/users/ann', { status: 'active' })
  t.equal((await ann.get('/v1/users/me')).status, 200)
})

t.test('an off-boarded user is 409 user_offboarded, whatever is put', async (t) => {
  const { tenant, app, petra } = await callers()
  await app.put('/v1/users/ann', { displayName: 'Ann' })
  await service.owner.inTenant(await service.tenantIdOf(tenant), (tx) => tx.db.updateTable('users').set({ status: 'offboarded' }).where('tenant_id', '=', tx.tenantId).where('user_id', '=', 'ann').execute())
  for (const client of [app, petra]) for (const change of [{ displayName: 'Ann again' }, { status: 'active' }, {}]) isRefused(t, await client.put('/v1/users/ann', change), 'user_offboarded')
})

t.test('what does not fit the schema is 400, and an address that is none 422 invalid_email', async (t) => {
  const { app } = await callers()
  const faulty: Array<[string, unknown]> = [
    ['/displayName', ''], ['/displayName', 'a\u0007b'], ['/displayName', 'a'.repeat(201)], ['/displayName', 7], ['/locale', 'e'], ['/locale', 'en_US'], ['/locale', 'english language'],
    ['/signInEmail', ''], ['/signInEmail', 'a'.repeat(255)], ['/privileged', 'true'], ['/privileged', null], ['/status', 'offboarded'], ['/status', 'gone'], ['/version', 3], ['/userId', 'x'],
  ]
  for (const [pointer, value] of faulty) isRefused(t, await app.put('/v1/users/ann', { [pointer.slice(1)]: value }), 'validation_failed', { pointer }, `${pointer} ${JSON.stringify(value)}`.slice(0, 60))
  for (const value of ['ann', 'Ann <ann@example.com>', 'ann@localhost']) isRefused(t, await app.put('/v1/users/ann', { signInEmail: value }), 'invalid_email', { pointer: '/signInEmail' }, value)
  isRefused(t, await app.get('/v1/users/ann'), 'not_found', {}, 'none of them made the user')
  isRefused(t, await app.put('/v1/users/me', {}), 'validation_failed', { parameter: 'userId' }, 'an app has no me')
  for (const id of ['a/b', 'a b', 'ä', 'a%00', 'x'.repeat(129)]) isRefused(t, await app.put(`/v1/users/${encodeURIComponent(id)}`, {}), 'validation_failed', { parameter: 'userId' }, id.slice(0, 20))
  const id = 'aZ0._@|:+=-'
  t.match(await app.put(`/v1/users/${encodeURIComponent(id)}`, {}), { status: 201, body: { userId: id } }, 'every sign that an id may have')
})

t.test('a sign-in e-mail that leads to the mailbox of an alternate e-mail is refused', async (t) => {
  const tenant = await service.tenant()
  const admin = await service.as({ tenant, subject: 'ada', roles: ['privilegedAdmin'] })
  const person = await service.as({ tenant, subject: 'gus' })
  await person.post('/v1/users/me/contact-methods', { kind: 'alternateEmail', value: 'gus@example.com' })
  t.match(await admin.put('/v1/users/gus', { signInEmail: 'G.us+work@Example.com' }), { status: 422, body: { code: 'same_as_sign_in', errors: [{ pointer: '/signInEmail' }] } })
  t.equal((await admin.put('/v1/users/gus', { signInEmail: 'gus@example.net' })).status, 200)
  t.equal((await admin.put('/v1/users/gus', { signInEmail: 'gus@example.net', locale: 'de' })).status, 200)
})

import t from 'tap'
import { auditOf, isRefused } from '../../support/answers.ts'
import { replicasOf } from '../../support/replicas.ts'
import { moveClock, testService, verifiedMethod, type Answer } from '../../support/service.ts'
import { scopes, type Role } from '../../../src/vocabulary.ts'

const service = await testService(t)
const anns = '/v1/users/ann/session-revocations'

/** Ann, and others who signed in at this moment. */
async function withAnn ({ privileged = false } = {}) {
  const tenant = await service.tenant()
  const directory = await service.as({ tenant, subject: 'directory', kind: 'app', scopes: ['users:write', 'users:read'] })
  await directory.put('/v1/users/ann', { privileged })
  const as = (subject: string, ...roles: Role[]) => service.as({ tenant, subject, roles })
  const rowOf = async () => service.owner.inTenant(await service.tenantIdOf(tenant), (tx) => tx.db.selectFrom('users').selectAll().where('tenant_id', '=', tx.tenantId).where('user_id', '=', 'ann').executeTakeFirstOrThrow())
  return { tenant, directory, as, rowOf, hans: await as('hans', 'helpdesk'), petra: await as('petra', 'privilegedAdmin') }
}

const isNow = ({ body }: Answer) => Math.abs(Date.parse(body.sessionsValidFrom) - Date.now()) < 5_000

t.test('the answer says from when sessions and devices are good, and where to look; every form of no body is none', async (t) => {
  const { hans, rowOf } = await withAnn()
  for (const [body, headers] of [[undefined, {}], [undefined, { 'content-type': 'application/json' }], [{}, {}], [{ forgetDevices: false }, {}]] as const) {
    const answer = await hans.post(anns, body, headers)
    t.match(answer, { status: 201, headers: { location: '/v1/users/ann/sign-in-requirements' } })
    t.strictSame(answer.body, { userId: 'ann', sessionsValidFrom: (await rowOf()).sessions_valid_from!.toISOString(), devicesValidFrom: null })
    t.ok(isNow(answer))
  }
  const { body } = await hans.post(anns, { reason: 'lostDevice', note: 'in a taxi', forgetDevices: true })
  t.equal(body.devicesValidFrom, body.sessionsValidFrom)
  const later = (await hans.post(anns, {})).body
  t.equal(later.devicesValidFrom, body.devicesValidFrom, 'devices are forgotten only where that is asked for')
  t.ok(later.sessionsValidFrom > body.sessionsValidFrom)
})

t.test('from then on tokens of an earlier second are 401 on every route of every replica, and later ones are good', async (t) => {
  const { tenant, petra } = await withAnn()
  const earlier = await service.as({ tenant, subject: 'ann', roles: ['helpdesk'], authSecondsAgo: 60 })
  const bens = (await verifiedMethod(await service.as({ tenant, subject: 'ben' }), { kind: 'alternateEmail', value: 'ben@example.org' })).id
  const replicas = (await replicasOf(t, service, 2)).of(earlier)
  const routes = ['/v1/users/me', '/v1/users/me/contact-methods', '/v1/users/ben', `/v1/users/ben/contact-methods/${bens}`, '/v1/users/me/lockout', '/v1/sandbox/clock', '/v1/users?search=b']
  for (const replica of replicas) for (const path of routes) t.equal((await replica.get(path)).status, 200, path)

  const { body } = await petra.post(anns)
  for (const replica of replicas) {
    for (const path of routes) isRefused(t, await replica.get(path), 'invalid_token', {}, path)
    isRefused(t, await replica.post('/v1/users/me/contact-methods', { kind: 'mobilePhone', value: '+14155550132' }), 'invalid_token')
    isRefused(t, await replica.post('/v1/users/ben/session-revocations'), 'invalid_token', {}, 'also as an administrator')
  }
  const second = Math.floor(Date.parse(body.sessionsValidFrom) / 1000)
  for (const [signedInAt, status] of [[second - 1, 401], [second, 200]] as const) {
    const again = await service.as({ tenant, subject: 'ann', authSecondsAgo: Math.floor(Date.now() / 1000) - signedInAt })
    for (const replica of (await replicasOf(t, service, 2)).of(again)) t.equal((await replica.get('/v1/users/me')).status, status, `${signedInAt - second} s`)
  }
})

t.test('the person does it to themself, and an administrator to themself as that person', async (t) => {
  const { tenant } = await withAnn()
  for (const caller of [{ subject: 'ann' }, { subject: 'hans', roles: ['helpdesk' as const] }]) {
    const earlier = await service.as({ tenant, ...caller, authSecondsAgo: 60 })
    t.match(await earlier.post('/v1/users/me/session-revocations', { forgetDevices: true }), { status: 201, body: { userId: caller.subject }, headers: { location: `/v1/users/${caller.subject}/sign-in-requirements` } })
    isRefused(t, await earlier.get('/v1/users/me'), 'invalid_token', {}, 'their own token is one of them')
    t.equal((await (await service.as({ tenant, ...caller })).get('/v1/users/me')).status, 200)
  }
})

t.test('it goes by the server\'s own clock, whatever the sandbox\'s says, and never backwards', async (t) => {
  const { tenant, hans, rowOf } = await withAnn()
  await moveClock(hans, 40 * 86_400)
  const answer = await hans.post(anns, { forgetDevices: true })
  t.ok(isNow(answer))
  t.equal(answer.body.devicesValidFrom, answer.body.sessionsValidFrom)
  const ahead = new Date(Date.now() + 3_600_000)
  await service.owner.inTenant(await service.tenantIdOf(tenant), (tx) => tx.db.updateTable('users').set({ sessions_valid_from: ahead, devices_valid_from: ahead }).where('tenant_id', '=', tx.tenantId).where('user_id', '=', 'ann').execute())
  t.match((await hans.post(anns, { forgetDevices: true })).body, { sessionsValidFrom: ahead.toISOString(), devicesValidFrom: ahead.toISOString() })
  t.strictSame((await rowOf()).sessions_valid_from, ahead)
})

t.test('the user resource stays as it is: version, ETag and updatedAt', async (t) => {
  const { directory, hans } = await withAnn()
  const before = await directory.get('/v1/users/ann')
  t.equal((await hans.post(anns, { forgetDevices: true })).status, 201)
  const after = await directory.get('/v1/users/ann')
  t.strictSame(after.body, before.body)
  t.equal(after.headers.etag, before.headers.etag)
  t.equal((await directory.get('/v1/users/ann', { 'if-none-match': before.headers.etag as string })).status, 304)
})

t.test('it is written down with the reason, and the note without numbers and addresses', async (t) => {
  const { tenant, hans } = await withAnn()
  await hans.post(anns)
  await hans.post(anns, { reason: 'compromised', note: 'Rang from +1 415 555 0132, wrote from ann@example.org', forgetDevices: true })
  const rows = await auditOf(service, tenant, 'action=sessions.revoked')
  t.match(rows, [{ userId: 'ann', actor: { kind: 'person', id: 'hans' }, outcome: 'done', details: { reason: 'compromised', forgetDevices: true, note: 'Rang from •••, wrote from •••' } }, { details: { forgetDevices: false } }])
  const told = rows.map(({ id: _id, at: _at, requestId: _requestId, ...rest }) => rest) // any digits may stand in these
  t.notMatch(JSON.stringify(told), /0132|example\.org/)
})

t.test('the same key gives the first answer again and revokes once', async (t) => {
  const { tenant, hans } = await withAnn()
  const key = { 'idempotency-key': 'revoke-ann' }
  const first = await hans.post(anns, {}, key)
  const again = await hans.post(anns, undefined, key)
  t.match(again, { status: 201, headers: { 'idempotent-replayed': 'true', location: first.headers.location } })
  t.strictSame(again.body, first.body)
  isRefused(t, await hans.post(anns, { forgetDevices: true }, key), 'idempotency_key_reused')
  t.equal((await auditOf(service, tenant, 'action=sessions.revoked')).length, 1)
})

t.test('of a privileged user a privileged administrator does it at once; neither the help desk nor an app', async (t) => {
  const { tenant, hans, petra, rowOf } = await withAnn({ privileged: true })
  isRefused(t, await hans.post(anns), 'forbidden', { rule: 'privileged_target' })
  isRefused(t, await (await service.as({ tenant, subject: 'siem', kind: 'app', scopes: ['mfa-resets:write'] })).post(anns), 'forbidden', { rule: 'privileged_target' })
  t.equal((await rowOf()).sessions_valid_from, null)
  t.equal((await petra.post(anns)).status, 201, 'no second approver')
  t.match(await auditOf(service, tenant, 'action=sessions.revoke'), [{ outcome: 'refused', actor: { id: 'siem' } }, { outcome: 'refused', actor: { id: 'hans' } }])
})

t.test('an app needs mfa-resets:write; whoever has no right to it hears 404; and nothing is revoked', async (t) => {
  const { tenant, as, hans, rowOf } = await withAnn()
  const app = (...given: typeof scopes[number][]) => service.as({ tenant, subject: 'siem', kind: 'app', scopes: given })
  isRefused(t, await (await app(...scopes.filter((scope) => scope !== 'mfa-resets:write'))).post(anns), 'not_found', {}, 'every other scope')
  for (const role of ['user', 'reader', 'policyAdmin', 'auditor'] as const) isRefused(t, await (await as(`a-${role}`, role)).post(anns), 'not_found', {}, role)
  isRefused(t, await (await service.as({ tenant, subject: 'ann', scopes: ['users:read'] })).post(anns), 'forbidden', { rule: 'scope' }, 'their own token, limited to another scope')
  for (const unfit of [{ authSecondsAgo: 605 }, { amr: ['pwd'] }]) {
    isRefused(t, await (await service.as({ tenant, subject: 'hans', roles: ['helpdesk'], ...unfit })).post(anns), 'insufficient_user_authentication')
    isRefused(t, await (await service.as({ tenant, subject: 'ann', ...unfit })).post(anns), 'insufficient_user_authentication')
  }
  const elsewhere = await service.tenant()
  isRefused(t, await (await service.as({ tenant: elsewhere, subject: 'petra', roles: ['privilegedAdmin'] })).post(anns), 'not_found', {}, 'another tenant')
  isRefused(t, await hans.post('/v1/users/nobody/session-revocations'), 'not_found')
  const faults: Array<[unknown, string]> = [
    [{ reason: 'bored' }, '/reason'], [{ reason: null }, '/reason'], [{ note: '' }, '/note'], [{ note: 'x'.repeat(501) }, '/note'], [{ forgetDevices: 'yes' }, '/forgetDevices'], [{ scope: 'all' }, '/scope'], [[], ''],
  ]
  for (const [body, pointer] of faults) isRefused(t, await hans.post(anns, body), 'validation_failed', { pointer }, JSON.stringify(body))
  t.equal((await rowOf()).sessions_valid_from, null)

  t.equal((await (await app('mfa-resets:write')).post(anns)).status, 201, 'with the scope')
  t.match(await auditOf(service, tenant, 'action=sessions.revoked'), [{ actor: { kind: 'app', id: 'siem' }, userId: 'ann' }])
  await service.owner.inTenant(await service.tenantIdOf(tenant), (tx) => tx.db.updateTable('users').set({ status: 'offboarded' }).where('tenant_id', '=', tx.tenantId).where('user_id', '=', 'ann').execute())
  isRefused(t, await hans.post(anns), 'user_offboarded')
})

import t from 'tap'
import { auditOf, isRefused } from '../../support/answers.ts'
import { testService, verifiedMethod, type Answer, type Client } from '../../support/service.ts'
import type { Role } from '../../../src/vocabulary.ts'

const service = await testService(t)
const anns = '/v1/users/ann/contact-methods'

/** A tenant with Ann, who has a phone and an e-mail. */
async function withAnn () {
  const tenant = await service.tenant()
  const ann = await service.as({ tenant, subject: 'ann' })
  const phone = await verifiedMethod(ann, { kind: 'mobilePhone', value: '+14155550132' })
  const email = await verifiedMethod(ann, { kind: 'alternateEmail', value: 'ann@example.org' })
  return { tenant, ann, phone: phone.id, email: email.id }
}

type Route = [name: string, allowed: Role[], elsewhere: 403 | 404, status: number, call: (client: Client, ids: { phone: string, email: string }) => Promise<Answer>]
const readers: Role[] = ['reader', 'helpdesk', 'privilegedAdmin']
const helpers: Role[] = ['helpdesk', 'privilegedAdmin']
const settings: Role[] = [...readers, 'policyAdmin']

/** What each role may do to someone else. Who may not hears 403 on an administrator's route, 404 on another's object. */
const routes: Route[] = [
  ['read a user', readers, 404, 200, (client) => client.get('/v1/users/ann')],
  ['list users', readers, 403, 200, (client) => client.get('/v1/users')],
  ['search users', readers, 403, 200, (client) => client.post('/v1/users/search', { email: 'ann@example.org' })],
  ['put a user', ['privilegedAdmin'], 403, 200, (client) => client.put('/v1/users/ann', { locale: 'en' })],
  ['list methods', readers, 404, 200, (client) => client.get(anns)],
  ['read a method', readers, 404, 200, (client, { phone }) => client.get(`${anns}/${phone}`)],
  ['add a method', helpers, 404, 201, (client) => client.post(anns, { kind: 'officePhone', value: '+14155550144' })],
  ['change a method', helpers, 404, 200, (client, { phone }) => client.patch(`${anns}/${phone}`, { label: 'x' })],
  ['choose the default', helpers, 404, 200, (client, { phone }) => client.put('/v1/users/ann/default-method', { methodId: phone })],
  ['remove a method', helpers, 404, 204, (client, { email }) => client.delete(`${anns}/${email}`)],
  ['start a challenge', [], 404, 201, (client, { phone }) => client.post('/v1/challenges', { userId: 'ann', purpose: 'verifyContact', methodId: phone })],
  ['read a lockout', readers, 404, 200, (client) => client.get('/v1/users/ann/lockout')],
  ['lift a lockout', helpers, 403, 204, (client) => client.delete('/v1/users/ann/lockout')],
  ['revoke sessions', helpers, 404, 201, (client) => client.post('/v1/users/ann/session-revocations')],
  ['list blocked prefixes', ['policyAdmin'], 403, 200, (client) => client.get('/v1/fraud/prefix-blocks')],
  ['read the policy', settings, 403, 200, (client) => client.get('/v1/policy')],
  ['change the policy', ['policyAdmin'], 403, 200, (client) => client.patch('/v1/policy', { codes: { length: 7 } })],
  ['read the organisation', settings, 403, 200, (client) => client.get('/v1/organization')],
  ['change the organisation', ['policyAdmin'], 403, 200, (client) => client.patch('/v1/organization', { locale: 'fr' })],
  ['read the audit log', ['auditor'], 403, 200, (client) => client.get('/v1/audit-events')],
  ['verify the audit log', ['auditor'], 403, 200, (client) => client.get('/v1/audit-events/verification')],
]

for (const role of ['user', 'reader', 'helpdesk', 'privilegedAdmin', 'policyAdmin', 'auditor'] as const) {
  t.test(`${role} may exactly what the table says`, async (t) => {
    const { tenant, ...ids } = await withAnn()
    const client = await service.as({ tenant, subject: `a-${role}`, roles: [role] })
    for (const [name, allowed, elsewhere, status, call] of routes) {
      const answer = await call(client, ids)
      if (allowed.includes(role)) t.equal(answer.status, status, `may ${name}`)
      else if (elsewhere === 403) isRefused(t, answer, 'forbidden', { rule: 'role' }, `may not ${name}`)
      else isRefused(t, answer, 'not_found', {}, `sees nothing: ${name}`)
    }
    t.equal((await client.get('/v1/sandbox/messages')).status, 200, 'the sandbox is open to all')
    t.equal((await client.get('/v1/users/me/contact-methods')).status, 200, 'and one\'s own methods')
  })
}

t.test('of a privileged user everything is read masked; changes wait, and are 403 for the help desk', async (t) => {
  const { tenant, ann, phone, email } = await withAnn()
  await (await service.as({ tenant, subject: 'directory', kind: 'app', scopes: ['users:write'] })).put('/v1/users/ann', { privileged: true })
  for (const roles of [['helpdesk'], ['privilegedAdmin'], ['helpdesk', 'privilegedAdmin']] as Role[][]) {
    const admin = await service.as({ tenant, subject: `a-${roles.join('-')}`, roles })
    const mayAsk = roles.includes('privilegedAdmin')
    const stopped = (answer: Answer) => mayAsk ? t.match(answer, { status: 202, body: { status: 'pendingApproval' } }) : isRefused(t, answer, 'forbidden', { rule: 'privileged_target' })
    t.match((await admin.get(anns)).body.items, [{ display: '+1 ••• ••• ••32', value: null }, {}])
    stopped(await admin.post(anns, { kind: 'officePhone', value: '+14155550144' }))
    stopped(await admin.patch(`${anns}/${phone}`, { label: 'x' }))
    stopped(await admin.put('/v1/users/ann/default-method', { methodId: phone }))
    stopped(await admin.delete(`${anns}/${email}`))
    const missing = await admin.patch(`${anns}/0199c0de-0000-7000-8000-000000000002`, { label: 'x' })
    if (mayAsk) isRefused(t, missing, 'not_found')
    else isRefused(t, missing, 'forbidden', { rule: 'privileged_target' }, 'whether the method is there or not')
  }
  t.equal((await ann.patch(`${anns}/${phone}`, { label: 'Mine' })).status, 200, 'the person themself goes on')
  const rows = await auditOf(service, tenant, 'action=contactMethods.write')
  t.ok(rows.length > 0 && rows.every(({ outcome, userId, details }) => outcome === 'refused' && userId === 'ann' && details.code === 'forbidden'))
})

t.test('whoever uses an administrator\'s role is privileged from that request on', async (t) => {
  const { tenant } = await withAnn()
  for (const role of ['helpdesk', 'privilegedAdmin', 'policyAdmin', 'auditor'] as const) {
    const plain = await service.as({ tenant, subject: `a-${role}` })
    t.match((await plain.get('/v1/users/me')).body, { privileged: false })
    await (await service.as({ tenant, subject: `a-${role}`, roles: [role] })).get('/v1/users/me/contact-methods')
    t.match((await plain.get('/v1/users/me')).body, { privileged: true }, role)
  }
  t.match((await (await service.as({ tenant, subject: 'rita', roles: ['reader'] })).get('/v1/users/me')).body, { privileged: false }, 'not a reader')
  t.match(await auditOf(service, tenant, 'action=user.markedPrivileged&userId=a-helpdesk'), [{ actor: { id: 'a-helpdesk' }, details: { roles: ['user', 'helpdesk'] } }])
})

t.test('for themself an administrator is a person like any other', async (t) => {
  const tenant = await service.tenant()
  const hans = await service.as({ tenant, subject: 'hans', roles: ['helpdesk'] })
  const phone = await verifiedMethod(hans, { kind: 'mobilePhone', value: '+14155550132' }, 'hans')
  t.match(phone, { addedBy: 'self', value: '+14155550132', isDefault: true })
  t.equal((await hans.patch(`/v1/users/hans/contact-methods/${phone.id}`, { label: 'x' })).status, 200)
})

t.test('scopes in a person\'s token limit it, for others and for themself', async (t) => {
  const { tenant, phone } = await withAnn()
  const limited = (subject: string, roles: Role[]) => service.as({ tenant, subject, roles, scopes: ['contact-methods:read', 'users:read'] })
  const ann = await limited('ann', [])
  t.equal((await ann.get(anns)).status, 200)
  isRefused(t, await ann.patch(`${anns}/${phone}`, { label: 'x' }), 'forbidden', { rule: 'scope' })
  isRefused(t, await ann.post('/v1/challenges', { userId: 'me', purpose: 'verifyContact', methodId: phone }), 'forbidden', { rule: 'scope' })
  const petra = await limited('petra', ['privilegedAdmin'])
  t.equal((await petra.get(anns)).status, 200)
  isRefused(t, await petra.patch(`${anns}/${phone}`, { label: 'x' }), 'not_found')
  isRefused(t, await petra.put('/v1/users/ann', {}), 'forbidden', { rule: 'role' })
  isRefused(t, await petra.get('/v1/policy'), 'forbidden', { rule: 'role' }, 'what no scope names is out of reach')
})

t.test('a token of an unknown tenant is 403, and sessions revoked later than the sign-in are 401 at once', async (t) => {
  const { tenant, ann } = await withAnn()
  isRefused(t, await (await service.as({ tenant: 'nowhere', subject: 'ann' })).get('/v1/users/me'), 'forbidden', { rule: 'unknown_tenant' })

  const tenantId = await service.tenantIdOf(tenant)
  const validFrom = (at: Date) => service.owner.inTenant(tenantId, (tx) => tx.db.updateTable('users').set({ sessions_valid_from: at }).where('tenant_id', '=', tenantId).where('user_id', '=', 'ann').execute())
  await validFrom(new Date(Date.now() + 5_000))
  for (const path of ['/v1/users/me', anns, `${anns}?reveal=true`, '/v1/sandbox/clock']) isRefused(t, await ann.get(path), 'invalid_token', {}, path)
  isRefused(t, await ann.post(anns, { kind: 'officePhone', value: '+14155550144' }), 'invalid_token')
  const signedInAt = Math.floor(Date.now() / 1000) - 100
  await validFrom(new Date(signedInAt * 1000 + 900))
  const again = await service.as({ tenant, subject: 'ann', authSecondsAgo: Math.floor(Date.now() / 1000) - signedInAt })
  t.equal((await again.get(anns)).status, 200, 'within the same second the sign-in holds')
})

t.test('a token with an administrator\'s role must be young, others need not', async (t) => {
  const strict = await testService(t, { adminTokenMaxSeconds: -5 })
  const tenant = await strict.tenant()
  for (const role of ['helpdesk', 'privilegedAdmin', 'policyAdmin', 'auditor'] as const) {
    const client = await strict.as({ tenant, subject: role, roles: [role] })
    for (const path of ['/v1/users/me', '/v1/users/me/contact-methods']) isRefused(t, await client.get(path), 'invalid_token', {}, `${role} ${path}`)
  }
  t.equal((await (await strict.as({ tenant, subject: 'rita', roles: ['reader'] })).get('/v1/users/me')).status, 200)
})

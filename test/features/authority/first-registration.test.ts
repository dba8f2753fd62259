import t from 'tap'
import { auditOf, isRefused, setPolicy } from '../../support/answers.ts'
import { testService, verifiedMethod } from '../../support/service.ts'

const service = await testService(t)
const methods = '/v1/users/me/contact-methods'
const phone = { kind: 'mobilePhone', value: '+14155550132' }
const password = { amr: ['pwd'] }

t.test('with firstRegistration "password" a password is enough until a method that counts is verified', async (t) => {
  const tenant = await service.tenant()
  const ann = await service.as({ tenant, subject: 'ann', ...password, authSecondsAgo: 5_000 })
  await verifiedMethod(ann, { kind: 'alternateEmail', value: 'ann@example.org' })
  const { body: added } = await ann.post(methods, phone)
  t.equal((await ann.patch(`${methods}/${added.id}`, { label: 'Mine' })).status, 200, 'an e-mail does not count')
  t.equal((await ann.delete(`${methods}/${added.id}`)).status, 204)
  const active = await verifiedMethod(ann, phone)
  t.match(active, { status: 'active', value: null, display: '+1 ••• ••• ••32' }, 'a password does not show the number')

  isRefused(t, await ann.post(methods, { kind: 'alternatePhone', value: '+14155550144' }), 'insufficient_user_authentication')
  isRefused(t, await ann.patch(`${methods}/${active.id}`, { label: 'x' }), 'insufficient_user_authentication')
  isRefused(t, await ann.delete(`${methods}/${active.id}`), 'insufficient_user_authentication')
})

t.test('who was registered once is not at their first registration again', async (t) => {
  const tenant = await service.tenant()
  await setPolicy(service, tenant, { registration: { required: [] } })
  const ann = await service.as({ tenant, subject: 'ann' })
  const { id } = await verifiedMethod(ann, phone)
  t.equal((await ann.delete(`${methods}/${id}`)).status, 204)
  isRefused(t, await (await service.as({ tenant, subject: 'ann', ...password })).post(methods, phone), 'insufficient_user_authentication')
})

t.test('with firstRegistration "proof", the default outside a sandbox, a password alone is 403 proof_required', async (t) => {
  const sandbox = await service.tenant()
  await setPolicy(service, sandbox, { registration: { firstRegistration: 'proof' } })
  for (const tenant of [sandbox, await service.tenant({ sandbox: false })]) {
    const ann = await service.as({ tenant, subject: 'ann', ...password })
    isRefused(t, await ann.post(methods, phone), 'proof_required')
    isRefused(t, await ann.post(methods, { ...phone, value: 'hello' }), 'proof_required', {}, 'whatever the number')
    isRefused(t, await (await service.as({ tenant, subject: 'ann', authSecondsAgo: 700 })).post(methods, phone), 'insufficient_user_authentication', {}, 'a stale second factor')
    t.match(await auditOf(service, tenant, 'action=contactMethods.write'), [{ outcome: 'refused', details: { code: 'insufficient_user_authentication' } }, { outcome: 'refused', actor: { id: 'ann' }, userId: 'ann', details: { code: 'proof_required' } }])
    t.equal((await (await service.as({ tenant, subject: 'ann' })).post(methods, phone)).status, 201, 'a fresh one will do')
  }
})

t.test('a privileged user never registers with a password: 403 proof_required', async (t) => {
  const tenant = await service.tenant()
  const directory = await service.as({ tenant, subject: 'directory', kind: 'app', scopes: ['users:write'] })
  await directory.put('/v1/users/boss', { privileged: true })
  isRefused(t, await (await service.as({ tenant, subject: 'boss', ...password })).post(methods, phone), 'proof_required')
  for (const role of ['helpdesk', 'privilegedAdmin', 'policyAdmin', 'auditor'] as const) {
    isRefused(t, await (await service.as({ tenant, subject: role, roles: [role], ...password })).post(methods, phone), 'proof_required', {}, `${role}, from the first call on`)
  }
  t.equal((await (await service.as({ tenant, subject: 'rita', roles: ['reader'], ...password })).post(methods, phone)).status, 201, 'a reader is not privileged')
  t.equal((await (await service.as({ tenant, subject: 'boss' })).post(methods, phone)).status, 201)
})

t.test('a password does not let anyone register somebody else', async (t) => {
  const tenant = await service.tenant()
  await (await service.as({ tenant, subject: 'ann' })).get('/v1/users/me')
  const helpdesk = await service.as({ tenant, subject: 'hans', roles: ['helpdesk'], ...password })
  isRefused(t, await helpdesk.post('/v1/users/ann/contact-methods', phone), 'insufficient_user_authentication')
})

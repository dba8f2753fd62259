import t from 'tap'
import { auditOf, isRefused, setPolicy, startVerification } from '../../support/answers.ts'
import { clientOf, codeOf, testService, verifiedMethod } from '../../support/service.ts'
import { scopes as allScopes, type Scope } from '../../../src/vocabulary.ts'

const service = await testService(t)
const anns = '/v1/users/ann/contact-methods'
const phone = { kind: 'mobilePhone', value: '+14155550132' }

async function withAnn () {
  const tenant = await service.tenant()
  const ann = await service.as({ tenant, subject: 'ann' })
  await ann.get('/v1/users/me')
  const app = (...scopes: Scope[]) => service.as({ tenant, subject: 'payroll', kind: 'app', scopes })
  return { tenant, ann, app }
}

t.test('each scope opens its own routes and no others: 403 on an administrator\'s route, 404 on another\'s object', async (t) => {
  const { app } = await withAnn()
  const routes: Array<[Scope | null, 403 | 404, 'get' | 'post' | 'put' | 'patch', string, object?]> = [
    ['users:read', 404, 'get', '/v1/users/ann'], ['users:read', 403, 'get', '/v1/users'], ['users:read', 403, 'post', '/v1/users/search', { email: 'a@example.com' }],
    ['users:write', 403, 'put', '/v1/users/ann', {}], ['contact-methods:read', 404, 'get', anns], ['contact-methods:write', 404, 'post', anns, phone], ['audit:read', 403, 'get', '/v1/audit-events'],
    [null, 403, 'get', '/v1/policy'], [null, 403, 'patch', '/v1/policy', { codes: { length: 8 } }], [null, 403, 'get', '/v1/organization'], [null, 403, 'patch', '/v1/organization', { name: 'x' }],
  ]
  for (const [scope, status, method, path, body] of routes) {
    const others = allScopes.filter((one) => one !== scope)
    const without = await (await app(...others))[method](path, body as never)
    if (status === 403) isRefused(t, without, 'forbidden', { rule: 'scope' }, `${method} ${path} with every other scope`)
    else isRefused(t, without, 'not_found', {}, `${method} ${path} with every other scope`)
    if (scope) t.ok((await (await app(scope))[method](path, body as never)).status < 300, `${method} ${path} with ${scope}`)
  }
})

t.test('what an app adds stays pending until the person verifies it: the app alone cannot', async (t) => {
  const { tenant, ann, app } = await withAnn()
  const payroll = await app('contact-methods:read', 'contact-methods:write', 'challenges:write')
  const added = await payroll.post(anns, { ...phone, isDefault: true })
  t.match(added, { status: 201, body: { status: 'pending', addedBy: 'app', isDefault: false, value: null, display: '+1 ••• ••• ••32' } })
  isRefused(t, await payroll.post('/v1/challenges', { userId: 'ann', purpose: 'verifyContact', methodId: added.body.id }), 'proof_required')
  const challenge = await startVerification(ann, added.body.id)
  isRefused(t, await payroll.post(`/v1/challenges/${challenge}/verify`, { code: '123456' }), 'not_found', {}, 'nor check the person\'s code')
  t.equal((await ann.post(`/v1/challenges/${challenge}/verify`, { code: await codeOf(ann, challenge) })).status, 200)
  t.match((await ann.get(`${anns}/${added.body.id}`)).body, { status: 'active', isDefault: true, addedBy: 'app' })
  t.match(await auditOf(service, tenant, 'action=contactMethod.added'), [{ actor: { kind: 'app', id: 'payroll' }, userId: 'ann' }])
})

t.test('what the person added, an app may verify with them', async (t) => {
  const { ann, app } = await withAnn()
  const { body: added } = await ann.post(anns, phone)
  const payroll = await app('challenges:write')
  const challenge = await startVerification(payroll, added.id, 'ann')
  t.equal((await payroll.post(`/v1/challenges/${challenge}/verify`, { code: await codeOf(payroll, challenge) })).status, 200)
  t.match((await ann.get(`${anns}/${added.id}`)).body, { status: 'active' })
})

t.test('without a proof of the person an app changes, chooses and removes nothing: 403 proof_required', async (t) => {
  const { tenant, ann, app } = await withAnn()
  const active = await verifiedMethod(ann, phone)
  const payroll = await app('contact-methods:read', 'contact-methods:write')
  const { body: own } = await payroll.post(anns, { kind: 'officePhone', value: '+14155550144' })
  for (const id of [active.id, own.id]) {
    isRefused(t, await payroll.patch(`${anns}/${id}`, { label: 'x' }), 'proof_required')
    isRefused(t, await payroll.patch(`${anns}/${id}`, { value: '+14155550155' }), 'proof_required')
    isRefused(t, await payroll.put('/v1/users/ann/default-method', { methodId: id }), 'proof_required')
    isRefused(t, await payroll.delete(`${anns}/${id}`), 'proof_required')
  }
  await setPolicy(service, tenant, { registration: { firstRegistration: 'password' } })
  isRefused(t, await payroll.delete(`${anns}/${own.id}`), 'proof_required', {}, 'a policy for passwords does not help an app')
  t.match((await ann.get(anns)).body.items, [{ label: null, version: active.version }, { version: 1 }])
  t.match((await auditOf(service, tenant, 'action=contactMethods.write'))[0], { outcome: 'refused', actor: { kind: 'app', id: 'payroll' }, userId: 'ann', details: { code: 'proof_required' } })
})

t.test('an app never changes a privileged user: 403 privileged_target', async (t) => {
  const { ann, app } = await withAnn()
  const active = await verifiedMethod(ann, phone)
  const payroll = await app('contact-methods:read', 'contact-methods:write', 'users:write')
  await payroll.put('/v1/users/ann', { privileged: true })
  isRefused(t, await payroll.post(anns, { kind: 'officePhone', value: '+14155550144' }), 'forbidden', { rule: 'privileged_target' })
  isRefused(t, await payroll.patch(`${anns}/${active.id}`, { label: 'x' }), 'forbidden', { rule: 'privileged_target' })
  isRefused(t, await payroll.put('/v1/users/ann/default-method', { methodId: active.id }), 'forbidden', { rule: 'privileged_target' })
  isRefused(t, await payroll.delete(`${anns}/${active.id}`), 'forbidden', { rule: 'privileged_target' })
  t.equal((await payroll.get(anns)).status, 200, 'it reads on')
})

t.test('an app has no roles and is nobody\'s self', async (t) => {
  const { tenant, app } = await withAnn()
  const token = await service.issuer.tokenOf({ tenant, subject: 'payroll', kind: 'app', scopes: ['contact-methods:read'] }, { roles: ['privilegedAdmin', 'policyAdmin', 'auditor'], amr: ['hwk'], auth_time: Math.floor(Date.now() / 1000) })
  const roleful = clientOf(service, token)
  isRefused(t, await roleful.get('/v1/policy'), 'forbidden', { rule: 'scope' })
  isRefused(t, await roleful.get('/v1/audit-events'), 'forbidden', { rule: 'scope' })
  isRefused(t, await roleful.get(`${anns}?reveal=true`), 'forbidden', { rule: 'reveal' })

  const namesake = await service.as({ tenant, subject: 'ann', kind: 'app', scopes: ['sign-in:read'] })
  isRefused(t, await namesake.get(anns), 'not_found', {}, 'an app called ann is not Ann')
  isRefused(t, await namesake.get('/v1/users/ann'), 'not_found')
  const payroll = await app(...allScopes)
  for (const path of ['/v1/users/me', '/v1/users/me/contact-methods']) isRefused(t, await payroll.get(path), 'validation_failed', { parameter: 'userId' }, path)
  isRefused(t, await payroll.post('/v1/users/nobody/contact-methods', phone), 'not_found', {}, 'an unknown user is not made')
})

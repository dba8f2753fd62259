import t from 'tap'
import { auditOf, isRefused, setPolicy } from '../../support/answers.ts'
import { testService, verifiedMethod } from '../../support/service.ts'

const service = await testService(t)
const anns = '/v1/users/ann/contact-methods'
const phone = { kind: 'mobilePhone', value: '+14155550132' }
const vouched = { ...phone, preVerified: true, reason: 'Seen at the desk with passport 123456789' }

/** Ann, and a tenant whose policy allows to vouch. */
async function allowed () {
  const tenant = await service.tenant()
  await setPolicy(service, tenant, { preVerified: true })
  const ann = await service.as({ tenant, subject: 'ann' })
  await ann.get('/v1/users/me')
  return { tenant, ann, petra: await service.as({ tenant, subject: 'petra', roles: ['privilegedAdmin'] }) }
}

t.test('a privileged administrator vouches for a method: it is active at once, and the audit log says why', async (t) => {
  const { tenant, ann, petra } = await allowed()
  const added = await petra.post(anns, vouched)
  t.match(added, { status: 201, body: { status: 'active', isDefault: true, verifiedAt: null, addedBy: 'administrator', value: null } }, 'no code ever came back, so verifiedAt stays null')
  t.match((await ann.get(anns)).body.items, [{ id: added.body.id, value: '+14155550132', status: 'active' }])
  const [row] = await auditOf(service, tenant, 'action=contactMethod.added')
  t.match(row, { actor: { id: 'petra' }, userId: 'ann', details: { preVerified: true, reason: 'Seen at the desk with passport •••' } }, 'without anything that looks like a number')
})

t.test('without the policy\'s leave it is 403 policy_pre_verified, without a reason 400', async (t) => {
  const { tenant, petra } = await allowed()
  isRefused(t, await petra.post(anns, { ...phone, preVerified: true }), 'validation_failed', { pointer: '/reason' })
  isRefused(t, await petra.post(anns, { ...vouched, reason: '' }), 'validation_failed', { pointer: '/reason' })
  await setPolicy(service, tenant, { preVerified: false })
  isRefused(t, await petra.post(anns, vouched), 'forbidden', { rule: 'policy_pre_verified' })
  t.same((await petra.get(anns)).body.items, [])
  t.match(await petra.post(anns, { ...phone, preVerified: false }), { status: 201, body: { status: 'pending' } })
})

t.test('nobody else vouches: 403 with the rule, and nobody for themself', async (t) => {
  const { tenant, ann, petra } = await allowed()
  const helpdesk = await service.as({ tenant, subject: 'hans', roles: ['helpdesk'] })
  const app = await service.as({ tenant, subject: 'hr', kind: 'app', scopes: ['contact-methods:write', 'imports:write', 'users:write'] })
  isRefused(t, await helpdesk.post(anns, vouched), 'forbidden', { rule: 'role' })
  isRefused(t, await app.post(anns, vouched), 'forbidden', { rule: 'scope' })
  isRefused(t, await ann.post(anns, vouched), 'forbidden', { rule: 'self_administration' })
  isRefused(t, await petra.post('/v1/users/me/contact-methods', vouched), 'forbidden', { rule: 'self_administration' })
  isRefused(t, await helpdesk.post(anns, { ...vouched, value: 'hello' }), 'forbidden', { rule: 'role' }, 'the caller is judged before the number')
  t.same((await ann.get(anns)).body.items, [])
})

t.test('what an administrator adds without vouching waits for the person\'s code', async (t) => {
  const { ann, petra } = await allowed()
  const { body: added } = await petra.post(anns, { ...phone, reason: 'Asked for by phone' })
  t.match(added, { status: 'pending', addedBy: 'administrator', isDefault: false, value: null, display: '+1 ••• ••• ••32' })
  isRefused(t, await petra.post('/v1/challenges', { userId: 'ann', purpose: 'verifyContact', methodId: added.id }), 'not_found', {}, 'an administrator cannot verify it')
  isRefused(t, await petra.put('/v1/users/ann/default-method', { methodId: added.id }), 'method_not_usable')
  t.match((await ann.get(`${anns}/${added.id}`)).body, { value: '+14155550132', status: 'pending' })
})

t.test('a vouched method keeps the places, the values and the default like any other', async (t) => {
  const { ann, petra } = await allowed()
  const own = await verifiedMethod(ann, phone)
  isRefused(t, await petra.post(anns, vouched), 'duplicate_method')
  isRefused(t, await petra.post(anns, { ...vouched, value: '+14155550144' }), 'method_limit_reached')
  t.match((await petra.post(anns, { ...vouched, kind: 'officePhone', value: '+14155550144' })).body, { status: 'active', isDefault: false })
  t.match((await petra.post(anns, { ...vouched, kind: 'alternatePhone', value: '+14155550155', isDefault: true })).body, { status: 'active', isDefault: true })
  t.match((await ann.get(`${anns}/${own.id}`)).body, { isDefault: false })
})

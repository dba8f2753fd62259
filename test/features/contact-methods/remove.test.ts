import t from 'tap'
import { auditOf, isRefused, setPolicy, startVerification } from '../../support/answers.ts'
import { codeOf, testService, verifiedMethod } from '../../support/service.ts'

const methods = '/v1/users/me/contact-methods'
const service = await testService(t)

t.test('a removed method is gone, its place and value are free, its code is dead, and the audit log says who', async (t) => {
  const tenant = await service.tenant()
  const ann = await service.as({ tenant, subject: 'ann' })
  const { body: phone } = await ann.post(methods, { kind: 'mobilePhone', value: '+14155550132' })
  const challenge = await startVerification(ann, phone.id)
  const code = await codeOf(ann, challenge)
  const removed = await ann.delete(`${methods}/${phone.id}`)
  t.match(removed, { status: 204, text: '' })
  t.notOk(removed.headers['content-type'])

  isRefused(t, await ann.get(`${methods}/${phone.id}`), 'not_found')
  isRefused(t, await ann.delete(`${methods}/${phone.id}`), 'not_found', {}, 'a second time')
  t.same((await ann.get(methods)).body.items, [])
  isRefused(t, await ann.post(`/v1/challenges/${challenge}/verify`, { code }), 'challenge_canceled')
  t.equal((await ann.post(methods, { kind: 'mobilePhone', value: '+14155550132' })).status, 201)
  const [row] = await auditOf(service, tenant, 'action=contactMethod.removed')
  t.match(row, { actor: { kind: 'person', id: 'ann' }, userId: 'ann', outcome: 'done', details: { methodId: phone.id, kind: 'mobilePhone' } })
})

t.test('the last method that satisfies the policy stays: 409 last_method', async (t) => {
  const tenant = await service.tenant()
  const ann = await service.as({ tenant, subject: 'ann' })
  const phone = await verifiedMethod(ann, { kind: 'mobilePhone', value: '+14155550132' })
  const alternate = await verifiedMethod(ann, { kind: 'alternatePhone', value: '+14155550144' })
  const email = await verifiedMethod(ann, { kind: 'alternateEmail', value: 'ann@example.org' })
  isRefused(t, await ann.delete(`${methods}/${phone.id}`), 'last_method')
  t.match((await ann.get(`${methods}/${phone.id}`)).body, { status: 'active', isDefault: true, version: phone.version }, 'and is as it was')
  const helpdesk = await service.as({ tenant, subject: 'hans', roles: ['helpdesk'] })
  isRefused(t, await helpdesk.delete(`/v1/users/ann/contact-methods/${phone.id}`), 'last_method', {}, 'an administrator needs a reset for it')

  t.equal((await ann.delete(`${methods}/${alternate.id}`)).status, 204, 'what the policy does not ask for goes')
  t.equal((await ann.delete(`${methods}/${email.id}`)).status, 204)

  await setPolicy(service, tenant, { registration: { required: [{ count: 1, oneOf: ['mobilePhone', 'alternatePhone'] }] } })
  const other = await verifiedMethod(ann, { kind: 'alternatePhone', value: '+14155550144' })
  t.equal((await ann.delete(`${methods}/${phone.id}`)).status, 204, 'either of two will do')
  isRefused(t, await ann.delete(`${methods}/${other.id}`), 'last_method')
  await setPolicy(service, tenant, { registration: { required: [] } })
  t.equal((await ann.delete(`${methods}/${other.id}`)).status, 204, 'a policy that asks for nothing keeps nothing')
})

t.test('a pending method does not stand in for the last one, and goes at any time', async (t) => {
  const tenant = await service.tenant()
  const ann = await service.as({ tenant, subject: 'ann' })
  await setPolicy(service, tenant, { registration: { required: [{ count: 1, oneOf: ['mobilePhone', 'alternatePhone'] }] } })
  const phone = await verifiedMethod(ann, { kind: 'mobilePhone', value: '+14155550132' })
  const { body: pending } = await ann.post(methods, { kind: 'alternatePhone', value: '+14155550144' })
  isRefused(t, await ann.delete(`${methods}/${phone.id}`), 'last_method')
  t.equal((await ann.delete(`${methods}/${pending.id}`)).status, 204)
})

t.test('who does not meet the policy anyway may remove what they have', async (t) => {
  const ann = await service.as({ tenant: await service.tenant(), subject: 'ann' })
  const alternate = await verifiedMethod(ann, { kind: 'alternatePhone', value: '+14155550144' })
  t.equal((await ann.delete(`${methods}/${alternate.id}`)).status, 204)
})

t.test('removing the default promotes the next by the policy\'s order', async (t) => {
  const tenant = await service.tenant()
  await setPolicy(service, tenant, { registration: { required: [] }, order: ['passkey', 'totp', 'officePhone', 'alternatePhone', 'mobilePhone'] })
  const ann = await service.as({ tenant, subject: 'ann' })
  const phone = await verifiedMethod(ann, { kind: 'mobilePhone', value: '+14155550111' })
  const alternate = await verifiedMethod(ann, { kind: 'alternatePhone', value: '+14155550112' })
  const office = await verifiedMethod(ann, { kind: 'officePhone', value: '+14155550113' })
  await verifiedMethod(ann, { kind: 'alternateEmail', value: 'ann@example.org' })
  const defaults = async () => (await ann.get(methods)).body.items.filter((method: { isDefault: boolean }) => method.isDefault).map((method: { id: string }) => method.id)

  t.same(await defaults(), [phone.id])
  await ann.delete(`${methods}/${phone.id}`)
  t.same(await defaults(), [office.id])
  await ann.delete(`${methods}/${office.id}`)
  t.same(await defaults(), [alternate.id])
  await ann.delete(`${methods}/${alternate.id}`)
  t.same(await defaults(), [], 'an e-mail that does not count never becomes it')
})

t.test('removing another method leaves the default alone', async (t) => {
  const ann = await service.as({ tenant: await service.tenant(), subject: 'ann' })
  const phone = await verifiedMethod(ann, { kind: 'mobilePhone', value: '+14155550111' })
  const alternate = await verifiedMethod(ann, { kind: 'alternatePhone', value: '+14155550112' })
  await ann.delete(`${methods}/${alternate.id}`)
  t.match((await ann.get(methods)).body.items, [{ id: phone.id, isDefault: true, version: phone.version }])
})

t.test('If-Match names the version that is removed, else 412 version_mismatch', async (t) => {
  const ann = await service.as({ tenant: await service.tenant(), subject: 'ann' })
  const { body: phone } = await ann.post(methods, { kind: 'mobilePhone', value: '+14155550132' })
  await ann.patch(`${methods}/${phone.id}`, { label: 'Mine' })
  isRefused(t, await ann.delete(`${methods}/${phone.id}`, { 'if-match': '"1"' }), 'version_mismatch')
  t.equal((await ann.get(`${methods}/${phone.id}`)).status, 200)
  t.equal((await ann.delete(`${methods}/${phone.id}`, { 'if-match': '"2"' })).status, 204)
})

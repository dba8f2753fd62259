import t from 'tap'
import { auditOf, disable, isRefused, setPolicy, startVerification } from '../../support/answers.ts'
import { codeOf, testService, verifiedMethod, type Client } from '../../support/service.ts'

const methods = '/v1/users/me/contact-methods'
const chosen = '/v1/users/me/default-method'
const service = await testService(t)

async function twoPhones () {
  const tenant = await service.tenant()
  const ann = await service.as({ tenant, subject: 'ann' })
  const phone = await verifiedMethod(ann, { kind: 'mobilePhone', value: '+14155550111' })
  const alternate = await verifiedMethod(ann, { kind: 'alternatePhone', value: '+14155550112' })
  return { tenant, ann, phone, alternate }
}

const defaultsOf = async (client: Client, user = 'me') =>
  (await client.get(`/v1/users/${user}/contact-methods`)).body.items.filter((method: { isDefault: boolean }) => method.isDefault).map((method: { id: string }) => method.id)

t.test('the first verified method that counts becomes the default; later ones do not', async (t) => {
  const ann = await service.as({ tenant: await service.tenant(), subject: 'ann' })
  t.match(await verifiedMethod(ann, { kind: 'alternateEmail', value: 'ann@example.org' }), { isDefault: false, purposes: ['recovery', 'notice'] }, 'an e-mail does not count')
  const { body: pending } = await ann.post(methods, { kind: 'officePhone', value: '+14155550113' })
  t.match(await verifiedMethod(ann, { kind: 'alternatePhone', value: '+14155550112' }), { isDefault: true })
  t.match(await verifiedMethod(ann, { kind: 'mobilePhone', value: '+14155550111' }), { isDefault: false })
  t.match((await ann.get(`${methods}/${pending.id}`)).body, { status: 'pending', isDefault: false })
})

t.test('one chosen takes the other\'s place, with the channel to try first in front', async (t) => {
  const { tenant, ann, phone, alternate } = await twoPhones()
  const put = await ann.put(chosen, { methodId: alternate.id, channel: 'voice' })
  t.match(put, { status: 200, headers: { etag: '"3"' }, body: { id: alternate.id, isDefault: true, channels: ['voice', 'sms'], version: 3 } })
  t.same(await defaultsOf(ann), [alternate.id])
  t.match((await ann.get(`${methods}/${phone.id}`)).body, { isDefault: false, version: phone.version + 1 })
  t.match((await ann.put(chosen, { methodId: alternate.id })).body, { channels: ['sms', 'voice'] }, 'without a channel, the first one')
  t.match((await auditOf(service, tenant, 'action=defaultMethod.chosen')).map((row) => row.details), [{ methodId: alternate.id, channel: 'sms' }, { methodId: alternate.id, channel: 'voice' }])
})

t.test('choosing what is the default already changes nothing', async (t) => {
  const { ann, phone } = await twoPhones()
  t.match(await ann.put(chosen, { methodId: phone.id }), { status: 200, body: { isDefault: true, version: phone.version } })
  t.match((await ann.patch(`${methods}/${phone.id}`, { isDefault: true })).body, { isDefault: true, version: phone.version })
})

t.test('PATCH chooses it, too, and lets it go to the next by the policy\'s order', async (t) => {
  const { tenant, ann, phone, alternate } = await twoPhones()
  await verifiedMethod(ann, { kind: 'officePhone', value: '+14155550113' })
  await setPolicy(service, tenant, { order: ['officePhone', 'alternatePhone', 'mobilePhone'] })
  t.match(await ann.patch(`${methods}/${alternate.id}`, { isDefault: true }), { status: 200, body: { isDefault: true } })
  t.same(await defaultsOf(ann), [alternate.id])
  t.match(await ann.patch(`${methods}/${alternate.id}`, { isDefault: false }), { status: 200, body: { isDefault: false } })
  t.match((await ann.get(methods)).body.items, [{ id: phone.id, isDefault: false }, { id: alternate.id, isDefault: false }, { kind: 'officePhone', isDefault: true }])
})

t.test('the only method that counts stays the default: 409 method_not_usable', async (t) => {
  const ann = await service.as({ tenant: await service.tenant(), subject: 'ann' })
  const phone = await verifiedMethod(ann, { kind: 'mobilePhone', value: '+14155550111' })
  await verifiedMethod(ann, { kind: 'alternateEmail', value: 'ann@example.org' })
  isRefused(t, await ann.patch(`${methods}/${phone.id}`, { isDefault: false }), 'method_not_usable')
  t.same(await defaultsOf(ann), [phone.id])
})

t.test('a method added to be the default becomes it once it is verified, unless it is told otherwise first', async (t) => {
  const { ann, phone } = await twoPhones()
  const verified = async (id: string) => {
    const challenge = await startVerification(ann, id)
    await ann.post(`/v1/challenges/${challenge}/verify`, { code: await codeOf(ann, challenge) })
  }
  const { body: wanted } = await ann.post(methods, { kind: 'officePhone', value: '+14155550113', isDefault: true })
  t.same([wanted.isDefault, await defaultsOf(ann)], [false, [phone.id]], 'not while it is pending')
  t.match((await ann.patch(`${methods}/${wanted.id}`, { isDefault: false })).body, { isDefault: false, status: 'pending' })
  await verified(wanted.id)
  t.same(await defaultsOf(ann), [phone.id])

  await ann.delete(`${methods}/${wanted.id}`)
  const { body: again } = await ann.post(methods, { kind: 'officePhone', value: '+14155550113' })
  await ann.patch(`${methods}/${again.id}`, { isDefault: true })
  await verified(again.id)
  t.same(await defaultsOf(ann), [again.id])
})

t.test('only an active method that counts can be the default: else 409 method_not_usable', async (t) => {
  const { tenant, ann, alternate } = await twoPhones()
  const email = await verifiedMethod(ann, { kind: 'alternateEmail', value: 'ann@example.org' })
  const { body: pending } = await ann.post(methods, { kind: 'officePhone', value: '+14155550113' })
  isRefused(t, await ann.put(chosen, { methodId: email.id }), 'method_not_usable')
  isRefused(t, await ann.put(chosen, { methodId: pending.id }), 'method_not_usable')
  isRefused(t, await ann.patch(`${methods}/${email.id}`, { isDefault: true }), 'method_not_usable')
  await setPolicy(service, tenant, { alternateEmails: 2 })
  isRefused(t, await ann.post(methods, { kind: 'alternateEmail', value: 'ann@example.net', isDefault: true }), 'method_not_usable')
  await disable(service, tenant, alternate.id)
  isRefused(t, await ann.put(chosen, { methodId: alternate.id }), 'method_not_usable')
  isRefused(t, await ann.patch(`${methods}/${alternate.id}`, { isDefault: true }), 'method_not_usable')

  await setPolicy(service, tenant, { emailCounts: true })
  t.match(await ann.put(chosen, { methodId: email.id }), { status: 200, body: { isDefault: true, channels: ['email'], purposes: ['mfa', 'recovery', 'notice'] } }, 'unless the policy counts e-mails')
})

t.test('an e-mail that no longer counts gives way to the next method that does', async (t) => {
  const tenant = await service.tenant()
  await setPolicy(service, tenant, { emailCounts: true })
  const ann = await service.as({ tenant, subject: 'ann' })
  t.match(await verifiedMethod(ann, { kind: 'alternateEmail', value: 'ann@example.org' }), { isDefault: true })
  await setPolicy(service, tenant, { emailCounts: false })
  const phone = await verifiedMethod(ann, { kind: 'mobilePhone', value: '+14155550111' })
  t.same(await defaultsOf(ann), [phone.id])
})

t.test('a channel that the method does not have is 422 channel_not_available, an unknown method 404', async (t) => {
  const { ann, phone } = await twoPhones()
  const office = await verifiedMethod(ann, { kind: 'officePhone', value: '+14155550113' })
  isRefused(t, await ann.put(chosen, { methodId: office.id, channel: 'sms' }), 'channel_not_available')
  isRefused(t, await ann.put(chosen, { methodId: phone.id, channel: 'email' }), 'channel_not_available')
  isRefused(t, await ann.put(chosen, { methodId: '0199c0de-0000-7000-8000-000000000002' }), 'not_found')
  isRefused(t, await ann.put(chosen, { methodId: 'x' }), 'validation_failed')
  isRefused(t, await ann.put(chosen, { methodId: phone.id, channel: 'fax' }), 'validation_failed', { pointer: '/channel' })
  isRefused(t, await ann.put(chosen, {}), 'validation_failed', { pointer: '/methodId' })
  t.same(await defaultsOf(ann), [phone.id])
})

t.test('If-Match names the version of the method that is chosen, else 412 version_mismatch', async (t) => {
  const { ann, alternate, phone } = await twoPhones()
  isRefused(t, await ann.put(chosen, { methodId: alternate.id }, { 'if-match': '"1"' }), 'version_mismatch')
  t.same(await defaultsOf(ann), [phone.id])
  t.equal((await ann.put(chosen, { methodId: alternate.id }, { 'if-match': '"2"' })).status, 200)
})

t.test('the help desk chooses for someone; the default keeps its channel when its number changes', async (t) => {
  const { tenant, ann, alternate } = await twoPhones()
  const helpdesk = await service.as({ tenant, subject: 'hans', roles: ['helpdesk'] })
  t.match(await helpdesk.put('/v1/users/ann/default-method', { methodId: alternate.id, channel: 'voice' }), { status: 200, body: { isDefault: true, value: null } })
  await ann.patch(`${methods}/${alternate.id}`, { value: '+14155550144' })
  const challenge = await startVerification(ann, alternate.id)
  await ann.post(`/v1/challenges/${challenge}/verify`, { code: await codeOf(ann, challenge) })
  t.match((await ann.get(`${methods}/${alternate.id}`)).body, { value: '+14155550144', isDefault: true, channels: ['voice', 'sms'] })
})

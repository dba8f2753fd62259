import t from 'tap'
import { approved, auditOf, isRefused } from '../../support/answers.ts'
import { testService, type TestService } from '../../support/service.ts'
import type { NewTenant } from '../../../src/features/organization/create-tenant.ts'

const service = await testService(t)
const path = '/v1/organization'

async function organization (settings: Partial<NewTenant> = {}) {
  const tenant = await service.tenant(settings)
  return { tenant, admin: await adminOf(service, tenant) }
}

const adminOf = (service: TestService, tenant: string) => service.as({ tenant, subject: 'pia', roles: ['policyAdmin'] })

t.test('the organisation starts with what it was made with, and PATCH keeps every field it does not name', async (t) => {
  const { tenant, admin } = await organization()
  t.match(await admin.get(path), {
    status: 200, headers: { etag: '"1"' },
    body: { name: 'Test Ltd', address: null, phone: null, technicalContact: null, securityContact: null, privacyContact: null, locale: 'en', defaultCountry: 'US', version: 1 },
  })
  const address = { street: '1 Main Street', city: 'Springfield', region: 'IL', postalCode: '62701', country: 'US' }
  const filled = await admin.patch(path, {
    address, phone: '(415) 555-0100', technicalContact: { name: 'IT', email: 'IT@example.com', phone: '415 555 0101' }, privacyContact: { email: 'privacy@example.com' }, locale: 'de-CH',
  })
  t.match(filled, {
    status: 200, headers: { etag: '"2"' },
    body: { name: 'Test Ltd', address, phone: '+14155550100', technicalContact: { name: 'IT', email: 'IT@example.com', phone: '+14155550101' }, privacyContact: { email: 'privacy@example.com' }, locale: 'de-CH', version: 2 },
  }, 'numbers are answered as E.164, addresses as typed')
  const renamed = await admin.patch(path, { name: 'Test GmbH' })
  t.match(renamed.body, { ...filled.body, name: 'Test GmbH', version: 3, updatedAt: String })
  t.match((await admin.patch(path, { address: { city: 'Bern' }, phone: null, privacyContact: null })).body, { address: { city: 'Bern' }, phone: null, privacyContact: null, technicalContact: { name: 'IT' } }, 'a field is replaced whole, null empties it')
  t.same((await admin.get(path)).body.address, { city: 'Bern' })
  const rows = await auditOf(service, tenant, 'action=organization.changed')
  t.same(rows.map((row) => row.details.fields), [['address', 'phone', 'privacyContact'], ['name'], ['address', 'phone', 'technicalContact', 'privacyContact', 'locale']])
  const told = rows.map(({ id: _id, at: _at, requestId: _requestId, ...rest }) => rest) // any digits may stand in these
  t.notMatch(JSON.stringify(told), /Main Street|555|example\.com|Test GmbH/, 'the audit log names fields, not values')
})

t.test('a change to what is there already is no change', async (t) => {
  const { tenant, admin } = await organization()
  await approved(service, tenant, await admin.patch(path, { phone: '+14155550100', securityContact: { email: 'sec@example.com', phone: '+14155550111' } }))
  t.match((await admin.patch(path, { phone: '415-555-0100', name: 'Test Ltd', defaultCountry: 'US', securityContact: { email: 'sec@example.com', phone: '(415) 555-0111' } })).body, { version: 2 })
  t.equal((await auditOf(service, tenant, 'action=organization.changed')).length, 1)
})

t.test('the default country is fixed once set: 422 country_immutable; a country that is none is 400', async (t) => {
  const { admin } = await organization()
  isRefused(t, await admin.patch(path, { defaultCountry: 'GB' }), 'country_immutable')
  t.equal((await admin.patch(path, { defaultCountry: 'US' })).status, 200, 'the same is no change')

  const homeless = await organization({ country: null })
  for (const country of ['UK', 'ZZ', 'us', 'USA', '', null]) isRefused(t, await homeless.admin.patch(path, { defaultCountry: country }), 'validation_failed', { pointer: '/defaultCountry' }, String(country))
  isRefused(t, await homeless.admin.patch(path, { phone: '415 555 0100' }), 'invalid_phone_number', { pointer: '/phone' }, 'a national number needs it')
  t.match((await homeless.admin.patch(path, { defaultCountry: 'US', phone: '415 555 0100' })).body, { defaultCountry: 'US', phone: '+14155550100' }, 'it may be set once, and counts at once')
  isRefused(t, await homeless.admin.patch(path, { defaultCountry: 'GB' }), 'country_immutable')
})

t.test('a new security contact, or none any more, waits for a second approver with all that was asked for beside it', async (t) => {
  for (const sandbox of [true, false]) {
    const { tenant, admin } = await organization({ sandbox })
    const change = { name: 'New Ltd', securityContact: { email: 'sec@example.com' } }
    const asked = await admin.patch(path, change)
    t.match(asked, { status: 202, body: { status: 'pendingApproval' } })
    t.match((await admin.get(path)).body, { name: 'Test Ltd', securityContact: null, version: 1 }, 'and nothing of it happened')
    t.match(await admin.patch(path, { locale: 'fr', technicalContact: { email: 'it@example.com' }, securityContact: null }), { status: 200, body: { locale: 'fr' } }, 'the rest does not wait')
    await approved(service, tenant, asked)
    t.match((await admin.get(path)).body, { ...change, locale: 'fr' })
    t.equal((await admin.patch(path, { securityContact: null })).status, 202)
    t.equal((await admin.patch(path, { securityContact: { email: 'other@example.com' } })).status, 202)
    t.match((await auditOf(service, tenant, 'action=organization.changed'))[0]!.details, { fields: ['name', 'securityContact'], approver: 'second-person' })
  }
})

t.test('numbers and addresses of contacts are checked: 422, at their place', async (t) => {
  const { admin } = await organization()
  isRefused(t, await admin.patch(path, { phone: 'hello' }), 'invalid_phone_number', { pointer: '/phone' })
  isRefused(t, await admin.patch(path, { phone: '+1 900 234 5678' }), 'phone_number_not_allowed', { pointer: '/phone' })
  isRefused(t, await admin.patch(path, { technicalContact: { phone: '12' } }), 'invalid_phone_number', { pointer: '/technicalContact/phone' })
  isRefused(t, await admin.patch(path, { securityContact: { email: 'Sec <sec@example.com>' } }), 'invalid_email', { pointer: '/securityContact/email' })
  isRefused(t, await admin.patch(path, { privacyContact: { email: 'nobody' } }), 'invalid_email', { pointer: '/privacyContact/email' })
})

t.test('what does not fit the schema is 400 validation_failed and changes nothing', async (t) => {
  const { admin } = await organization()
  const faulty: Array<[string, object]> = [
    ['', {}], ['/name', { name: '' }], ['/name', { name: 'a\nb' }], ['/name', { name: 5 }], ['/name', { name: 'a'.repeat(201) }], ['/locale', { locale: null }], ['/locale', { locale: 'english_GB' }],
    ['/address', { address: 'Main Street' }], ['/address/zip', { address: { zip: '1' } }], ['/address/country', { address: { country: 'usa' } }],
    ['/securityContact/mail', { securityContact: { mail: 'sec@example.com' } }], ['/slug', { slug: 'x' }], ['/version', { version: 9 }], ['/sandbox', { sandbox: true }],
  ]
  for (const [pointer, body] of faulty) isRefused(t, await admin.patch(path, body), 'validation_failed', { pointer }, JSON.stringify(body).slice(0, 60))
  isRefused(t, await admin.get(`${path}?tenant=x`), 'validation_failed', { parameter: 'tenant' })
  t.match((await admin.get(path)).body, { version: 1 })
})

t.test('If-Match and If-None-Match hold', async (t) => {
  const { admin } = await organization()
  t.match(await admin.get(path, { 'if-none-match': '"1"' }), { status: 304, text: '' })
  isRefused(t, await admin.patch(path, { name: 'A' }, { 'if-match': '"2"' }), 'version_mismatch')
  t.equal((await admin.patch(path, { name: 'A' }, { 'if-match': '"1"' })).status, 200)
  t.equal((await admin.get(path, { 'if-none-match': '"1"' })).status, 200)
})

t.test('each tenant has its own', async (t) => {
  const one = await organization()
  const two = await organization({ name: 'Other Ltd', country: 'GB' })
  await one.admin.patch(path, { name: 'One Ltd', technicalContact: { email: 'one@example.com' } })
  t.match((await two.admin.get(path)).body, { name: 'Other Ltd', defaultCountry: 'GB', technicalContact: null, version: 1 })
})

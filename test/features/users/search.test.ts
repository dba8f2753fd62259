import t from 'tap'
import { disable, isRefused } from '../../support/answers.ts'
import { testService, verifiedMethod, type Answer, type TestService } from '../../support/service.ts'

const service = await testService(t)
const idsOf = ({ body }: Answer) => body.items.map((user: { userId: string }) => user.userId)
const readerOf = (service: TestService, tenant: string) => service.as({ tenant, subject: 'zz-reader', roles: ['reader'] })

async function tenantWith (users: Record<string, object>) {
  const tenant = await service.tenant()
  const directory = await service.as({ tenant, subject: 'directory', kind: 'app', scopes: ['users:write', 'users:read'] })
  for (const [id, user] of Object.entries(users)) await directory.put(`/v1/users/${id}`, user)
  return { tenant, directory, reader: await readerOf(service, tenant) }
}

t.test('users are found by id, by the start of it, or by the start of the name in any case', async (t) => {
  const { directory } = await tenantWith({ ann: { displayName: 'Zoë Smith' }, 'ann-2': { displayName: 'Ben' }, ben: { displayName: 'Anna Jones' }, cy: { displayName: '100% _me_' }, dee: {} })
  const found = async (search: string) => idsOf(await directory.get(`/v1/users?search=${encodeURIComponent(search)}`))
  t.same(await found('ann'), ['ann', 'ann-2', 'ben'])
  t.same(await found('ann-2'), ['ann-2'])
  t.same(await found('ZOË'), ['ann'])
  t.same(await found('smith'), [], 'the start, not the middle')
  t.same(await found('100%'), ['cy'])
  t.same(await found('%'), [], 'no wildcard')
  t.same(await found('_'), [])
  t.same(await found('\\'), [])
  t.same(idsOf(await directory.get('/v1/users')), ['ann', 'ann-2', 'ben', 'cy', 'dee'])
})

t.test('pages follow the ids, none twice or missed while users are added, with a cursor for this list only', async (t) => {
  const { tenant, directory } = await tenantWith(Object.fromEntries(['b1', 'b2', 'b3', 'B0', 'c1'].map((id) => [id, {}])))
  const first = await directory.get('/v1/users?limit=2')
  t.same(idsOf(first), ['B0', 'b1'])
  await directory.put('/v1/users/a0', {})
  await directory.put('/v1/users/b15', {})
  const second = await directory.get(`/v1/users?limit=2&cursor=${first.body.nextCursor}`)
  t.same(idsOf(second), ['b15', 'b2'])
  const third = await directory.get(`/v1/users?limit=2&cursor=${second.body.nextCursor}`)
  t.same([idsOf(third), third.body.nextCursor], [['b3', 'c1'], undefined])

  const { nextCursor } = first.body
  const other = await tenantWith({ b1: {}, b2: {}, b3: {} })
  isRefused(t, await directory.get(`/v1/users?search=b&cursor=${nextCursor}`), 'invalid_cursor', {}, 'other filters')
  isRefused(t, await other.directory.get(`/v1/users?cursor=${nextCursor}`), 'invalid_cursor', {}, 'another tenant')
  isRefused(t, await directory.get(`/v1/users?cursor=${nextCursor.slice(0, -2)}`), 'invalid_cursor', {}, 'cut off')
  isRefused(t, await directory.get('/v1/users?cursor=b1'), 'invalid_cursor', {}, 'made up')
  t.same(idsOf(await (await readerOf(service, tenant)).get(`/v1/users?limit=2&cursor=${nextCursor}`)), ['b15', 'b2'], 'any caller of the tenant may go on')
  for (const query of ['limit=0', 'limit=201', 'limit=1.5', 'search=', 'name=x']) isRefused(t, await directory.get(`/v1/users?${query}`), 'validation_failed', { parameter: query.split('=')[0]! }, query)
})

t.test('an exact phone is found in any spelling, pending, active or disabled, but not once it is removed', async (t) => {
  const { tenant, reader } = await tenantWith({})
  const ann = await service.as({ tenant, subject: 'ann' })
  const ben = await service.as({ tenant, subject: 'ben' })
  const phone = await verifiedMethod(ann, { kind: 'mobilePhone', value: '+14155550132' })
  const { body: office } = await ben.post('/v1/users/me/contact-methods', { kind: 'officePhone', value: '+14155550132', extension: '7' })
  const found = async (query: object) => idsOf(await reader.post('/v1/users/search', query))
  for (const value of ['+14155550132', '(415) 555-0132', '+1 415 555 0132', 'tel:+1-415-555-0132', '415.555.0132', '+14155550132 x7']) t.same(await found({ phone: value }), ['ann', 'ben'], value)
  t.same(await found({ phone: '415 555 0132', country: 'CA' }), ['ann', 'ben'], 'the country beside it settles a national number')
  t.same(await found({ phone: '+14155550133' }), [])

  await ann.patch(`/v1/users/me/contact-methods/${phone.id}`, { value: '+14155550144' })
  t.same(await found({ phone: '+14155550144' }), [], 'a change that waits is not theirs yet')
  await disable(service, tenant, phone.id)
  t.same(await found({ phone: '+14155550132' }), ['ann', 'ben'])
  await ben.delete(`/v1/users/me/contact-methods/${office.id}`)
  t.same(await found({ phone: '+14155550132' }), ['ann'])
  t.notMatch((await reader.post('/v1/users/search', { phone: '+14155550132' })).text, /4155550132/)
})

t.test('an exact e-mail is found as typed, in any case, as a contact method or to sign in with', async (t) => {
  const { tenant, reader } = await tenantWith({ boss: { signInEmail: 'A.Smith+work@Example.com' } })
  const ann = await service.as({ tenant, subject: 'ann' })
  await ann.post('/v1/users/me/contact-methods', { kind: 'alternateEmail', value: 'a.smith+work@example.COM' })
  const found = async (email: string) => idsOf(await reader.post('/v1/users/search', { email }))
  for (const email of ['A.Smith+work@Example.com', 'a.smith+work@example.com', 'A.SMITH+WORK@EXAMPLE.COM']) t.same(await found(email), ['ann', 'boss'], email)
  for (const email of ['asmith+work@example.com', 'a.smith@example.com', 'a.smith+work@example.org']) t.same(await found(email), [], email)
})

t.test('a search needs exactly one of phone and email, of the right form', async (t) => {
  const { tenant, reader } = await tenantWith({})
  for (const body of [{}, { phone: '+14155550132', email: 'ann@example.com' }, { country: 'US' }, { email: 'ann@example.com', country: 'US' }, { phone: '' }, { phone: 5 }, { email: null }, { phone: '+14155550132', limit: 5 }]) {
    isRefused(t, await reader.post('/v1/users/search', body), 'validation_failed', {}, JSON.stringify(body))
  }
  isRefused(t, await reader.post('/v1/users/search', { phone: 'hello' }), 'invalid_phone_number', { pointer: '/phone' })
  isRefused(t, await reader.post('/v1/users/search', { phone: '+1 900 234 5678' }), 'phone_number_not_allowed', { pointer: '/phone' })
  isRefused(t, await reader.post('/v1/users/search', { email: 'hello' }), 'invalid_email', { pointer: '/email' })
  const homeless = await service.tenant({ country: null })
  isRefused(t, await (await readerOf(service, homeless)).post('/v1/users/search', { phone: '415 555 0132' }), 'invalid_phone_number', { pointer: '/phone' }, 'a national number without a country')
  t.same((await (await service.as({ tenant, subject: 'hans', roles: ['helpdesk'] })).post('/v1/users/search', { phone: '415 555 0132' })).body.items, [])
})

t.test('only who may read users may search them: 403 with the rule, another tenant is never searched', async (t) => {
  const { tenant } = await tenantWith({ ann: { signInEmail: 'ann@example.com' } })
  const callers = [{ subject: 'ben' }, { subject: 'pia', roles: ['policyAdmin' as const] }, { subject: 'audrey', roles: ['auditor' as const] }, { subject: 'crm', kind: 'app' as const, scopes: ['contact-methods:read' as const] }]
  for (const caller of callers) {
    const client = await service.as({ tenant, ...caller })
    const rule = 'kind' in caller ? 'scope' : 'role'
    isRefused(t, await client.get('/v1/users'), 'forbidden', { rule }, caller.subject)
    isRefused(t, await client.post('/v1/users/search', { email: 'ann@example.com' }), 'forbidden', { rule }, caller.subject)
  }
  const elsewhere = await tenantWith({})
  t.same((await elsewhere.reader.post('/v1/users/search', { email: 'ann@example.com' })).body.items, [])
  t.same(idsOf(await elsewhere.reader.get('/v1/users?search=ann')), [])
})

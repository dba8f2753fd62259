import t from 'tap'
import { disable, isRefused, setPolicy, startVerification } from '../../support/answers.ts'
import { codeOf, moveClock, testService, verifiedMethod } from '../../support/service.ts'

const methods = '/v1/users/me/contact-methods'
const day = 86_400
const service = await testService(t)

t.test('adding answers 201 with the pending method, its place and its version, and sends nothing', async (t) => {
  const ann = await service.as({ tenant: await service.tenant(), subject: 'ann' })
  const added = await ann.post(methods, { kind: 'mobilePhone', value: '(415) 555-0132', label: 'Personal' })
  t.equal(added.status, 201)
  t.match(added.headers, { location: `/v1/users/ann/contact-methods/${added.body.id}`, etag: '"1"' })
  t.match(added.body, {
    kind: 'mobilePhone', label: 'Personal', status: 'pending', value: '+14155550132', display: '+1 ••• ••• ••32', extension: null, country: 'US',
    lineType: 'mobileOrLandline', channels: ['sms', 'voice'], purposes: ['mfa', 'recovery', 'notice'], isDefault: false, pendingChange: null,
    addedBy: 'self', verifiedAt: null, lastUsedAt: null, version: 1,
  })
  t.same((await ann.get(added.headers.location as string)).body, added.body, 'Location leads to it')
  t.same((await ann.get('/v1/sandbox/messages')).body.items, [])
})

t.test('each kind at most once, another one is 409 method_limit_reached', async (t) => {
  const ann = await service.as({ tenant: await service.tenant(), subject: 'ann' })
  const first = [
    { kind: 'mobilePhone', value: '+14155550111' }, { kind: 'alternatePhone', value: '+14155550112' },
    { kind: 'officePhone', value: '+14155550113' }, { kind: 'alternateEmail', value: 'ann@example.org' },
  ]
  for (const method of first) t.equal((await ann.post(methods, method)).status, 201, method.kind)
  for (const { kind } of first) {
    const value = kind === 'alternateEmail' ? 'ann@example.net' : '+14155550199'
    isRefused(t, await ann.post(methods, { kind, value }), 'method_limit_reached', {}, kind)
  }
  t.equal((await ann.get(methods)).body.items.length, 4)
})

t.test('the policy allows up to 3 alternate e-mails, and a lower number counts those that are there', async (t) => {
  const tenant = await service.tenant()
  const ann = await service.as({ tenant, subject: 'ann' })
  await setPolicy(service, tenant, { alternateEmails: 3 })
  const emails = []
  for (const name of ['one', 'two', 'three']) emails.push((await ann.post(methods, { kind: 'alternateEmail', value: `${name}@example.org` })).body)
  isRefused(t, await ann.post(methods, { kind: 'alternateEmail', value: 'four@example.org' }), 'method_limit_reached')

  await setPolicy(service, tenant, { alternateEmails: 1 })
  t.equal((await ann.delete(`${methods}/${emails[0].id}`)).status, 204)
  isRefused(t, await ann.post(methods, { kind: 'alternateEmail', value: 'five@example.org' }), 'method_limit_reached', {}, 'two are left, one is allowed')
  t.equal((await ann.delete(`${methods}/${emails[1].id}`)).status, 204)
  t.equal((await ann.delete(`${methods}/${emails[2].id}`)).status, 204)
  t.equal((await ann.post(methods, { kind: 'alternateEmail', value: 'five@example.org' })).status, 201)
})

t.test('the same value twice for one user is 409 duplicate_method, however it is written', async (t) => {
  const tenant = await service.tenant()
  const ann = await service.as({ tenant, subject: 'ann' })
  await setPolicy(service, tenant, { alternateEmails: 3 })
  await ann.post(methods, { kind: 'mobilePhone', value: '+1 415 555 0132' })
  for (const value of ['+14155550132', '(415) 555-0132', 'tel:+1-415-555-0132', '1 415.555.0132', '+１ ４１５ ５５５ ０１３２']) {
    isRefused(t, await ann.post(methods, { kind: 'alternatePhone', value }), 'duplicate_method', {}, value)
  }
  await ann.post(methods, { kind: 'alternateEmail', value: 'ann.smith@example.org' })
  for (const value of ['ann.smith@example.org', 'Ann.Smith@EXAMPLE.org', 'annsmith@example.org', 'ann.smith+codes@example.org']) {
    isRefused(t, await ann.post(methods, { kind: 'alternateEmail', value }), 'duplicate_method', {}, value)
  }

  const office = await ann.post(methods, { kind: 'officePhone', value: '+1 415 555 0132', extension: '7' })
  t.equal(office.status, 201, 'an extension makes another destination')
  const ben = await service.as({ tenant, subject: 'ben' })
  t.equal((await ben.post(methods, { kind: 'mobilePhone', value: '+14155550132' })).status, 201, 'another user may share the phone')
})

t.test('a value that waits as a pending change is a duplicate, too', async (t) => {
  const ann = await service.as({ tenant: await service.tenant(), subject: 'ann' })
  const phone = await verifiedMethod(ann, { kind: 'mobilePhone', value: '+14155550132' })
  await ann.patch(`${methods}/${phone.id}`, { value: '+14155550144' })
  isRefused(t, await ann.post(methods, { kind: 'alternatePhone', value: '+14155550144' }), 'duplicate_method')
  isRefused(t, await ann.post(methods, { kind: 'alternatePhone', value: '+14155550132' }), 'duplicate_method', {}, 'the old one still is')
  await ann.patch(`${methods}/${phone.id}`, { pendingChange: null })
  t.equal((await ann.post(methods, { kind: 'alternatePhone', value: '+14155550144' })).status, 201)
})

t.test('a disabled method frees its place and its value, stays in the list and is added anew', async (t) => {
  const tenant = await service.tenant()
  const ann = await service.as({ tenant, subject: 'ann' })
  const phone = await verifiedMethod(ann, { kind: 'mobilePhone', value: '+14155550132' })
  await disable(service, tenant, phone.id)
  const anew = await ann.post(methods, { kind: 'mobilePhone', value: '+14155550132' })
  t.match(anew, { status: 201, body: { status: 'pending' } })
  t.match((await ann.get(methods)).body.items, [{ id: phone.id, status: 'disabled' }, { id: anew.body.id, status: 'pending' }])
  isRefused(t, await ann.patch(`${methods}/${phone.id}`, { value: '+14155550133' }), 'method_not_usable')
  isRefused(t, await ann.put('/v1/users/me/default-method', { methodId: phone.id }), 'method_not_usable')
  isRefused(t, await ann.post('/v1/challenges', { userId: 'me', purpose: 'verifyContact', methodId: phone.id }), 'method_not_usable')
  t.equal((await ann.delete(`${methods}/${phone.id}`)).status, 204)
})

t.test('a pending method ends after 24 h: gone from lists, 404, its place and its value free, its code dead', async (t) => {
  const tenant = await service.tenant()
  const ann = await service.as({ tenant, subject: 'ann' })
  const reader = await service.as({ tenant, subject: 'rita', roles: ['reader'] })
  const { body: phone } = await ann.post(methods, { kind: 'mobilePhone', value: '+14155550132', isDefault: true })

  await moveClock(ann, day - 120)
  t.equal((await ann.get(`${methods}/${phone.id}`)).status, 200, 'a moment before it is there')
  t.match((await reader.post('/v1/users/search', { phone: '+14155550132' })).body.items, [{ userId: 'ann' }])
  const challenge = await startVerification(ann, phone.id)
  const code = await codeOf(ann, challenge)

  await moveClock(ann, day + 1)
  t.same((await ann.get(methods)).body.items, [])
  t.same((await reader.post('/v1/users/search', { phone: '+14155550132' })).body.items, [], 'nor does a search find it')
  const path = `${methods}/${phone.id}`
  isRefused(t, await ann.get(path), 'not_found')
  isRefused(t, await ann.patch(path, { label: 'x' }), 'not_found')
  isRefused(t, await ann.delete(path), 'not_found')
  isRefused(t, await ann.put('/v1/users/me/default-method', { methodId: phone.id }), 'not_found')
  isRefused(t, await ann.post(`/v1/challenges/${challenge}/verify`, { code }), 'challenge_expired')
  isRefused(t, await ann.post('/v1/challenges', { userId: 'me', purpose: 'verifyContact', methodId: phone.id }), 'not_found')

  const anew = await ann.post(methods, { kind: 'mobilePhone', value: '+14155550132' })
  t.match(anew, { status: 201, body: { status: 'pending' } })
  t.not(anew.body.id, phone.id)
})

t.test('what ended after 24 h does not stand in the way of a change of another method', async (t) => {
  const ann = await service.as({ tenant: await service.tenant(), subject: 'ann' })
  const phone = await verifiedMethod(ann, { kind: 'mobilePhone', value: '+14155550132' })
  await ann.post(methods, { kind: 'alternatePhone', value: '+14155550144' })
  await moveClock(ann, day + 1)
  t.match(await ann.patch(`${methods}/${phone.id}`, { value: '+14155550144' }), { status: 200, body: { pendingChange: { display: '+1 ••• ••• ••44' } } })
  const challenge = await startVerification(ann, phone.id)
  t.equal((await ann.post(`/v1/challenges/${challenge}/verify`, { code: await codeOf(ann, challenge) })).status, 200)
})

t.test('what does not fit the schema is 400 validation_failed and adds nothing', async (t) => {
  const ann = await service.as({ tenant: await service.tenant(), subject: 'ann' })
  const phone = { kind: 'mobilePhone', value: '+14155550132' }
  const faulty: Array<[string, object]> = [
    ['/kind', { value: '+14155550132' }], ['/kind', { kind: 'pager', value: '+14155550132' }], ['/value', { kind: 'mobilePhone' }],
    ['/value', { ...phone, value: '' }], ['/value', { ...phone, value: null }], ['/value', { ...phone, value: 14155550132 }], ['/value', { ...phone, value: '1'.repeat(321) }],
    ['/label', { ...phone, label: '' }], ['/label', { ...phone, label: 'a\nb' }], ['/label', { ...phone, label: 'a'.repeat(65) }],
    ['/isDefault', { ...phone, isDefault: 'true' }], ['/isDefault', { ...phone, isDefault: null }], ['/country', { ...phone, country: 'us' }],
    ['/status', { ...phone, status: 'active' }], ['/verifiedAt', { ...phone, verifiedAt: '2026-01-01T00:00:00.000Z' }], ['/addedBy', { ...phone, addedBy: 'self' }],
    ['/extension', { kind: 'officePhone', value: '+14155550132', extension: '1234567890123456' }], ['/extension', { kind: 'officePhone', value: '+14155550132', extension: '12a' }],
    ['/extension', { ...phone, extension: '12' }], ['/country', { kind: 'alternateEmail', value: 'ann@example.org', country: 'US' }],
  ]
  for (const [pointer, body] of faulty) isRefused(t, await ann.post(methods, body), 'validation_failed', { pointer }, JSON.stringify(body).slice(0, 90))
  t.same((await ann.get(methods)).body.items, [])
})

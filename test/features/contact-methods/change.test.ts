import t from 'tap'
import { auditOf, disable, isRefused, startVerification } from '../../support/answers.ts'
import { codeOf, moveClock, testService, verifiedMethod, type Client } from '../../support/service.ts'

const methods = '/v1/users/me/contact-methods'
const day = 86_400
const service = await testService(t)

/** A person with an active mobile. */
async function registered () {
  const tenant = await service.tenant()
  const ann = await service.as({ tenant, subject: 'ann' })
  const phone = await verifiedMethod(ann, { kind: 'mobilePhone', value: '+14155550132' })
  return { tenant, ann, phone, path: `${methods}/${phone.id}` }
}

const verify = (client: Client, challenge: string, code: string) => client.post(`/v1/challenges/${challenge}/verify`, { code })

t.test('a new value waits, masked and with its own expiry, while the old one works, until its code comes back', async (t) => {
  const { ann, phone, path } = await registered()
  const changed = await ann.patch(path, { value: '(415) 555-0144' })
  t.match(changed, { status: 200, headers: { etag: '"3"' }, body: { ...phone, version: 3, updatedAt: String, value: '+14155550132', pendingChange: { display: '+1 ••• ••• ••44', extension: null } } })
  const { pendingChange, updatedAt } = changed.body
  t.equal(Date.parse(pendingChange.expiresAt) - Date.parse(updatedAt), day * 1000)

  const challenge = await startVerification(ann, phone.id)
  t.match((await ann.get(`/v1/challenges/${challenge}`)).body, { destination: '+1 ••• ••• ••44' })
  t.equal((await verify(ann, challenge, await codeOf(ann, challenge))).status, 200)
  t.match((await ann.get(path)).body, { value: '+14155550144', display: '+1 ••• ••• ••44', status: 'active', isDefault: true, pendingChange: null, version: 4 })
  isRefused(t, await ann.post('/v1/challenges', { userId: 'me', purpose: 'verifyContact', methodId: phone.id }), 'method_not_usable', {}, 'nothing waits any more')
})

t.test('a second change replaces the first, and a code that went out for it is dead', async (t) => {
  const { ann, phone, path } = await registered()
  await ann.patch(path, { value: '+14155550144' })
  const first = await startVerification(ann, phone.id)
  const code = await codeOf(ann, first)
  t.match((await ann.patch(path, { value: '+14155550155' })).body, { value: '+14155550132', pendingChange: { display: '+1 ••• ••• ••55' } })
  isRefused(t, await verify(ann, first, code), 'challenge_canceled')
  t.match((await ann.get(path)).body, { value: '+14155550132', pendingChange: { display: '+1 ••• ••• ••55' } })
  const second = await startVerification(ann, phone.id)
  await verify(ann, second, await codeOf(ann, second))
  t.match((await ann.get(path)).body, { value: '+14155550155', pendingChange: null })
})

t.test('a change is withdrawn by null, or by asking for the value in force, and its code is dead', async (t) => {
  for (const body of [{ pendingChange: null }, { value: '415-555-0132' }]) {
    const { ann, phone, path } = await registered()
    await ann.patch(path, { value: '+14155550144' })
    const challenge = await startVerification(ann, phone.id)
    const code = await codeOf(ann, challenge)
    t.match(await ann.patch(path, body), { status: 200, body: { value: '+14155550132', pendingChange: null, version: 4 } }, JSON.stringify(body))
    isRefused(t, await verify(ann, challenge, code), 'challenge_canceled')
    t.match((await ann.patch(path, body)).body, { version: 4 }, 'again it changes nothing')
  }
  const { ann, path } = await registered()
  isRefused(t, await ann.patch(path, { value: '+14155550144', pendingChange: null }), 'validation_failed', { pointer: '/pendingChange' }, 'not both')
})

t.test('a change ends after 24 h: it reads null, cannot be verified, and has moved the version', async (t) => {
  const { ann, phone, path } = await registered()
  await ann.patch(path, { value: '+14155550144' })
  await moveClock(ann, day - 120)
  const challenge = await startVerification(ann, phone.id)
  const code = await codeOf(ann, challenge)
  const before = await ann.get(path)
  t.match(before, { headers: { etag: '"3"' }, body: { pendingChange: { display: '+1 ••• ••• ••44' } } })

  await moveClock(ann, day + 1)
  const after = await ann.get(path, { 'if-none-match': '"3"' })
  t.match(after, { status: 200, headers: { etag: '"4"' }, body: { value: '+14155550132', status: 'active', pendingChange: null, version: 4, updatedAt: before.body.pendingChange.expiresAt } })
  t.same((await ann.get(methods)).body.items, [after.body], 'in the list, too')
  isRefused(t, await verify(ann, challenge, code), 'challenge_expired')
  isRefused(t, await ann.post('/v1/challenges', { userId: 'me', purpose: 'verifyContact', methodId: phone.id }), 'method_not_usable')
  isRefused(t, await ann.patch(path, { label: 'Mine' }, { 'if-match': '"3"' }), 'version_mismatch')
  t.match(await ann.patch(path, { label: 'Mine' }, { 'if-match': '"4"' }), { status: 200, body: { label: 'Mine', pendingChange: null, version: 5 } })
})

t.test('on a pending method the value changes at once, and the code that went out is dead', async (t) => {
  const ann = await service.as({ tenant: await service.tenant(), subject: 'ann' })
  const { body: phone } = await ann.post(methods, { kind: 'mobilePhone', value: '+14155550132' })
  const challenge = await startVerification(ann, phone.id)
  const code = await codeOf(ann, challenge)
  t.match(await ann.patch(`${methods}/${phone.id}`, { value: '+14155550144' }), { status: 200, body: { status: 'pending', value: '+14155550144', pendingChange: null } })
  isRefused(t, await verify(ann, challenge, code), 'challenge_canceled')
  t.match((await ann.get(`${methods}/${phone.id}`)).body, { status: 'pending' })
})

t.test('the extension changes like the value', async (t) => {
  const ann = await service.as({ tenant: await service.tenant(), subject: 'ann' })
  const office = await verifiedMethod(ann, { kind: 'officePhone', value: '+14155550132', extension: '7' })
  const path = `${methods}/${office.id}`
  t.match((await ann.patch(path, { extension: '8' })).body, { extension: '7', pendingChange: { display: '+1 ••• ••• ••32', extension: '8' } }, 'alone it belongs to the number in force')
  t.match((await ann.patch(path, { extension: null })).body, { extension: '7', pendingChange: { extension: null } })
  t.match((await ann.patch(path, { value: '+14155550144' })).body, { pendingChange: { display: '+1 ••• ••• ••44', extension: null } }, 'a new number brings its own')
  t.match((await ann.patch(path, { value: '+14155550144 x9' })).body, { pendingChange: { extension: '9' } })
  const challenge = await startVerification(ann, office.id)
  await verify(ann, challenge, await codeOf(ann, challenge))
  t.match((await ann.get(path)).body, { value: '+14155550144', extension: '9', pendingChange: null })
})

t.test('a label, and the same kind and value, change without a code', async (t) => {
  const { ann, path } = await registered()
  t.match(await ann.patch(path, { label: 'Personal' }), { status: 200, headers: { etag: '"3"' }, body: { label: 'Personal', pendingChange: null } })
  t.match((await ann.patch(path, { label: null })).body, { label: null, version: 4 })
  t.match((await ann.patch(path, { kind: 'mobilePhone', value: '+1 415 555 0132', label: null })).body, { version: 4, pendingChange: null }, 'nothing to change')
})

t.test('the kind cannot change: 422 kind_immutable', async (t) => {
  const { ann, path, phone } = await registered()
  isRefused(t, await ann.patch(path, { kind: 'alternatePhone' }), 'kind_immutable')
  isRefused(t, await ann.patch(path, { kind: 'alternateEmail', value: 'ann@example.org' }), 'kind_immutable')
  t.match((await ann.get(path)).body, { kind: 'mobilePhone', version: phone.version })
})

t.test('a change is refused for the same reasons as an addition', async (t) => {
  const { ann, path, phone, tenant } = await registered()
  await ann.post(methods, { kind: 'alternatePhone', value: '+14155550144' })
  isRefused(t, await ann.patch(path, { value: '+1 415 555 0144' }), 'duplicate_method')
  isRefused(t, await ann.patch(path, { value: 'hello' }), 'invalid_phone_number', { pointer: '/value' })
  isRefused(t, await ann.patch(path, { value: '+1 900 234 5678' }), 'phone_number_not_allowed', { pointer: '/value' })
  isRefused(t, await ann.patch(path, { value: '+49 1512 3456789' }), 'phone_number_not_allowed', { pointer: '/value' })
  isRefused(t, await ann.patch(path, { value: '+14155550155 x1' }), 'invalid_phone_number', { pointer: '/value' })
  isRefused(t, await ann.patch(path, { extension: '1' }), 'validation_failed', { pointer: '/extension' })
  isRefused(t, await ann.patch(path, { country: 'US' }), 'validation_failed', { pointer: '/country' }, 'a country without a number')
  isRefused(t, await ann.patch(path, { pendingChange: { value: '+14155550155' } }), 'validation_failed', { pointer: '/pendingChange' })
  isRefused(t, await ann.patch(path, { status: 'active' }), 'validation_failed', { pointer: '/status' })
  isRefused(t, await ann.patch(path, {}), 'validation_failed')
  const email = await verifiedMethod(ann, { kind: 'alternateEmail', value: 'ann@example.org' })
  isRefused(t, await ann.patch(`${methods}/${email.id}`, { value: 'nobody' }), 'invalid_email', { pointer: '/value' })
  t.match((await ann.get(path)).body, { version: phone.version, pendingChange: null }, 'and changes nothing')

  await disable(service, tenant, phone.id)
  isRefused(t, await ann.patch(path, { value: '+14155550155' }), 'method_not_usable', {}, 'a disabled method is added anew')
  t.same((await auditOf(service, tenant, 'action=contactMethod.changed')).length, 0)
})

t.test('If-Match names the version the change is based on, else 412 version_mismatch', async (t) => {
  const { ann, path } = await registered()
  for (const tag of ['"1"', '2', 'W/"2"', '"2x"']) isRefused(t, await ann.patch(path, { label: 'x' }, { 'if-match': tag }), 'version_mismatch', {}, tag)
  t.equal((await ann.patch(path, { label: 'x' }, { 'if-match': '"2"' })).headers.etag, '"3"')
  t.equal((await ann.patch(path, { label: 'y' }, { 'if-match': '"7", "3"' })).headers.etag, '"4"')
  t.equal((await ann.patch(path, { label: 'z' }, { 'if-match': '*' })).headers.etag, '"5"')
})

t.test('what the help desk changes waits for the person\'s own code', async (t) => {
  const { ann, tenant, phone, path } = await registered()
  const helpdesk = await service.as({ tenant, subject: 'hans', roles: ['helpdesk'] })
  const changed = await helpdesk.patch(`/v1/users/ann/contact-methods/${phone.id}`, { value: '+14155550144' })
  t.match(changed, { status: 200, body: { value: null, display: '+1 ••• ••• ••32', pendingChange: { display: '+1 ••• ••• ••44' } } })
  isRefused(t, await helpdesk.post('/v1/challenges', { userId: 'ann', purpose: 'verifyContact', methodId: phone.id }), 'not_found', {}, 'the help desk cannot verify it')
  const challenge = await startVerification(ann, phone.id)
  t.equal((await verify(ann, challenge, await codeOf(ann, challenge))).status, 200)
  t.match((await ann.get(path)).body, { value: '+14155550144' })
  t.match(await auditOf(service, tenant, 'action=contactMethod.changed'), [{ actor: { kind: 'person', id: 'hans' }, userId: 'ann', details: { methodId: phone.id, fields: ['pendingChange'] } }])
})

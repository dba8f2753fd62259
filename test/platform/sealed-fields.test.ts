import t from 'tap'
import { parseKeyRing } from '../../src/platform/keys.ts'
import { testKeyRingText } from '../support/keys.ts'
import { replicaOf } from '../support/replicas.ts'
import { clientOf, codeOf, testService, verifiedMethod } from '../support/service.ts'
import { asSuperuser } from '../support/superuser.ts'
import type { Caller } from '../support/tokens.ts'

const service = await testService(t)
const [annsNumber, bobsNumber] = ['+14155550111', '+14155550122']

async function twoPeople () {
  const tenant = await service.tenant()
  const ann = await service.as({ tenant, subject: 'ann' })
  const bob = await service.as({ tenant, subject: 'bob' })
  const admin = await service.as({ tenant, subject: 'petra', roles: ['privilegedAdmin'] })
  for (const [subject, email] of [['ann', 'ann.in@example.com'], ['bob', 'bob.in@example.com']]) t.equal((await admin.put(`/v1/users/${subject}`, { signInEmail: email })).status, 201)
  const annsPhone = await verifiedMethod(ann, { kind: 'mobilePhone', value: annsNumber })
  const bobsPhone = await verifiedMethod(bob, { kind: 'mobilePhone', value: bobsNumber })
  const helpdesk = await service.as({ tenant, subject: 'hans', roles: ['helpdesk'] })
  return { tenant, ann, bob, admin, helpdesk, annsPhone, bobsPhone }
}

t.test('swapped ciphertexts are read as nobody\'s: 500, never another\'s number', async (t) => {
  const { ann, bob, helpdesk, admin, annsPhone, bobsPhone } = await twoPeople()
  await asSuperuser(service, `
    update contact_methods m set value = other.value, value_index = other.value_index
      from contact_methods other where m.tenant_id = other.tenant_id and m.kind = other.kind and m.user_id <> other.user_id`)
  await asSuperuser(service, `update users u set sign_in_email = other.sign_in_email from users other where u.tenant_id = other.tenant_id and u.user_id <> other.user_id and other.sign_in_email is not null`)

  const reads = [
    ann.get('/v1/users/me/contact-methods'), ann.get(`/v1/users/me/contact-methods/${annsPhone.id}`), bob.get(`/v1/users/me/contact-methods/${bobsPhone.id}`),
    helpdesk.get('/v1/users/ann/contact-methods'), admin.get('/v1/users/ann/contact-methods?reveal=true'), admin.get('/v1/users/bob?reveal=true'), ann.get('/v1/users/me'),
    ann.patch(`/v1/users/me/contact-methods/${annsPhone.id}`, { label: 'x' }), helpdesk.get('/v1/users'), admin.post('/v1/users/search', { phone: annsNumber }),
  ]
  for (const { status, body, text } of await Promise.all(reads)) {
    t.match({ status, code: body.code }, { status: 500, code: 'internal_error' })
    t.notMatch(text, /4155550|•••|\.in@|example\.com/)
  }
  t.notMatch(service.logged().join(''), /4155550|\.in@|example\.com/)
})

t.test('one flipped bit in a sealed field closes it', async (t) => {
  const { tenant, ann, admin, annsPhone } = await twoPeople()
  const policyAdmin = await service.as({ tenant, subject: 'paul', roles: ['policyAdmin'] })
  t.equal((await policyAdmin.patch('/v1/organization', { phone: '+14155550133' })).status, 200)
  const once = { 'idempotency-key': 'once' }
  t.equal((await ann.post('/v1/users/me/contact-methods', { kind: 'alternatePhone', value: '+14155550144' }, once)).status, 201)
  const cases = [
    ['contact_methods', 'value', () => ann.get(`/v1/users/me/contact-methods/${annsPhone.id}`)],
    ['users', 'sign_in_email', () => admin.get('/v1/users/ann')],
    ['organizations', 'contacts', () => policyAdmin.get('/v1/organization')],
    ['idempotency_keys', 'answer', () => ann.post('/v1/users/me/contact-methods', { kind: 'alternatePhone', value: '+14155550144' }, once)],
  ] as const
  for (const [table, column, read] of cases) {
    const flip = () => asSuperuser(service, `update ${table} set ${column} = set_byte(${column}, 20, get_byte(${column}, 20) # 1) where ${column} is not null`)
    const before = await read()
    await flip()
    t.match(await read(), { status: 500, body: { code: 'internal_error' } }, `${table}.${column}`)
    await flip()
    t.same(withoutIds(await read()), withoutIds(before), 'and is read again once it is put right')
  }
})
const withoutIds = ({ status, text }: { status: number, text: string }) => ({ status, text })

t.test('a column\'s ciphertext does not open in another column', async (t) => {
  const ann = await service.as({ tenant: await service.tenant(), subject: 'ann' })
  const { body: { id } } = await ann.post('/v1/users/me/contact-methods', { kind: 'officePhone', value: annsNumber, extension: '4711' })
  await asSuperuser(service, 'update contact_methods set value = extension, extension = value where extension is not null')
  t.match(await ann.get(`/v1/users/me/contact-methods/${id}`), { status: 500, body: { code: 'internal_error' } })
})

t.test('after a restart with one more key everything still holds, and what is new uses the newest', async (t) => {
  const service = await testService(t, { keyRing: parseKeyRing(testKeyRingText.split(',')[0]!) })
  const tenant = await service.tenant()
  const before = { ann: await service.as({ tenant, subject: 'ann' }), admin: await service.as({ tenant, subject: 'petra', roles: ['privilegedAdmin'] }) }
  const phone = await verifiedMethod(before.ann, { kind: 'mobilePhone', value: annsNumber })
  const email = (await before.ann.post('/v1/users/me/contact-methods', { kind: 'alternateEmail', value: 'ann@example.org' }, { 'idempotency-key': 'k' })).body
  const challenge = (await before.ann.post('/v1/challenges', { userId: 'me', purpose: 'verifyContact', methodId: email.id })).body
  const code = await codeOf(before.ann, challenge.id)
  const firstPage = (await before.admin.get('/v1/users?limit=1')).body
  await service.deps.sealAudit(await service.tenantIdOf(tenant))
  await service.stop()

  const restarted = await replicaOf(t, service)
  const as = async (caller: Omit<Caller, 'tenant'>) => clientOf(restarted, await service.issuer.tokenOf({ tenant, ...caller }))
  const ann = await as({ subject: 'ann' })
  const admin = await as({ subject: 'petra', roles: ['privilegedAdmin'] })
  t.match(await ann.get(`/v1/users/me/contact-methods/${phone.id}`), { status: 200, body: { value: annsNumber } }, 'old rows are read')
  t.equal((await ann.post(`/v1/challenges/${challenge.id}/verify`, { code })).status, 200, 'a code that was on its way is right')
  t.match(await ann.post('/v1/users/me/contact-methods', { kind: 'alternateEmail', value: 'ann@example.org' }, { 'idempotency-key': 'k' }), { status: 201, body: { id: email.id }, headers: { 'idempotent-replayed': 'true' } })
  t.equal((await admin.get(`/v1/users?limit=1&cursor=${firstPage.nextCursor}`)).status, 200, 'a cursor goes on')
  t.match(await ann.post('/v1/users/me/contact-methods', { kind: 'alternatePhone', value: annsNumber }), { status: 409, body: { code: 'duplicate_method' } }, 'the same number is the same')

  const bob = await as({ subject: 'bob' })
  await verifiedMethod(bob, { kind: 'mobilePhone', value: annsNumber })
  t.same((await admin.post('/v1/users/search', { phone: annsNumber })).body.items.map((user: { userId: string }) => user.userId), ['ann', 'bob'], 'a look-up finds old and new')
  const inbox = (await bob.get(`/v1/sandbox/messages?to=${encodeURIComponent(annsNumber)}`)).body.items as Array<{ kind: string }>
  t.equal(inbox.filter(({ kind }) => kind === 'code').length, 2)
  const rows = await asSuperuser(service, 'select user_id, get_byte(value, 1) as value, get_byte(value_index, 1) as index from contact_methods where kind = \'mobilePhone\' order by user_id')
  t.same(rows, [{ user_id: 'ann', value: 1, index: 1 }, { user_id: 'bob', value: 2, index: 2 }])

  const auditor = await as({ subject: 'audrey', roles: ['auditor'] })
  t.match((await auditor.get('/v1/audit-events/verification')).body, { intact: true, waiting: 0 })
  const versions = await asSuperuser<{ mac_key_version: number }>(service, 'select distinct mac_key_version from audit_events union all select distinct mac_key_version from audit_seals order by 1')
  t.same(versions.map((row) => row.mac_key_version), [1, 1, 2, 2], 'the log was signed under both')
})

import t from 'tap'
import { auditOf, isRefused, setPolicy } from '../../support/answers.ts'
import { replicasOf } from '../../support/replicas.ts'
import { testService, type Client } from '../../support/service.ts'

const service = await testService(t)
const path = '/v1/policy'
const adminOf = (tenant: string) => service.as({ tenant, subject: 'pia', roles: ['policyAdmin'] })

t.test('a tenant starts with the defaults and its own country; a sandbox has room for test runs', async (t) => {
  const defaults = {
    codes: { length: 6, phoneSeconds: 300, emailSeconds: 600 }, kinds: ['mobilePhone', 'alternatePhone', 'officePhone', 'alternateEmail'],
    order: ['passkey', 'totp', 'mobilePhone', 'alternatePhone', 'officePhone'], alternateEmails: 1, emailCounts: false, phone: 'allowed',
    registration: { required: [{ count: 1, oneOf: ['passkey', 'totp', 'mobilePhone'] }], proofs: ['temporaryAccessPass', 'phone', 'alternateEmail', 'recoveryCode'], firstRegistration: 'proof', deadlineDays: null },
    callerCheck: 'optional', preVerified: false, breakGlass: true, pass: { length: 12, minutes: 60, maxMinutes: 480, oneTime: true }, countries: ['GB'], sendsPerDay: 10_000,
    limits: { destinationPerTenMinutes: 5, destinationPerDay: 20, userPerHour: 10, clientAddressPerHour: 30, prefixPerHour: 20, searchesPerHour: 60, revealsPerHour: 60, resetsPerHour: 20 },
    retentionDays: 30, webauthn: { rpId: null, origins: [] },
  }
  const real = await (await adminOf(await service.tenant({ sandbox: false, country: 'GB' }))).get(path)
  t.same(real.body, { version: 1, ...defaults, createdAt: real.body.createdAt, updatedAt: real.body.updatedAt })
  t.equal(real.headers.etag, '"1"')
  const sandbox = (await (await adminOf(await service.tenant())).get(path)).body
  t.same([sandbox.countries, sandbox.registration], [['US'], { ...defaults.registration, firstRegistration: 'password' }])
  t.same(sandbox.limits, { ...defaults.limits, prefixPerHour: 10_000, searchesPerHour: 10_000, revealsPerHour: 10_000, resetsPerHour: 10_000 })
  t.same((await (await adminOf(await service.tenant({ country: null }))).get(path)).body.countries, [])
})

t.test('PATCH keeps every field it does not name, also inside a group, and replaces lists whole', async (t) => {
  const tenant = await service.tenant()
  const admin = await adminOf(tenant)
  await setPolicy(service, tenant, { countries: ['US', 'GB', 'FR'] })
  const before = (await admin.get(path)).body
  const changed = await admin.patch(path, { codes: { length: 8 }, countries: ['GB', 'FR'], registration: { deadlineDays: 14 } })
  t.match(changed, { status: 200, headers: { etag: '"3"' } })
  t.same(changed.body, {
    ...before, codes: { ...before.codes, length: 8 }, countries: ['GB', 'FR'], registration: { ...before.registration, deadlineDays: 14 }, version: 3, updatedAt: changed.body.updatedAt,
  })
  await admin.patch(path, { codes: { phoneSeconds: 120 }, registration: { deadlineDays: 7 } })
  t.match((await admin.get(path)).body, { codes: { length: 8, phoneSeconds: 120, emailSeconds: 600 }, registration: { deadlineDays: 7 }, countries: ['GB', 'FR'], version: 4 })
  t.match(await admin.patch(path, { codes: { length: 8 }, countries: ['GB', 'FR'] }), { status: 200, body: { version: 4 } }, 'what is in force already is no change')
  t.match((await auditOf(service, tenant, 'action=policy.changed')).map(({ details }) => details.fields), [['codes.phoneSeconds', 'registration.deadlineDays'], ['codes.length', 'registration.deadlineDays', 'countries'], ['countries']])
})

/** For each field, a stronger value and then the way back, which is weaker. */
const steps: Array<[string, object, object]> = [
  ['codes.length', { codes: { length: 8 } }, { codes: { length: 6 } }], ['codes.phoneSeconds', { codes: { phoneSeconds: 120 } }, { codes: { phoneSeconds: 300 } }],
  ['codes.emailSeconds', { codes: { emailSeconds: 300 } }, { codes: { emailSeconds: 600 } }], ['kinds', { kinds: ['mobilePhone', 'alternateEmail'] }, { kinds: ['mobilePhone', 'officePhone', 'alternateEmail'] }],
  ['alternateEmails', {}, { alternateEmails: 2 }], ['emailCounts', {}, { emailCounts: true }], ['preVerified', {}, { preVerified: true }],
  ['phone', { phone: 'off' }, { phone: 'notForPrivileged' }], ['phone', {}, { phone: 'allowed' }],
  ['registration.required', { registration: { required: [{ count: 1, oneOf: ['passkey', 'totp'] }] } }, { registration: { required: [{ count: 1, oneOf: ['passkey', 'totp', 'mobilePhone'] }] } }],
  ['registration.required', { registration: { required: [{ count: 2, oneOf: ['passkey', 'totp'] }] } }, { registration: { required: [] } }],
  ['registration.proofs', { registration: { proofs: ['temporaryAccessPass'] } }, { registration: { proofs: ['temporaryAccessPass', 'phone'] } }],
  ['registration.firstRegistration', {}, { registration: { firstRegistration: 'password' } }],
  ['registration.deadlineDays', { registration: { deadlineDays: 30 } }, { registration: { deadlineDays: 31 } }], ['registration.deadlineDays', {}, { registration: { deadlineDays: null } }],
  ['callerCheck', { callerCheck: 'required' }, { callerCheck: 'optional' }], ['breakGlass', { breakGlass: false }, { breakGlass: true }],
  ['pass.length', { pass: { length: 16 } }, { pass: { length: 12 } }], ['pass.minutes', { pass: { minutes: 30 } }, { pass: { minutes: 31 } }],
  ['pass.maxMinutes', { pass: { maxMinutes: 240 } }, { pass: { maxMinutes: 480 } }], ['pass.oneTime', {}, { pass: { oneTime: false } }],
  ['countries', { countries: [] }, { countries: ['US'] }], ['sendsPerDay', { sendsPerDay: 5_000 }, { sendsPerDay: 5_001 }], ['retentionDays', { retentionDays: 10 }, { retentionDays: 11 }],
  ...['destinationPerTenMinutes', 'destinationPerDay', 'userPerHour', 'clientAddressPerHour', 'prefixPerHour', 'searchesPerHour', 'revealsPerHour', 'resetsPerHour']
    .map((name): [string, object, object] => [`limits.${name}`, { limits: { [name]: 2 } }, { limits: { [name]: 3 } }]),
  ['webauthn.rpId', { webauthn: { rpId: 'example.com' } }, { webauthn: { rpId: 'example.org' } }], ['webauthn.origins', {}, { webauthn: { origins: ['https://example.com'] } }],
]

t.test('a stronger value is in force at once, and a weaker one waits for a second approver, for every field', async (t) => {
  for (const sandbox of [true, false]) {
    const tenant = await service.tenant({ sandbox })
    if (sandbox) await setPolicy(service, tenant, { registration: { firstRegistration: 'proof' }, limits: { prefixPerHour: 20, searchesPerHour: 60, revealsPerHour: 60, resetsPerHour: 20 } })
    const admin = await adminOf(tenant)
    for (const [field, stronger, weaker] of steps) {
      if (Object.keys(stronger).length > 0) t.match(await admin.patch(path, stronger), { status: 200, body: stronger }, `${field} stronger`)
      const before = (await admin.get(path)).body
      t.match(await admin.patch(path, weaker), { status: 202, body: { status: 'pendingApproval' } }, `${field} weaker`)
      t.match((await admin.patch(`${path}?dryRun=true`, weaker)).body, { dryRun: true, allowed: true, waitsForApproval: true, changed: [field], weaker: [field] }, `${field} in a dry run`)
      t.same((await admin.get(path)).body, before)
    }
    t.match(await admin.patch(path, { codes: { length: 10, phoneSeconds: 300 } }), { status: 202 }, 'one weaker field among stronger ones is enough')
    t.match(await admin.patch(path, { order: ['mobilePhone', 'passkey'] }), { status: 200, body: { order: ['mobilePhone', 'passkey'] } }, 'an order is neither')
    t.ok((await auditOf(service, tenant, 'action=policy.changed')).every(({ details }) => details.weaker === undefined))
  }
})

t.test('of a weaker policy the audit row says where it is weaker, and who approved it', async (t) => {
  const tenant = await service.tenant()
  const admin = await adminOf(tenant)
  await admin.patch(path, { codes: { length: 8 } })
  await setPolicy(service, tenant, { codes: { length: 6 }, emailCounts: true, retentionDays: 5 })
  t.match(await auditOf(service, tenant, 'action=policy.changed'), [
    { details: { fields: ['codes.length', 'emailCounts', 'retentionDays'], weaker: ['codes.length', 'emailCounts'], approver: 'second-person' } }, { details: { fields: ['codes.length'], weaker: undefined, approver: undefined } },
  ])
})

t.test('a dry run says what would happen, and changes and records nothing', async (t) => {
  const tenant = await service.tenant()
  const admin = await adminOf(tenant)
  const before = await admin.get(path)
  const tried = await admin.patch(`${path}?dryRun=true`, { codes: { length: 10, phoneSeconds: 600 }, countries: ['US'] })
  t.match(tried, { status: 200, body: { codes: { length: 10, phoneSeconds: 600, emailSeconds: 600 }, version: 1, dryRun: true, allowed: true, waitsForApproval: true, changed: ['codes.length', 'codes.phoneSeconds'], weaker: ['codes.phoneSeconds'] } })
  t.match((await admin.patch(`${path}?dryRun=true`, { codes: { length: 6 } })).body, { dryRun: true, allowed: true, changed: [], weaker: [] })
  t.same((await admin.get(path)).body, before.body)
  t.notOk((await admin.patch(`${path}?dryRun=false`, { codes: { length: 7 } })).body.dryRun, 'false is no dry run')
  t.equal((await auditOf(service, tenant, 'action=policy.changed')).length, 1)

  isRefused(t, await admin.patch(`${path}?dryRun=true`, { codes: { length: 5 } }), 'policy_out_of_bounds', {}, 'what could not be is refused all the same')
  isRefused(t, await admin.patch(`${path}?dryRun=true`, { codes: { length: 6 } }, { 'if-match': '"1"' }), 'version_mismatch')
  isRefused(t, await (await service.as({ tenant, subject: 'rita', roles: ['reader'] })).patch(`${path}?dryRun=true`, { codes: { length: 8 } }), 'forbidden', { rule: 'role' }, 'it needs the same permission')
})

t.test('a change is in force at once on a second replica', async (t) => {
  const tenant = await service.tenant()
  const replicas = await replicasOf(t, service, 2)
  const onTheOther = (client: Client) => replicas.of(client)[1]!
  const admin = await adminOf(tenant)
  const ann = onTheOther(await service.as({ tenant, subject: 'ann' }))
  const methods = '/v1/users/me/contact-methods'
  t.match((await ann.post(methods, { kind: 'alternateEmail', value: 'ann@example.org' })).body, { purposes: ['recovery', 'notice'] })
  isRefused(t, await ann.post(methods, { kind: 'mobilePhone', value: '+447400123456' }), 'phone_number_not_allowed')
  await setPolicy(service, tenant, { countries: ['GB'], emailCounts: true, codes: { length: 9 } })
  const added = await ann.post(methods, { kind: 'mobilePhone', value: '+447400123456' })
  t.equal(added.status, 201)
  t.match((await ann.get(methods)).body.items[0].purposes, ['mfa', 'recovery', 'notice'])
  t.match((await ann.post('/v1/challenges', { userId: 'me', purpose: 'verifyContact', methodId: added.body.id })).body, { codeLength: 9 })
  const there = onTheOther(admin)
  t.match((await there.get(path)).body, { countries: ['GB'], version: 2 })
  isRefused(t, await there.patch(path, { codes: { length: 6 } }, { 'if-match': '"1"' }), 'version_mismatch')
})

t.test('If-Match and If-None-Match hold, and of two changes at once one is 412', async (t) => {
  const admin = await adminOf(await service.tenant())
  t.match(await admin.get(path, { 'if-none-match': '"1"' }), { status: 304, text: '' })
  const both = await Promise.all([7, 8].map((length) => admin.patch(path, { codes: { length } }, { 'if-match': '"1"' })))
  t.same(both.map(({ status }) => status).toSorted((a, b) => a - b), [200, 412])
  t.equal((await admin.get(path, { 'if-none-match': '"1"' })).status, 200)
})

t.test('each tenant has its own', async (t) => {
  const [one, two] = [await adminOf(await service.tenant()), await adminOf(await service.tenant())]
  await one.patch(path, { codes: { length: 10 } })
  t.match((await two.get(path)).body, { codes: { length: 6 }, version: 1 })
})

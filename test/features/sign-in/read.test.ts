import t from 'tap'
import { isRefused, setPolicy } from '../../support/answers.ts'
import { pendingMethod } from '../../support/challenges.ts'
import { apps, askAs, person } from '../../support/sign-in.ts'
import { moveClock, testService, verifiedMethod } from '../../support/service.ts'
import { scopes, type Role } from '../../../src/vocabulary.ts'

const service = await testService(t)

t.test('someone registered is to be challenged: all that an app sees, to the letter', async (t) => {
  const { tenant, ann, read } = await person(service)
  const phone = await verifiedMethod(ann, { kind: 'mobilePhone', value: '+14155550132' })
  await verifiedMethod(ann, { kind: 'alternateEmail', value: 'ann@example.org' })
  const answer = await read()
  t.strictSame(answer.body, {
    userId: 'ann', state: 'registered', since: null, reason: null, next: 'challenge', registration: { missing: [], acceptedProofs: [], deadline: null },
    methods: [{ id: phone.id, kind: 'mobilePhone', display: '+1 ••• ••• ••32', channels: ['sms', 'voice'], isDefault: true }],
    lockedUntil: null, frozenUntil: null, sessionsValidFrom: null, devicesValidFrom: null,
  })
  t.match(answer.headers, { 'cache-control': 'no-store' })
  t.notOk(answer.headers.etag)
  t.strictSame((await ann.get('/v1/users/me/sign-in-requirements')).body, answer.body, 'the person themself')
  for (const role of ['reader', 'helpdesk', 'privilegedAdmin'] as const) t.strictSame((await askAs(service, tenant, role)).body, answer.body, role)
})

t.test('someone without a method is to register: what is missing, and what proves who they are', async (t) => {
  const { ann, read } = await person(service)
  const none = {
    userId: 'ann', state: 'notRegistered', since: null, reason: null, next: 'register',
    registration: { missing: [{ count: 1, oneOf: ['passkey', 'totp', 'mobilePhone'] }], acceptedProofs: [{ channel: 'temporaryAccessPass' }], deadline: null },
    methods: [], lockedUntil: null, frozenUntil: null, sessionsValidFrom: null, devicesValidFrom: null,
  }
  t.strictSame((await read()).body, none)
  await pendingMethod(ann, { value: '+14155550132' })
  t.strictSame((await read()).body, none, 'a pending method counts for nothing')
})

t.test('methods are masked, the default first, its preferred channel first; the landline and the office phone by voice only', async (t) => {
  const { ann, read } = await person(service)
  await verifiedMethod(ann, { kind: 'mobilePhone', value: '+14155550132' })
  const office = await verifiedMethod(ann, { kind: 'officePhone', value: '+14155550144', extension: '77' })
  const alternate = await verifiedMethod(ann, { kind: 'alternatePhone', value: '+14155550155' })
  await ann.put('/v1/users/me/default-method', { methodId: alternate.id, channel: 'voice' })
  const { body, text } = await read()
  t.strictSame(body.methods.map(({ id: _id, ...method }: { id: string }) => method), [
    { kind: 'alternatePhone', display: '+1 ••• ••• ••55', channels: ['voice', 'sms'], isDefault: true },
    { kind: 'mobilePhone', display: '+1 ••• ••• ••32', channels: ['sms', 'voice'], isDefault: false },
    { kind: 'officePhone', display: '+1 ••• ••• ••44', channels: ['voice'], isDefault: false },
  ])
  t.notMatch(text, /4155550|"77"|extension/, 'no value, and no extension')
  t.equal(body.methods[2].id, office.id)
})

t.test('an e-mail is a method only where the policy counts it', async (t) => {
  const { tenant, ann, read } = await person(service)
  await setPolicy(service, tenant, { emailCounts: true, registration: { required: [{ count: 1, oneOf: ['mobilePhone', 'alternateEmail'] }] } })
  await verifiedMethod(ann, { kind: 'alternateEmail', value: 'ann@example.org' })
  t.match((await read()).body, { state: 'registered', next: 'challenge', methods: [{ kind: 'alternateEmail', display: 'a•••@example.org', channels: ['email'], isDefault: true }] })
  await setPolicy(service, tenant, { emailCounts: false })
  const { body } = await read()
  t.match(body, { state: 'registered', next: 'register', registration: { missing: [] } }, 'registered as the policy says, but with nothing to be challenged with')
  t.strictSame(body.methods, [])
})

t.test('what each requirement of the policy still misses is counted; a change of the policy is in force at once', async (t) => {
  const { tenant, ann, read } = await person(service)
  await verifiedMethod(ann, { kind: 'mobilePhone', value: '+14155550132' })
  t.match((await read()).body, { state: 'registered' })
  await setPolicy(service, tenant, { registration: { required: [{ count: 1, oneOf: ['mobilePhone'] }, { count: 2, oneOf: ['mobilePhone', 'officePhone', 'alternateEmail'] }] } })
  const { body } = await read()
  t.match(body, { state: 'notRegistered', next: 'register', methods: [{ kind: 'mobilePhone' }] })
  t.strictSame(body.registration.missing, [{ count: 1, oneOf: ['mobilePhone', 'officePhone', 'alternateEmail'] }])
  await verifiedMethod(ann, { kind: 'alternateEmail', value: 'ann@example.org' })
  t.match((await read()).body, { state: 'registered', next: 'challenge' })
})

t.test('what the policy does not allow any more is no method and meets no requirement', async (t) => {
  const { tenant, ann, read } = await person(service)
  await verifiedMethod(ann, { kind: 'mobilePhone', value: '+14155550132' })
  const gone = { state: 'notRegistered', next: 'register', registration: { missing: [{ count: 1 }] } }
  for (const [change, back] of [[{ countries: ['GB'] }, { countries: ['US'] }], [{ phone: 'off', registration: { required: [{ count: 1, oneOf: ['totp', 'mobilePhone'] }] } }, { phone: 'notForPrivileged' }]]) {
    await setPolicy(service, tenant, change!)
    const { body } = await read()
    t.match(body, gone, JSON.stringify(change))
    t.strictSame([body.methods, body.registration.acceptedProofs], [[], [{ channel: 'temporaryAccessPass' }]])
    await setPolicy(service, tenant, back!)
    t.match((await read()).body, { state: 'registered' }, JSON.stringify(back))
  }
  await (await service.as({ tenant, subject: 'directory', kind: 'app', scopes: ['users:write'] })).put('/v1/users/ann', { privileged: true })
  t.match((await read()).body, gone, 'phones are not for privileged users here')
})

t.test('a disabled or off-boarded user is turned away, with nothing to register and nothing to be challenged with', async (t) => {
  const { tenant, ann, read, asOwner } = await person(service)
  await verifiedMethod(ann, { kind: 'mobilePhone', value: '+14155550132' })
  for (const state of ['disabled', 'offboarded']) {
    await asOwner('status', state)
    const { body } = await read()
    t.match(body, { state, next: 'deny', since: null })
    t.strictSame([body.methods, body.registration], [[], { missing: [], acceptedProofs: [], deadline: null }], state)
    isRefused(t, await ann.get('/v1/users/me/sign-in-requirements'), 'invalid_token', {}, `${state}: they themself are not let in`)
    t.equal((await askAs(service, tenant, 'reader')).status, 200)
  }
})

t.test('it says from when sessions and devices are good, and lets in nobody who signed in before', async (t) => {
  const { tenant, read } = await person(service)
  const early = await service.as({ tenant, subject: 'ann', authSecondsAgo: 60 })
  t.equal((await early.get('/v1/users/me/sign-in-requirements')).status, 200)
  const hans = await service.as({ tenant, subject: 'hans', roles: ['helpdesk'] })
  const { body: revocation } = await hans.post('/v1/users/ann/session-revocations', {})
  t.match((await read()).body, { sessionsValidFrom: revocation.sessionsValidFrom, devicesValidFrom: revocation.devicesValidFrom })
  t.match(revocation.sessionsValidFrom, /^\d{4}-.*\.\d{3}Z$/)
  isRefused(t, await early.get('/v1/users/me/sign-in-requirements'), 'invalid_token')
})

t.test('the first call of a person makes their row; an app is told that it knows nobody of that name', async (t) => {
  const tenant = await service.tenant()
  const zoe = await service.as({ tenant, subject: 'zoe' })
  const app = await service.as(apps(tenant))
  isRefused(t, await app.get('/v1/users/zoe/sign-in-requirements'), 'not_found')
  t.match(await zoe.get('/v1/users/me/sign-in-requirements'), { status: 200, body: { userId: 'zoe', state: 'notRegistered' } })
  t.match(await app.get('/v1/users/zoe/sign-in-requirements'), { status: 200, body: { userId: 'zoe' } })
  isRefused(t, await (await service.as({ tenant, subject: 'rita', roles: ['reader'] })).get('/v1/users/nobody/sign-in-requirements'), 'not_found', {}, 'a reader at their first call')
  t.match(await (await service.as({ tenant, subject: 'petra', roles: ['privilegedAdmin'] })).get('/v1/users/me/sign-in-requirements'), { status: 200 })
  t.match(await app.get('/v1/users/petra/sign-in-requirements'), { status: 200 })
})

t.test('apps with sign-in:read, the person and readers see it, of privileged users as well; to everyone else the user is not there', async (t) => {
  const { tenant, ann } = await person(service, { privileged: true })
  const url = '/v1/users/ann/sign-in-requirements'
  t.equal((await ann.get(url)).status, 200)
  t.equal((await askAs(service, tenant, 'helpdesk')).status, 200)
  for (const role of ['user', 'policyAdmin', 'auditor'] satisfies Role[]) isRefused(t, await askAs(service, tenant, role), 'not_found', {}, role)
  const others = await service.as({ ...apps(tenant), subject: 'payroll', scopes: scopes.filter((scope) => scope !== 'sign-in:read') })
  isRefused(t, await others.get(url), 'not_found', {}, 'an app with every other scope')
  const elsewhere = await service.tenant()
  const strangers = [await (await service.as(apps(elsewhere))).get(url), await (await service.as({ tenant: elsewhere, subject: 'rita', roles: ['reader'] })).get(url)]
  for (const answer of strangers) isRefused(t, answer, 'not_found', {}, 'another tenant')
  isRefused(t, await (await service.as(apps(tenant))).get('/v1/users/me/sign-in-requirements'), 'validation_failed', { parameter: 'userId' }, 'an app has no "me"')
  isRefused(t, await ann.get(`${url}?reveal=true`), 'validation_failed', { parameter: 'reveal' })
})

t.test('no value, and no extension, is in any answer, whatever is asked of whom', async (t) => {
  const { tenant, ann, read, asOwner } = await person(service)
  await verifiedMethod(ann, { kind: 'officePhone', value: '+14155550132', extension: '904617' })
  await verifiedMethod(ann, { kind: 'alternateEmail', value: 'ann.smith@example.org' })
  await moveClock(ann, 25 * 3600)
  for (const reason of [null, 'lostDevice']) {
    await asOwner('reregistration_since', reason && new Date(Date.now() + 24 * 3600_000))
    for (const { text, body } of [await read(), await ann.get('/v1/users/me/sign-in-requirements'), await askAs(service, tenant, 'privilegedAdmin')]) {
      t.ok(body.registration.acceptedProofs.length >= 3, 'there is something to mask')
      t.notMatch(text, /4155550|ann\.smith|904617/)
    }
  }
})

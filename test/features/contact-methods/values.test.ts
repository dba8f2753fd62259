import t from 'tap'
import { isRefused, setPolicy, startVerification } from '../../support/answers.ts'
import { codeOf, testService } from '../../support/service.ts'

const methods = '/v1/users/me/contact-methods'
const service = await testService(t)

t.test('a number in national format needs a country: the one beside it, else the tenant\'s', async (t) => {
  const homeless = await service.tenant({ country: null })
  await setPolicy(service, homeless, { countries: ['US', 'GB'] })
  const ann = await service.as({ tenant: homeless, subject: 'ann' })
  isRefused(t, await ann.post(methods, { kind: 'mobilePhone', value: '(415) 555-0132' }), 'invalid_phone_number', { pointer: '/value' })
  t.match((await ann.post(methods, { kind: 'mobilePhone', value: '(415) 555-0132', country: 'US' })).body, { value: '+14155550132', country: 'US' })
  t.match((await ann.post(methods, { kind: 'alternatePhone', value: '07400 123456', country: 'GB' })).body, { value: '+447400123456', country: 'GB' })

  const american = await service.tenant()
  await setPolicy(service, american, { countries: ['US', 'GB'] })
  const ben = await service.as({ tenant: american, subject: 'ben' })
  t.match((await ben.post(methods, { kind: 'mobilePhone', value: '415 555 0132' })).body, { value: '+14155550132' })
  t.match((await ben.post(methods, { kind: 'alternatePhone', value: '07400 123456', country: 'GB' })).body, { value: '+447400123456' }, 'what stands beside the number wins')
})

t.test('what is not a valid number is 422 invalid_phone_number', async (t) => {
  const ann = await service.as({ tenant: await service.tenant(), subject: 'ann' })
  for (const value of ['hello', '123', '+1 415 555', '+999 123 4567', '+14155550132 and more', 'ann@example.org', '911']) {
    isRefused(t, await ann.post(methods, { kind: 'mobilePhone', value }), 'invalid_phone_number', { pointer: '/value' }, value)
  }
  isRefused(t, await ann.post(methods, { kind: 'mobilePhone', value: '+14155550132', country: 'GB' }), 'invalid_phone_number', { pointer: '/value' }, 'of another country than said')
  isRefused(t, await ann.post(methods, { kind: 'mobilePhone', value: '+14155550132', country: 'UK' }), 'invalid_phone_number', { pointer: '/value' }, 'of no country')
})

t.test('premium and shared-cost numbers and countries outside the policy are 422 phone_number_not_allowed', async (t) => {
  const tenant = await service.tenant()
  await setPolicy(service, tenant, { countries: ['US', 'GB'] })
  const ann = await service.as({ tenant, subject: 'ann' })
  for (const value of ['+1 900 234 5678', '+44 909 879 0123', '+44 843 223 4567']) {
    isRefused(t, await ann.post(methods, { kind: 'mobilePhone', value }), 'phone_number_not_allowed', { pointer: '/value' }, value)
  }
  for (const value of ['+49 1512 3456789', '+33 6 12 34 56 78', '+1 876 210 1234']) {
    isRefused(t, await ann.post(methods, { kind: 'mobilePhone', value }), 'phone_number_not_allowed', { pointer: '/value' }, value)
  }
  await setPolicy(service, tenant, { countries: [] })
  isRefused(t, await ann.post(methods, { kind: 'mobilePhone', value: '+14155550132' }), 'phone_number_not_allowed', {}, 'no country at all')
})

t.test('an office phone is voice only and has an extension, apart or within the number', async (t) => {
  const tenant = await service.tenant()
  for (const [subject, input] of Object.entries({
    apart: { value: '+14155550132', extension: '123' }, within: { value: '+1 415 555 0132 x123' }, parameter: { value: 'tel:+1-415-555-0132;ext=123' },
    both: { value: '+1 415 555 0132 ext. 123', extension: '123' },
  })) {
    const person = await service.as({ tenant, subject })
    t.match(await person.post(methods, { kind: 'officePhone', ...input }), { status: 201, body: { value: '+14155550132', extension: '123', channels: ['voice'] } }, subject)
  }
  const ann = await service.as({ tenant, subject: 'ann' })
  isRefused(t, await ann.post(methods, { kind: 'officePhone', value: '+14155550132 x12', extension: '123' }), 'invalid_phone_number', { pointer: '/value' }, 'two that differ')
  t.match((await ann.post(methods, { kind: 'officePhone', value: '+14155550132' })).body, { extension: null, channels: ['voice'] }, 'it need not have one')
})

t.test('an extension is refused with any other kind', async (t) => {
  const ann = await service.as({ tenant: await service.tenant(), subject: 'ann' })
  for (const kind of ['mobilePhone', 'alternatePhone']) {
    isRefused(t, await ann.post(methods, { kind, value: '+14155550132', extension: '12' }), 'validation_failed', { pointer: '/extension' }, kind)
    isRefused(t, await ann.post(methods, { kind, value: '+14155550132 ext 12' }), 'invalid_phone_number', { pointer: '/value' }, `${kind} within the number`)
  }
  isRefused(t, await ann.post(methods, { kind: 'alternateEmail', value: 'ann@example.org', extension: '12' }), 'validation_failed', { pointer: '/extension' })
  t.equal((await ann.post(methods, { kind: 'mobilePhone', value: '+14155550132', extension: null })).status, 201, 'null is none')
})

t.test('a landline is called only: sms is 422 channel_not_available, and so it is for an office phone', async (t) => {
  const tenant = await service.tenant()
  await setPolicy(service, tenant, { countries: ['US', 'GB'] })
  const ann = await service.as({ tenant, subject: 'ann' })
  const { body: landline } = await ann.post(methods, { kind: 'alternatePhone', value: '+44 20 7031 3000' })
  t.match(landline, { lineType: 'landline', channels: ['voice'] })
  const { body: office } = await ann.post(methods, { kind: 'officePhone', value: '+14155550132', extension: '7' })
  const { body: mobile } = await ann.post(methods, { kind: 'mobilePhone', value: '+44 7400 123456' })
  t.match(mobile, { lineType: 'mobile', channels: ['sms', 'voice'] })
  const { body: email } = await ann.post(methods, { kind: 'alternateEmail', value: 'ann@example.org' })
  t.match(email, { lineType: null, country: null, channels: ['email'] })

  const start = (methodId: string, channel: string) => ann.post('/v1/challenges', { userId: 'me', purpose: 'verifyContact', methodId, channel })
  isRefused(t, await start(landline.id, 'sms'), 'channel_not_available')
  isRefused(t, await start(office.id, 'sms'), 'channel_not_available')
  isRefused(t, await start(mobile.id, 'email'), 'channel_not_available')
  isRefused(t, await start(email.id, 'sms'), 'channel_not_available')
  const called = await start(office.id, 'voice')
  t.match(called, { status: 201, body: { channel: 'voice', destination: '+1 ••• ••• ••32' } })
  await codeOf(ann, called.body.id)
  t.match((await ann.get(`/v1/sandbox/messages?challengeId=${called.body.id}`)).body.items, [{ to: '+14155550132', extension: '7', channel: 'voice' }])
  const unasked = await startVerification(ann, landline.id)
  t.match((await ann.get(`/v1/challenges/${unasked}`)).body, { channel: 'voice' }, 'without a channel, the one there is')
})

t.test('what is not one plain address is 422 invalid_email', async (t) => {
  const ann = await service.as({ tenant: await service.tenant(), subject: 'ann' })
  for (const value of ['ann', 'ann@', '@example.org', 'ann@example', 'Ann <ann@example.org>', 'a@example.org,b@example.org', 'ann@[127.0.0.1]', '+14155550132']) {
    isRefused(t, await ann.post(methods, { kind: 'alternateEmail', value }), 'invalid_email', { pointer: '/value' }, value)
  }
})

t.test('an alternate e-mail that leads to the sign-in mailbox is 422 same_as_sign_in, in any spelling', async (t) => {
  const tenant = await service.tenant()
  const directory = await service.as({ tenant, subject: 'directory', kind: 'app', scopes: ['users:write'] })
  await directory.put('/v1/users/ann', { signInEmail: 'Ann.Smith@googlemail.com' })
  const ann = await service.as({ tenant, subject: 'ann' })
  for (const value of ['Ann.Smith@googlemail.com', 'ann.smith@GOOGLEMAIL.com', 'annsmith@googlemail.com', 'a.n.n.smith@gmail.com', 'ann.smith+codes@gmail.com', 'ANNSMITH+x@GMAIL.COM']) {
    isRefused(t, await ann.post(methods, { kind: 'alternateEmail', value }), 'same_as_sign_in', { pointer: '/value' }, value)
  }
  const { body: other } = await ann.post(methods, { kind: 'alternateEmail', value: 'Ann.S+home@Example.org' })
  t.match(other, { value: 'Ann.S+home@Example.org', display: 'a•••@example.org' }, 'another mailbox is kept as typed')
  isRefused(t, await ann.patch(`${methods}/${other.id}`, { value: 'annsmith@gmail.com' }), 'same_as_sign_in', { pointer: '/value' })
  const challenge = await startVerification(ann, other.id)
  await codeOf(ann, challenge)
  t.match((await ann.get(`/v1/sandbox/messages?challengeId=${challenge}`)).body.items, [{ to: 'Ann.S+home@Example.org' }], 'and sent to as typed')
})

t.test('kinds and phones that the policy does not allow are 422 channel_not_available, with the rule', async (t) => {
  const tenant = await service.tenant()
  const ann = await service.as({ tenant, subject: 'ann' })
  await setPolicy(service, tenant, { kinds: ['mobilePhone', 'alternateEmail'] })
  isRefused(t, await ann.post(methods, { kind: 'officePhone', value: '+14155550132' }), 'channel_not_available', { rule: 'policy.kinds' })

  const admin = await service.as({ tenant, subject: 'hans', roles: ['helpdesk'] })
  await setPolicy(service, tenant, { phone: 'notForPrivileged' })
  isRefused(t, await admin.post(methods, { kind: 'mobilePhone', value: '+14155550132' }), 'channel_not_available', { rule: 'policy.phone' })
  t.equal((await ann.post(methods, { kind: 'mobilePhone', value: '+14155550132' })).status, 201, 'who is not privileged may')
  await setPolicy(service, tenant, { phone: 'off' })
  const ben = await service.as({ tenant, subject: 'ben' })
  isRefused(t, await ben.post(methods, { kind: 'mobilePhone', value: '+14155550132' }), 'channel_not_available', { rule: 'policy.phone' })
  t.equal((await ben.post(methods, { kind: 'alternateEmail', value: 'ben@example.org' })).status, 201)
})

import t from 'tap'
import { messagesOf, pendingMethod, read, secondsBetween, start, started, verify } from '../../support/challenges.ts'
import { codeOf, moveClock, otherCode, testService, verifiedMethod } from '../../support/service.ts'
import { systemRandom } from '../../../src/platform/random.ts'

const service = await testService(t)
const person = async (subject = 'ann') => {
  const tenant = await service.tenant()
  return { tenant, client: await service.as({ tenant, subject }) }
}

t.test('a challenge has exactly the fields of the contract, and never its code', async (t) => {
  const { client } = await person()
  const methodId = await pendingMethod(client, { value: '+14155550101' })
  const answer = await start(client, methodId)
  t.equal(answer.status, 201)
  t.equal(answer.headers.location, `/v1/challenges/${answer.body.id}`)
  t.strictSame(Object.keys(answer.body).toSorted(), [
    'attemptsRemaining', 'channel', 'codeLength', 'createdAt', 'delivery', 'destination', 'endedAt', 'expiresAt', 'id', 'methodId', 'purpose',
    'resendAvailableAt', 'sendsRemaining', 'status',
  ])
  t.match(answer.body, {
    status: 'pending', purpose: 'verifyContact', channel: 'sms', methodId, destination: '+1 ••• ••• ••01', codeLength: 6, attemptsRemaining: 5,
    sendsRemaining: 4, endedAt: null, delivery: 'queued',
  })
  const { createdAt, expiresAt, resendAvailableAt } = answer.body
  for (const time of [createdAt, expiresAt, resendAvailableAt]) t.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  t.equal(secondsBetween(createdAt, expiresAt), 300)
  const wait = secondsBetween(createdAt, resendAvailableAt)
  t.ok(wait >= 30 && wait < 33, `the next send is 30 s away (${wait})`)
  const code = await codeOf(client, answer.body.id)
  t.notOk(answer.text.includes(code) || (await read(client, answer.body.id)).text.includes(code))
})

t.test('each channel: sms unless told, voice, e-mail with its own lifetime; what a method does not have is refused', async (t) => {
  const { client } = await person()
  const mobile = await pendingMethod(client, { value: '+14155550101' })
  const office = await pendingMethod(client, { kind: 'officePhone', value: '+14155550102', extension: '77' })
  const email = await pendingMethod(client, { kind: 'alternateEmail', value: 'ann@example.org' })

  t.match((await start(client, mobile, { channel: 'email' })).body, { code: 'channel_not_available', status: 422 })
  t.match((await start(client, office, { channel: 'sms' })).body, { code: 'channel_not_available' })
  t.match((await start(client, email, { channel: 'sms' })).body, { code: 'channel_not_available' })
  t.match((await start(client, mobile, { channel: 'totp' })).body, { code: 'channel_not_available' })

  const spoken = await started(client, mobile, { channel: 'voice' })
  const called = await started(client, office)
  const mailed = await started(client, email)
  t.match([spoken, called, mailed], [
    { channel: 'voice', destination: '+1 ••• ••• ••01' }, { channel: 'voice', destination: '+1 ••• ••• ••02' }, { channel: 'email', destination: 'a•••@example.org' },
  ])
  t.equal(secondsBetween(spoken.createdAt, spoken.expiresAt), 300)
  t.equal(secondsBetween(mailed.createdAt, mailed.expiresAt), 600)
  t.match(await messagesOf(client, called.id), [{ channel: 'voice', to: '+14155550102', extension: '77' }])
  for (const challenge of [spoken, called, mailed]) t.equal((await verify(client, challenge.id, await codeOf(client, challenge.id))).status, 200)
})

t.test('the message names who asks and what for, and says that no one will ask for the code', async (t) => {
  const { client, tenant } = await person()
  const app = await service.as({ tenant, subject: 'payroll', kind: 'app', scopes: ['challenges:write'] })
  const mobile = await pendingMethod(client, { value: '+14155550101' })
  const office = await pendingMethod(client, { kind: 'officePhone', value: '+14155550102' })
  const email = await pendingMethod(client, { kind: 'alternateEmail', value: 'ann@example.org' })
  const aim = /is your code to confirm this contact method\. It is good for \d+ minutes\. No one will ask you for this code\./

  const [own] = await messagesOf(client, (await started(client, mobile)).id)
  t.match(own, { kind: 'code', channel: 'sms', to: '+14155550101', body: aim })
  t.match(own!.body, new RegExp(`^Test Ltd: ${own!.code} `))
  t.notOk('subject' in own!)

  const [byApp] = await messagesOf(client, (await started(app, office, { userId: 'ann' })).id)
  t.match(byApp!.body, /^Test Ltd, payroll: /)
  t.match(byApp!.body, aim)
  t.ok(byApp!.body.includes([...byApp!.code].join(' ')), 'a voice reads digit by digit')

  const [mail] = await messagesOf(client, (await started(app, email, { userId: 'ann' })).id)
  t.match(mail, { subject: 'Test Ltd, payroll: your code', body: aim })
  t.match(mail!.body, /good for 10 minutes/)
})

t.test('a code is a string of digits that keeps its leading zeros, as long as the policy says', async (t) => {
  const lengths: number[] = []
  const zeros = await testService(t, { random: { ...systemRandom, digits: (length) => { lengths.push(length); return '42'.padStart(length, '0') } } })
  const tenant = await zeros.tenant()
  const client = await zeros.as({ tenant, subject: 'ann' })
  const first = await started(client, await pendingMethod(client, { value: '+14155550101' }))
  t.match(await messagesOf(client, first.id), [{ code: '000042' }])
  t.match((await verify(client, first.id, '42')).body, { code: 'wrong_code' }, 'a number is not the code')
  t.match((await verify(client, first.id, '0000042')).body, { code: 'wrong_code' })
  t.equal((await verify(client, first.id, '000042')).status, 200)

  const admin = await zeros.as({ tenant, subject: 'paul', roles: ['policyAdmin'] })
  t.equal((await admin.patch('/v1/policy', { codes: { length: 10, phoneSeconds: 60 } })).status, 200)
  const second = await started(client, await pendingMethod(client, { kind: 'alternatePhone', value: '+14155550102' }))
  t.match(second, { codeLength: 10 })
  t.equal(secondsBetween(second.createdAt, second.expiresAt), 60)
  t.match(await messagesOf(client, second.id), [{ code: '0000000042', body: /good for 60 seconds/ }])
  t.strictSame(lengths, [6, 10])
})

t.test('without a method the default one is meant', async (t) => {
  const { client } = await person()
  t.match((await client.post('/v1/challenges', { userId: 'me', purpose: 'verifyContact' })).body, { status: 409, code: 'no_usable_method' })
  const phone = await verifiedMethod(client, { kind: 'mobilePhone', value: '+14155550101' })
  t.match((await client.post('/v1/challenges', { userId: 'me', purpose: 'verifyContact' })).body, { status: 409, code: 'method_not_usable' }, 'nothing of it waits')
  await client.patch(`/v1/users/me/contact-methods/${phone.id}`, { value: '+14155550102' })
  t.match((await client.post('/v1/challenges', { userId: 'me', purpose: 'verifyContact' })).body, { methodId: phone.id, destination: '+1 ••• ••• ••02' })
})

t.test('a start that is not right sends nothing and counts nothing', async (t) => {
  const { client, tenant } = await person()
  const other = await service.as({ tenant, subject: 'bob' })
  const helpdesk = await service.as({ tenant, subject: 'hans', roles: ['helpdesk'] })
  const methodId = await pendingMethod(client, { value: '+14155550101' })
  const theirs = await pendingMethod(other, { value: '+14155550102' })
  const refused = [
    [await start(client, theirs), 404, 'not_found'],
    [await start(other, methodId, { userId: 'ann' }), 404, 'not_found'],
    [await start(helpdesk, methodId, { userId: 'ann' }), 404, 'not_found'],
    [await start(client, '0199c0de-0000-7000-8000-00000000dead'), 404, 'not_found'],
    [await start(client, methodId, { purpose: 'signIn' }), 403, 'forbidden'],
    [await start(client, methodId, { context: { display: 'x' } }), 400, 'validation_failed'],
    [await start(client, methodId, { clientAddress: 'abc' }), 400, 'validation_failed'],
    [await start(client, methodId, { clientAddress: '203.0.113.999' }), 400, 'validation_failed'],
    [await start(client, methodId, { userId: '..' }), 400, 'validation_failed'],
    [await start(client, methodId, { code: '123456' }), 400, 'validation_failed'],
    [await start(client, methodId, { channel: 'pigeon' }), 400, 'validation_failed'],
  ] as const
  for (const [{ status, body }, wanted, code] of refused) t.match({ status, code: body.code }, { status: wanted, code })
  t.match((await start(client, methodId, { clientAddress: '2001:db8::1' })).body, { sendsRemaining: 4 })
  t.equal((await client.get('/v1/sandbox/messages?waitSeconds=5')).body.items.length, 1)
})

t.test('a newer challenge cancels the older one of the same caller, user, purpose and method; everyone else\'s stay', async (t) => {
  const { client, tenant } = await person()
  const app = await service.as({ tenant, subject: 'payroll', kind: 'app', scopes: ['challenges:write'] })
  const mobile = await pendingMethod(client, { value: '+14155550101' })
  const email = await pendingMethod(client, { kind: 'alternateEmail', value: 'ann@example.org' })
  const mailed = await started(client, email)
  const older = await started(client, mobile)
  const code = await codeOf(client, older.id)

  const refused = await start(client, mobile)
  t.match(refused.body, { code: 'send_limited', challengeId: older.id })
  t.match((await read(client, older.id)).body, { status: 'pending', attemptsRemaining: 5 }, 'a refused start cancels nothing')

  await moveClock(client, 31)
  const byApp = await started(app, mobile, { userId: 'ann' })
  t.match((await read(client, older.id)).body, { status: 'pending' }, 'another caller\'s does not cancel it')

  await moveClock(client, 31 + 61)
  const newer = await started(client, mobile)
  const ended = (await read(client, older.id)).body
  t.match(ended, { status: 'canceled', attemptsRemaining: 5 })
  t.equal(secondsBetween(newer.createdAt, ended.endedAt), 0)
  t.match((await verify(client, older.id, code)).body, { status: 409, code: 'challenge_canceled' }, 'its right code is dead')
  t.match((await read(app, byApp.id)).body, { status: 'pending' })
  t.match((await read(client, mailed.id)).body, { status: 'pending' })

  const right = await codeOf(client, newer.id)
  if (right !== code) t.match((await verify(client, newer.id, code)).body, { code: 'wrong_code', attemptsRemaining: 4 })
  t.equal((await verify(client, newer.id, right)).status, 200)
})

t.test('an app acts for a person: its challenge is its own, and the method becomes active', async (t) => {
  const { client, tenant } = await person()
  const app = await service.as({ tenant, subject: 'payroll', kind: 'app', scopes: ['challenges:write', 'contact-methods:read', 'contact-methods:write'] })
  const weak = await service.as({ tenant, subject: 'payroll', kind: 'app', scopes: ['contact-methods:read'] })
  const methodId = await pendingMethod(client, { value: '+14155550101' })

  t.match((await start(app, methodId)).body, { code: 'not_found' }, 'an app has no "me"')
  t.match((await start(weak, methodId, { userId: 'ann' })).body, { code: 'not_found' })
  t.match((await start(app, methodId, { userId: 'nobody' })).body, { code: 'not_found' })
  const challenge = await started(app, methodId, { userId: 'ann' })
  const code = await codeOf(app, challenge.id)
  t.match((await verify(client, challenge.id, code)).body, { status: 404, code: 'not_found' }, 'the person did not start it')
  t.match((await verify(weak, challenge.id, code)).body, { status: 404, code: 'not_found' }, 'nor may a token without the scope use it')
  t.match((await verify(app, challenge.id, otherCode(code))).body, { code: 'wrong_code', attemptsRemaining: 4 }, 'what others tried was not counted')
  t.match((await verify(app, challenge.id, code)).body, { challengeId: challenge.id, status: 'approved', proof: /^ey/ })
  t.match((await client.get(`/v1/users/me/contact-methods/${methodId}`)).body, { status: 'active', isDefault: true })

  const brought = await pendingMethod(app, { kind: 'alternatePhone', value: '+14155550102' }, 'ann')
  t.match((await start(app, brought, { userId: 'ann' })).body, { status: 403, code: 'proof_required' }, 'what an app brought, the person verifies')
  t.equal((await start(client, brought)).status, 201)
})

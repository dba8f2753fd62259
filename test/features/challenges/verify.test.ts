import t from 'tap'
import { sql } from 'kysely'
import { pendingMethod, read, started, verify } from '../../support/challenges.ts'
import { codeOf, moveClock, otherCode, testService, verifiedMethod } from '../../support/service.ts'
import { systemRandom } from '../../../src/platform/random.ts'

const service = await testService(t)
const person = async (subject = 'ann') => {
  const tenant = await service.tenant()
  return { tenant, client: await service.as({ tenant, subject }) }
}

t.test('a right code is good once, and makes the value active', async (t) => {
  const { client } = await person()
  const methodId = await pendingMethod(client, { value: '+14155550101' })
  const challenge = await started(client, methodId)
  const code = await codeOf(client, challenge.id)
  const approved = await verify(client, challenge.id, code)
  t.equal(approved.status, 200)
  t.strictSame(Object.keys(approved.body), ['challengeId', 'status', 'proof'])
  t.match(approved.body, { challengeId: challenge.id, status: 'approved', proof: /^ey[^.]+\.[^.]+\.[^.]+$/ })
  t.match((await client.get(`/v1/users/me/contact-methods/${methodId}`)).body, { status: 'active', value: '+14155550101', isDefault: true })
  t.match((await read(client, challenge.id)).body, { status: 'approved', attemptsRemaining: 4 })
  t.match((await verify(client, challenge.id, code)).body, { status: 409, code: 'challenge_approved' })
  t.match((await verify(client, challenge.id, otherCode(code))).body, { status: 409, code: 'challenge_approved' })
})

t.test('five wrong codes end it, and then the right one is worth nothing', async (t) => {
  const { client } = await person()
  const methodId = await pendingMethod(client, { value: '+14155550101' })
  const challenge = await started(client, methodId)
  const code = await codeOf(client, challenge.id)
  for (const remaining of [4, 3, 2, 1, 0]) {
    const { status, body } = await verify(client, challenge.id, otherCode(code))
    t.match({ status, ...body }, { status: 422, code: 'wrong_code', attemptsRemaining: remaining })
    t.match((await read(client, challenge.id)).body, { attemptsRemaining: remaining, status: remaining === 0 ? 'exhausted' : 'pending' })
  }
  t.match((await verify(client, challenge.id, code)).body, { status: 409, code: 'challenge_exhausted' })
  t.match((await client.get(`/v1/users/me/contact-methods/${methodId}`)).body, { status: 'pending' })
})

t.test('what is not made of digits is no code, and counts as a wrong one', async (t) => {
  const { client, tenant } = await person()
  const malformed = (code: string) => [
    ` ${code}`, `${code} `, `\t${code}`, `${code}\n`, `${code}\r\n`, `+${code}`, `-${code}`, `${code.slice(0, 3)} ${code.slice(3)}`, `${code.slice(0, 3)}-${code.slice(3)}`, '',
    [...code].map((digit) => String.fromCodePoint(0xff10 + Number(digit))).join(''), [...code].map((digit) => String.fromCodePoint(0x660 + Number(digit))).join(''),
    `${code}\u200b`, `0x${code}`, `${code}.0`, `${code}e0`, 'abcdef',
  ]
  for (let from = 0; from < malformed('123456').length; from += 4) {
    const ann = await service.as({ tenant, subject: `ann-${from}` })
    const challenge = await started(ann, await pendingMethod(ann, { value: `+1415555${String(110 + from).padStart(4, '0')}` }))
    const code = await codeOf(ann, challenge.id)
    for (const [index, spelling] of malformed(code).slice(from, from + 4).entries()) {
      const { status, body } = await verify(ann, challenge.id, spelling)
      t.match({ status, ...body }, { status: 400, code: 'malformed_code', attemptsRemaining: 4 - index }, JSON.stringify(spelling))
    }
    t.equal((await verify(ann, challenge.id, code)).status, 200, 'the digits alone are right')
  }
  const challenge = await started(client, await pendingMethod(client, { value: '+14155550101' }))
  const code = await codeOf(client, challenge.id)
  for (let attempt = 0; attempt < 5; attempt++) t.match((await verify(client, challenge.id, ` ${code}`)).body, { code: 'malformed_code', attemptsRemaining: 4 - attempt })
  t.match((await verify(client, challenge.id, code)).body, { code: 'challenge_exhausted' }, 'five malformed ones end it, too')
})

t.test('digits of another length are a wrong code; a body that is no attempt is not counted', async (t) => {
  const { client } = await person()
  const challenge = await started(client, await pendingMethod(client, { value: '+14155550101' }))
  const code = await codeOf(client, challenge.id)
  for (const body of [{}, { code, assertion: {} }, { code: Number(code) }, { code: null }, { code: [code] }, { code, id: challenge.id }, { code: '1'.repeat(129) }, []]) {
    t.match((await client.post(`/v1/challenges/${challenge.id}/verify`, body)).body, { status: 400, code: 'validation_failed' }, JSON.stringify(body))
  }
  t.match((await read(client, challenge.id)).body, { attemptsRemaining: 5 })
  t.match((await verify(client, challenge.id, code.slice(1))).body, { code: 'wrong_code', attemptsRemaining: 4 })
  t.match((await verify(client, challenge.id, `${code}${code}`)).body, { code: 'wrong_code', attemptsRemaining: 3 })
  t.match((await verify(client, challenge.id, '9'.repeat(128))).body, { code: 'wrong_code', attemptsRemaining: 2 })
  t.match((await client.post(`/v1/challenges/${challenge.id}/verify`, { assertion: {} })).body, { status: 422, code: 'channel_not_available', attemptsRemaining: 1 })
  t.equal((await verify(client, challenge.id, code)).status, 200)
})

for (const [kind, value, seconds] of [['mobilePhone', '+14155550101', 300], ['alternateEmail', 'ann@example.org', 600]] as const) {
  t.test(`a code of ${kind} is right 2 s before its ${seconds} s are over and expired 2 s after`, async (t) => {
    const { client, tenant } = await person()
    const inTime = await started(client, await pendingMethod(client, { kind, value }))
    const code = await codeOf(client, inTime.id)
    await moveClock(client, seconds - 2)
    t.equal((await verify(client, inTime.id, code)).status, 200)

    await moveClock(client, 0)
    const bob = await service.as({ tenant, subject: 'bob' })
    const late = await started(bob, await pendingMethod(bob, { kind, value: value.replace('ann', 'bob').replace('0101', '0102') }))
    const lateCode = await codeOf(bob, late.id)
    await moveClock(bob, seconds + 2)
    t.match((await verify(bob, late.id, lateCode)).body, { status: 410, code: 'challenge_expired' })
    t.match((await read(bob, late.id)).body, { status: 'expired', endedAt: late.expiresAt, attemptsRemaining: 5 })
  })
}

t.test('a code that is right for another challenge, user or method is a wrong code', async (t) => {
  // Everyone gets the same digits, so that only what they are bound to tells them apart.
  const same = await testService(t, { random: { ...systemRandom, digits: (length) => '7'.repeat(length) } })
  const tenant = await same.tenant()
  const tenantId = await same.tenantIdOf(tenant)
  const ann = await same.as({ tenant, subject: 'ann' })
  const bob = await same.as({ tenant, subject: 'bob' })
  const app = await same.as({ tenant, subject: 'payroll', kind: 'app', scopes: ['challenges:write'] })
  const challenges = [
    await started(ann, await pendingMethod(ann, { value: '+14155550101' })),
    await started(ann, await pendingMethod(ann, { kind: 'alternatePhone', value: '+14155550102' })),
    await started(bob, await pendingMethod(bob, { value: '+14155550103' })),
  ]
  await moveClock(ann, 31)
  challenges.push(await started(app, challenges[0]!.methodId, { userId: 'ann' }))
  const macs = (await same.owner.inTenant(tenantId, async ({ db }) => db.selectFrom('challenges').select(['id', 'code_mac', 'user_id', 'method_id', 'purpose']).execute()))
  t.equal(new Set(macs.map((row) => row.code_mac.toString('hex'))).size, 4, 'the same digits look different in each')

  const [first, second, third, fourth] = challenges.map(({ id }) => macs.find((row) => row.id === id)!)
  const set = (values: object) => same.owner.inTenant(tenantId, ({ db }) => db.updateTable('challenges').set(values).where('tenant_id', '=', tenantId).where('id', '=', first!.id).execute())
  await set({ attempts_max: 10 })
  for (const values of [{ code_mac: second!.code_mac }, { code_mac: third!.code_mac }, { code_mac: fourth!.code_mac }, { code_mac: first!.code_mac, purpose: 'signIn' }, { purpose: first!.purpose, method_id: second!.method_id }]) {
    await set(values)
    t.match((await verify(ann, first!.id, '777777')).body, { code: 'wrong_code' }, Object.keys(values).join())
  }
  await set({ method_id: first!.method_id })
  t.equal((await verify(ann, first!.id, '777777')).status, 200)

  const { client } = await person()
  const [one, two] = [await started(client, await pendingMethod(client, { value: '+14155550101' })), await started(client, await pendingMethod(client, { kind: 'alternatePhone', value: '+14155550102' }))]
  const [codeOfOne, codeOfTwo] = [await codeOf(client, one.id), await codeOf(client, two.id)]
  if (codeOfOne !== codeOfTwo) t.match((await verify(client, one.id, codeOfTwo)).body, { code: 'wrong_code' })
})

t.test('changing, withdrawing or removing the value kills the code that went to it', async (t) => {
  const { client } = await person()
  const methodId = await pendingMethod(client, { value: '+14155550101' })
  const first = await started(client, methodId)
  const code = await codeOf(client, first.id)
  await client.patch(`/v1/users/me/contact-methods/${methodId}`, { label: 'Mine' })
  t.match((await read(client, first.id)).body, { status: 'pending' }, 'a label changes nothing')
  await client.patch(`/v1/users/me/contact-methods/${methodId}`, { value: '+14155550102' })
  t.match((await verify(client, first.id, code)).body, { status: 409, code: 'challenge_canceled' })
  t.match((await read(client, first.id)).body, { status: 'canceled' })

  const second = await started(client, methodId)
  t.equal((await verify(client, second.id, await codeOf(client, second.id))).status, 200)
  await client.patch(`/v1/users/me/contact-methods/${methodId}`, { value: '+14155550103' })
  const third = await started(client, methodId)
  const thirdCode = await codeOf(client, third.id)
  await client.patch(`/v1/users/me/contact-methods/${methodId}`, { pendingChange: null })
  t.match((await verify(client, third.id, thirdCode)).body, { code: 'challenge_canceled' })
  t.match((await client.get(`/v1/users/me/contact-methods/${methodId}`)).body, { value: '+14155550102', pendingChange: null })

  const other = await pendingMethod(client, { kind: 'alternatePhone', value: '+14155550104' })
  const fourth = await started(client, other)
  const fourthCode = await codeOf(client, fourth.id)
  t.equal((await client.delete(`/v1/users/me/contact-methods/${other}`)).status, 204)
  t.match((await verify(client, fourth.id, fourthCode)).body, { status: 409, code: 'challenge_canceled' }, 'and its starter gets no 404')
  t.match((await read(client, fourth.id)).body, { status: 'canceled', methodId: other })
})

t.test('a reset of the user kills every code, whatever state it was in', async (t) => {
  const { client, tenant } = await person()
  const methodId = await pendingMethod(client, { value: '+14155550101' })
  const challenge = await started(client, methodId)
  const code = await codeOf(client, challenge.id)
  const tenantId = await service.tenantIdOf(tenant)
  await service.owner.inTenant(tenantId, ({ db }) => db.updateTable('users').set({ mfa_epoch: sql`mfa_epoch + 1` }).where('tenant_id', '=', tenantId).where('user_id', '=', 'ann').execute())
  t.match((await verify(client, challenge.id, code)).body, { status: 409, code: 'challenge_canceled' })
  t.match((await read(client, challenge.id)).body, { attemptsRemaining: 5 }, 'it is not even judged')
  t.match((await client.get(`/v1/users/me/contact-methods/${methodId}`)).body, { status: 'pending' })
})

t.test('its starter never gets a 404: not when the user is disabled, nor when the method has ended', async (t) => {
  const { client, tenant } = await person()
  const app = await service.as({ tenant, subject: 'payroll', kind: 'app', scopes: ['challenges:write'] })
  const admin = await service.as({ tenant, subject: 'petra', roles: ['privilegedAdmin'] })
  const methodId = await pendingMethod(client, { value: '+14155550101' })
  const challenge = await started(app, methodId, { userId: 'ann' })
  const code = await codeOf(app, challenge.id)
  t.equal((await admin.put('/v1/users/ann', { status: 'disabled' })).status, 200)
  t.match((await verify(app, challenge.id, code)).body, { status: 409, code: 'challenge_canceled' })
  t.match((await read(app, challenge.id)).body, { status: 'canceled' })
  t.equal((await admin.put('/v1/users/ann', { status: 'active' })).status, 200)
  t.match((await verify(app, challenge.id, code)).body, { code: 'challenge_canceled' }, 'and it stays dead')

  await moveClock(client, 86_400 - 60)
  const last = await started(client, methodId)
  t.ok(Date.parse(last.expiresAt) - Date.parse(last.createdAt) <= 60_000, 'a code is not good for longer than the value it is for')
  const lastCode = await codeOf(client, last.id)
  await moveClock(client, 86_400 + 2)
  t.match((await verify(client, last.id, lastCode)).body, { status: 410, code: 'challenge_expired' })
  t.match((await read(client, last.id)).body, { status: 'expired' })
})

t.test('verifying a change makes the new value active; the old one worked until then', async (t) => {
  const { client } = await person()
  const phone = await verifiedMethod(client, { kind: 'mobilePhone', value: '+14155550101' })
  await client.patch(`/v1/users/me/contact-methods/${phone.id}`, { value: '+14155550102' })
  const challenge = await started(client, phone.id)
  t.match((await client.get(`/v1/users/me/contact-methods/${phone.id}`)).body, { value: '+14155550101', status: 'active' })
  t.equal((await verify(client, challenge.id, await codeOf(client, challenge.id))).status, 200)
  t.match((await client.get(`/v1/users/me/contact-methods/${phone.id}`)).body, { value: '+14155550102', status: 'active', isDefault: true })
})

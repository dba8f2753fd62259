import t from 'tap'
import { decoyDestination } from '../../../src/features/challenges/decoys.ts'
import type { Setting } from '../../../src/features/challenges/setting.ts'
import { defaultPolicy } from '../../../src/features/policy/schema.ts'
import { disable, setPolicy } from '../../support/answers.ts'
import { pendingMethod, read, started, verify } from '../../support/challenges.ts'
import { counterOf, timeOf, v7 } from '../../support/decoys.ts'
import { countWrongCodes } from '../../support/limits.ts'
import { registered } from '../../support/proofs.ts'
import { seedActive } from '../../support/seed.ts'
import { codeOf, moveClock, otherCode, testService, verifiedMethod, type Client } from '../../support/service.ts'

const service = await testService(t)

async function scene () {
  const tenant = await service.tenant()
  const app = (subject: string, ...scopes: Array<'challenges:write' | 'sign-in:read' | 'contact-methods:write'>) => service.as({ tenant, subject, kind: 'app', scopes })
  return {
    tenant, app, blind: await app('payroll', 'challenges:write'), seeing: await app('vpn', 'challenges:write', 'sign-in:read'),
    ann: await service.as({ tenant, subject: 'ann' }), petra: await service.as({ tenant, subject: 'petra', roles: ['privilegedAdmin'] }),
  }
}
const signIn = { userId: 'ann', purpose: 'signIn' }
const shown = ({ methodId, destination, channel, expiresAt, createdAt }: Record<string, any>) => ({ methodId, destination, channel, lastsMs: Date.parse(expiresAt) - Date.parse(createdAt) })
const begun = async (client: Client, body: object): Promise<Record<string, any>> => {
  const answer = await client.post('/v1/challenges', body)
  if (answer.status !== 201) throw new Error(`starting answered ${answer.status} ${answer.text}`)
  return answer.body as Record<string, any>
}
const inbox = async (client: Client, id: string) => (await client.get(`/v1/sandbox/messages?challengeId=${id}`)).body.items.length as number

t.test('who becomes locked, worn out or disabled, or loses the method that was named, looks as before to a blind app', async (t) => {
  const { tenant, blind, ann, petra } = await scene()
  const { id: methodId } = await verifiedMethod(ann, { kind: 'mobilePhone', value: '+14155550101' })
  const before = await begun(blind, signIn)
  t.match(before, { methodId, destination: '+1 ••• ••• ••01' })
  const afterwards: Array<[string, () => Promise<unknown>, object]> = [
    ['locked', () => countWrongCodes(service, tenant, 'ann', { inARow: 10, lockedSeconds: 900 }), {}],
    ['worn out', () => countWrongCodes(service, tenant, 'ann', { byMethod: { [methodId]: 50 } }), {}],
    ['disabled', () => petra.put('/v1/users/ann', { status: 'disabled' }), {}],
    ['active again, the method disabled', () => petra.put('/v1/users/ann', { status: 'active' }).then(() => disable(service, tenant, methodId)), { methodId }],
    ['the method removed', () => petra.delete(`/v1/users/ann/contact-methods/${methodId}`), { methodId }],
  ]
  let at = 0
  for (const [name, change, more] of afterwards) {
    await change()
    await moveClock(petra, at += 301)
    const challenge = await begun(blind, { ...signIn, ...more })
    t.strictSame(shown(challenge), shown(before), name)
    t.match((await blind.post('/v1/challenges', { ...signIn, ...more, channel: 'voice' })).body, { code: 'send_limited', challengeId: challenge.id }, 'and has the same limits')
    t.match((await verify(blind, challenge.id, '000000')).body, { code: 'wrong_code', attemptsRemaining: 4 })
    t.equal(await inbox(blind, challenge.id), 0)
  }
})

t.test('a lock, or the end of a user, between start and verify is not told to a blind app, and the right code is wrong', async (t) => {
  const { tenant, blind, seeing, ann, petra } = await scene()
  await verifiedMethod(ann, { kind: 'mobilePhone', value: '+14155550101' })
  const [hidden, told] = [await begun(blind, signIn), await moveClock(petra, 31).then(() => begun(seeing, signIn))]
  const [code, other] = [await codeOf(blind, hidden.id), await codeOf(blind, told.id)]
  await countWrongCodes(service, tenant, 'ann', { inARow: 10, lockedSeconds: 900 })
  t.match((await verify(blind, hidden.id, code)).body, { code: 'wrong_code', attemptsRemaining: 4 })
  t.match((await verify(blind, hidden.id, ` ${code}`)).body, { code: 'malformed_code', attemptsRemaining: 3 })
  t.match((await verify(seeing, told.id, other)).body, { code: 'user_locked' })
  t.match((await read(seeing, told.id)).body, { attemptsRemaining: 5 })

  await moveClock(petra, 93)
  const sent = await blind.post(`/v1/challenges/${hidden.id}/resend`)
  t.match(sent, { status: 200, body: { attemptsRemaining: 3, delivery: 'queued' } })
  t.match((await seeing.post(`/v1/challenges/${told.id}/resend`)).body, { code: 'user_locked' })
  await countWrongCodes(service, tenant, 'ann', {})
  t.match((await verify(blind, hidden.id, code)).body, { code: 'wrong_code', attemptsRemaining: 2 }, 'also when the lock is over')
  t.equal(await inbox(blind, hidden.id), 1)

  await petra.put('/v1/users/ann', { status: 'disabled' })
  await moveClock(petra, 215)
  const [again, refused] = await Promise.all([blind.post(`/v1/challenges/${hidden.id}/resend`), seeing.post(`/v1/challenges/${told.id}/resend`)])
  t.match(again, { status: 200, body: { attemptsRemaining: 2, status: 'pending' } })
  t.equal(await inbox(blind, hidden.id), 1)
  t.match(refused.body, { status: 409, code: 'challenge_canceled' })
  t.match((await read(seeing, told.id)).body, { status: 'canceled' }, 'and so it reads')
})

t.test('the 50th wrong code ends the method and what is seen of it, but tells a blind app nothing', async (t) => {
  const { tenant, blind, seeing, ann, petra } = await scene()
  const { id: methodId } = await verifiedMethod(ann, { kind: 'mobilePhone', value: '+14155550101' })
  await verifiedMethod(ann, { kind: 'alternatePhone', value: '+14155550102' })
  const hidden = await begun(blind, signIn)
  await moveClock(petra, 31)
  const told = await begun(seeing, signIn)
  await countWrongCodes(service, tenant, 'ann', { inARow: 3, byMethod: { [methodId]: 49 } })
  const code = await codeOf(blind, hidden.id)
  t.match((await verify(blind, hidden.id, otherCode(code))).body, { code: 'wrong_code', attemptsRemaining: 4 })
  t.match((await ann.get(`/v1/users/me/contact-methods/${methodId}`)).body, { status: 'disabled' })
  t.match((await read(seeing, told.id)).body, { status: 'canceled' })
  t.match((await read(blind, hidden.id)).body, { status: 'pending' })
  t.match((await verify(blind, hidden.id, code)).body, { code: 'wrong_code', attemptsRemaining: 3 })
})

t.test('a decoy under someone else\'s method does not show what becomes of that, and stays one when its user comes', async (t) => {
  const { tenant, blind, ann, petra } = await scene()
  const { id: methodId } = await verifiedMethod(ann, { kind: 'mobilePhone', value: '+14155550101' })
  const decoy = await begun(blind, { userId: 'bob', purpose: 'signIn', methodId })
  t.not(decoy.destination, undefined)
  await moveClock(petra, 31)
  await ann.patch(`/v1/users/me/contact-methods/${methodId}`, { value: '+14155550102' })
  const change = await started(ann, methodId)
  t.equal((await verify(ann, change.id, await codeOf(ann, change.id))).status, 200)
  await disable(service, tenant, methodId)
  t.equal((await petra.delete(`/v1/users/ann/contact-methods/${methodId}`)).status, 204)
  t.match((await read(blind, decoy.id)).body, { status: 'pending' })

  const bob = await service.as({ tenant, subject: 'bob' })
  const { id: own } = await verifiedMethod(bob, { kind: 'mobilePhone', value: '+14155550103' })
  t.match((await verify(blind, decoy.id, '000000')).body, { code: 'wrong_code', attemptsRemaining: 4 })
  t.match((await blind.post(`/v1/challenges/${decoy.id}/resend`)).body, { methodId, destination: decoy.destination })
  t.equal(await inbox(blind, decoy.id), 0)
  const real = await begun(blind, { userId: 'bob', purpose: 'signIn' })
  t.match(real, { methodId: own, destination: '+1 ••• ••• ••03' })
  t.match((await verify(blind, real.id, await codeOf(blind, real.id))).body, { status: 'approved' })
})

t.test('decoys under made-up methods use up nothing of what a user may be sent, and have a limit of their own', async (t) => {
  const { tenant, blind, seeing } = await scene()
  await registered(service, tenant, 'ann', ['mobilePhone'])
  const stray = (userId: string, index: number) => blind.post('/v1/challenges', { userId, purpose: 'signIn', methodId: `0199c0de-0000-7000-8000-0000000000${10 + index}` })
  for (const userId of ['ann', 'nobody']) {
    for (let index = 0; index < 10; index++) t.equal((await stray(userId, index)).status, 201)
    t.match((await stray(userId, 10)).body, { code: 'send_limited' })
  }
  t.match(await begun(blind, { userId: 'nobody', purpose: 'signIn' }), { sendsRemaining: 4 })
  const real = await begun(seeing, signIn)
  t.match(real, { sendsRemaining: 4 })
  t.equal((await verify(seeing, real.id, await codeOf(seeing, real.id))).status, 200)
})

t.test('what is left of a day for methods that were verified before, a decoy to verify one does not get either', async (t) => {
  const { tenant, blind, seeing } = await scene()
  await setPolicy(service, tenant, { sendsPerDay: 10 })
  const users = await seedActive(service, tenant, 7, ['mobilePhone'])
  for (const { userId } of users) await begun(seeing, { userId, purpose: 'signIn' })
  t.match((await blind.post('/v1/challenges', { userId: 'nobody', purpose: 'verifyContact' })).body, { code: 'send_limited', detail: /budget/ })
  for (let index = 0; index < 5; index++) await begun(blind, { userId: `nobody-${index}`, purpose: 'signIn' })
})

t.test('that a value waits for its code is told to apps that may write methods, and to no blind one', async (t) => {
  const { app, blind, ann } = await scene()
  const bringer = await app('import', 'challenges:write', 'contact-methods:write')
  const other = await app('other', 'challenges:write', 'contact-methods:write')
  await ann.get('/v1/users/me')
  const methodId = await pendingMethod(bringer, { value: '+14155550101' }, 'ann')
  const wanted = { userId: 'ann', purpose: 'verifyContact', methodId }
  for (const client of [bringer, other]) t.match((await client.post('/v1/challenges', wanted)).body, { status: 403, code: 'proof_required' })
  t.match((await blind.post('/v1/challenges', wanted)).body, { status: 'pending', methodId })
  t.equal((await ann.get('/v1/sandbox/messages')).body.items.length, 0)
})

t.test('a decoy shows what someone here could have: no phone where the policy wants none, no number of a country it does not allow', async (t) => {
  const { tenant, blind } = await scene()
  await setPolicy(service, tenant, { countries: ['GB', 'DE'] })
  t.match(await begun(blind, { userId: 'nobody', purpose: 'signIn' }), { channel: 'sms', destination: /^\+44 / })
  await setPolicy(service, tenant, { countries: ['US', 'GB'] })
  t.match(await begun(blind, { userId: 'no-one', purpose: 'signIn' }), { channel: 'sms', destination: /^\+1 / })
  await setPolicy(service, tenant, { phone: 'off', emailCounts: true })
  for (const purpose of ['signIn', 'stepUp', 'recovery', 'verifyContact']) {
    t.match(await begun(blind, { userId: `somebody-${purpose}`, purpose }), { channel: 'email', destination: /^[a-z]•••@/ }, purpose)
  }
})

t.test('answers to a blind app leave on a beat, good ones and refusals alike', async (t) => {
  const { tenant, blind, seeing } = await scene()
  await registered(service, tenant, 'ann', ['mobilePhone'])
  const timed = async (client: Client, act: () => Promise<{ status: number }>) => {
    const from = performance.now()
    const { status } = await act()
    return { status, ms: performance.now() - from, client }
  }
  await begun(seeing, { ...signIn, purpose: 'stepUp' }) // what is slow the first time
  await moveClock(seeing, 61)
  const id = (await begun(blind, { ...signIn, userId: 'cyd' })).id as string
  for (const act of [
    () => blind.post('/v1/challenges', signIn), () => blind.post('/v1/challenges', { ...signIn, userId: 'bob' }), () => blind.post('/v1/challenges', signIn),
    () => verify(blind, id, '000000'), () => blind.post(`/v1/challenges/${id}/resend`), () => blind.post(`/v1/challenges/${id}/cancel`),
  ]) {
    const { ms, status } = await timed(blind, act)
    t.ok(ms >= 25, `${status} after ${ms.toFixed(1)} ms`)
  }
})

t.test('invented ids: made after the tenant and before now, by their form no other than real ones, and seldom another', (t) => {
  const { keys } = service.deps
  const createdMs = Date.UTC(2026, 2, 1)
  const hourMs = 3_600_000
  const settingAt = (ageMs: number) => ({ tenantCreatedAt: new Date(createdMs), serverNow: new Date(createdMs + ageMs), defaultCountry: 'US', policy: { ...defaultPolicy, countries: ['US'] }, user: null }) as unknown as Setting
  const at = (ageMs: number, userId: string, wanted: object = {}) => decoyDestination({ keys }, { tenantId: '0199c0de-0000-7000-8000-000000000001' }, settingAt(ageMs), userId, { purpose: 'recovery', ...wanted })
  const wrong: string[] = []
  const ages = [20, hourMs, 9 * hourMs, 100 * hourMs, 5_000 * hourMs, 40_000 * hourMs]
  const changes: number[] = []
  for (let user = 0; user < 500; user++) {
    const userId = `user-${user}`
    const ids = ages.map((age) => {
      const [sms, voice, email] = (['sms', 'voice', 'email'] as const).map((channel) => at(age, userId, { channel }))
      const addedMs = timeOf(sms!.methodId)
      if (!v7.test(sms!.methodId) || addedMs < createdMs || addedMs > createdMs + age || counterOf(sms!.methodId) >= 1024) wrong.push(`${sms!.methodId} at ${age}`)
      if (voice!.methodId !== sms!.methodId || !voice!.index.equals(sms!.index) || voice!.display !== sms!.display || email!.methodId === sms!.methodId) wrong.push(`${userId}: channels`)
      return sms!
    })
    changes.push(new Set(ids.map(({ methodId }) => methodId)).size)
    const [first, last] = [ids[0]!, ids.at(-1)!]
    if (!last.index.equals(first.index) || last.display !== first.display) wrong.push(`${userId}: another number`)
    const named = at(ages.at(-1)!, userId, { methodId: first.methodId })
    if (named.methodId !== first.methodId || !named.index.equals(last.index)) wrong.push(`${userId}: an id of before leads elsewhere`)
  }
  t.strictSame(wrong, [])
  t.ok(Math.max(...changes) <= 6)
  const added = Array.from({ length: 500 }, (_none, user) => (timeOf(at(5_000 * hourMs, `user-${user}`).methodId) - createdMs) / hourMs)
  const early = added.filter((hours) => hours < 1_000).length
  t.ok(early > 100 && early < 400, 'spread over the tenant\'s life')
  t.end()
})

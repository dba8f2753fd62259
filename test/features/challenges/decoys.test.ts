import t from 'tap'
import { sql } from 'kysely'
import { auditOf, disable, setPolicy } from '../../support/answers.ts'
import { pendingMethod, read } from '../../support/challenges.ts'
import { viewer } from '../../support/decoys.ts'
import { countWrongCodes } from '../../support/limits.ts'
import { registered } from '../../support/proofs.ts'
import { moveClock, testService, type Answer, type Client } from '../../support/service.ts'

const service = await testService(t)

/** The same callers in a tenant of their own, and users of every kind, most of whom no code can reach. */
async function scene () {
  const tenant = await service.tenant()
  const app = (subject: string, ...scopes: Array<'challenges:write' | 'sign-in:read' | 'users:read' | 'contact-methods:read'>) => service.as({ tenant, subject, kind: 'app', scopes })
  const petra = await service.as({ tenant, subject: 'petra', roles: ['privilegedAdmin'] })
  let number = 10
  const user = async (userId: string) => {
    number += 2
    return registered(service, tenant, userId, ['mobilePhone', 'alternateEmail'], 48, { mobilePhone: `+141555501${number}`, alternateEmail: `${userId}@gmail.com` })
  }
  return { tenant, app, petra, user, blind: await app('payroll', 'challenges:write') }
}

const context = { display: 'Pay 20 USD' }

/** Everything a caller may do with a user, step by step; the clock stands `at` so many seconds when a step is made. */
type Step = (client: Client, userId: string, own: Array<Record<string, any>>) => Promise<Answer>
const start = (more: object): Step => async (client, userId, own) => {
  const answer = await client.post('/v1/challenges', { userId, ...more })
  if (answer.status === 201) own.push(answer.body)
  return answer
}
const withKey = (key: string, more: object): Step => (client, userId) => client.post('/v1/challenges', { userId, ...more }, { 'idempotency-key': `${key}-${userId}` })
const use = (nth: number, act: string, body?: object, key?: string): Step => (client, userId, own) =>
  client.post(`/v1/challenges/${own.at(nth)!.id}/${act}`, body ?? {}, key === undefined ? {} : { 'idempotency-key': `${key}-${userId}` })
const look = (nth: number): Step => (client, _userId, own) => read(client, own.at(nth)!.id)
const wrong = (nth: number) => use(nth, 'verify', { code: '0000000' })
const signIn = { purpose: 'signIn' }

const walk: Array<[at: number, name: string, step: Step]> = [
  [0, 'start', start(signIn)],
  [0, 'start again', start(signIn)],
  [0, 'by its method', async (client, userId, own) => start({ ...signIn, methodId: own[0]!.methodId })(client, userId, own)],
  [0, 'by voice, to the same number', start({ ...signIn, channel: 'voice' })],
  [0, 'for another purpose', start({ purpose: 'stepUp' })],
  [0, 'for a transaction', start({ purpose: 'transaction', context })],
  [0, 'e-mail does not count', start({ ...signIn, channel: 'email' })],
  [0, 'no channel for this', start({ ...signIn, channel: 'totp' })],
  [0, 'recovery by e-mail, which is another bucket', start({ purpose: 'recovery', channel: 'email' })],
  [0, 'recovery by e-mail again', start({ purpose: 'recovery', channel: 'email' })],
  [0, 'recovery by the e-mail\'s method', async (client, userId, own) => start({ purpose: 'recovery', methodId: own[1]!.methodId })(client, userId, own)],
  [0, 'recovery by phone', start({ purpose: 'recovery' })],
  [0, 'a method of nobody', start({ ...signIn, methodId: '0199c0de-0000-7000-8000-00000000dead' })],
  [0, 'the same again, in capitals', start({ ...signIn, methodId: '0199C0DE-0000-7000-8000-00000000DEAD' })],
  [0, 'the e-mail for sign-in', async (client, userId, own) => start({ ...signIn, methodId: own[1]!.methodId })(client, userId, own)],
  [0, 'the phone for an e-mail', async (client, userId, own) => start({ purpose: 'recovery', channel: 'email', methodId: own[0]!.methodId })(client, userId, own)],
  [0, 'to verify what is verified', async (client, userId, own) => start({ purpose: 'verifyContact', methodId: own[0]!.methodId })(client, userId, own)],
  [0, 'to verify nothing', start({ purpose: 'verifyContact' })],
  [2, 'read', look(0)],
  [2, 'no code', use(0, 'verify', { code: '12 34 56' })],
  [2, 'wrong', wrong(0)],
  [2, 'no passkey', use(0, 'verify', { assertion: {} })],
  [2, 'neither', use(0, 'verify')],
  [2, 'wrong, with a key', use(0, 'verify', { code: '1' }, 'wrong')],
  [2, 'read', look(0)],
  [2, 'resend too early', use(0, 'resend')],
  [32, 'resend', use(0, 'resend')],
  [34, 'read', look(0)],
  [34, 'the last wrong one', wrong(0)],
  [34, 'and one more', wrong(0)],
  [34, 'resend what is over', use(0, 'resend')],
  [34, 'cancel what is over', use(0, 'cancel')],
  [34, 'read', look(0)],
  [100, 'start anew', start({ ...signIn, channel: 'voice', clientAddress: '203.0.113.7' })],
  [100, 'with a key', withKey('start', { ...signIn, methodId: '0199c0de-0000-7000-8000-00000000beef' })],
  [100, 'the same', withKey('start', { ...signIn, methodId: '0199c0de-0000-7000-8000-00000000beef' })],
  [100, 'the key for something else', withKey('start', signIn)],
  [230, 'a newer one', start(signIn)],
  [230, 'the older one', look(-2)],
  [230, 'a code for the older one', wrong(-2)],
  [231, 'cancel, with a key', use(-1, 'cancel', {}, 'cancel')],
  [231, 'the same', use(-1, 'cancel', {}, 'cancel')],
  [231, 'cancel again', use(-1, 'cancel')],
  [540, 'resend refused: it was canceled', use(-1, 'resend')],
  [540, 'start', start(signIn)],
  ...Array.from({ length: 5 }, (): [number, string, Step] => [540, 'wrong', wrong(-1)]),
  [540, 'over', wrong(-1)],
  [845, 'start', start({ ...signIn, clientAddress: '2001:db8::1' })],
  [847, 'wrong, of a user who is locked by now', wrong(-1)],
  [845 + 290, 'resend too early', use(-1, 'resend', {}, 'resend')],
  [845 + 302, 'expired', wrong(-1)],
  [845 + 302, 'resend too late', use(-1, 'resend', {}, 'resend')],
  [845 + 302, 'expired', look(-1)],
  [1_500, 'the last for this user', start({ purpose: 'recovery', channel: 'email' })],
  [1_500, 'too many', start(signIn)],
  [1_531, 'also to send again', use(-1, 'resend')],
  [86_400, 'a day later', start(signIn)],
  [86_400, 'the first', look(0)],
]

t.test('an app that may only start challenges is answered alike for everyone, whatever it does', async (t) => {
  const { tenant, blind, petra, user } = await scene()
  await setPolicy(service, tenant, { limits: { userPerHour: 8 } })
  await user('reachable')
  await user('locked')
  await countWrongCodes(service, tenant, 'locked', { inARow: 10, lockedSeconds: 170_000 })
  await user('worn-out').then(({ mobilePhone, alternateEmail }) => countWrongCodes(service, tenant, 'worn-out', { byMethod: { [mobilePhone!]: 50, [alternateEmail!]: 50 } }))
  await user('disabled')
  await petra.put('/v1/users/disabled', { status: 'disabled' })
  for (const methodId of Object.values(await user('without'))) await disable(service, tenant, methodId)
  await pendingMethod(await service.as({ tenant, subject: 'pending' }), { value: '+14155550190' })

  const users = ['reachable', 'unknown', 'locked', 'worn-out', 'disabled', 'without', 'pending']
  const views = users.map(() => viewer())
  const owns = users.map((): Array<Record<string, any>> => [])
  let clock = -1
  for (const [at, name, step] of walk) {
    if (at !== clock) await moveClock(petra, clock = at)
    const answers = await Promise.all(users.map((userId, index) => step(blind, userId, owns[index]!)))
    const [model, ...others] = answers.map((answer, index) => views[index]!(answer))
    others.forEach(({ plain, seconds }, index) => {
      t.strictSame(plain, model!.plain, `${name}: ${users[index + 1]}`)
      t.ok(seconds.every((one, nth) => Math.abs(one - model!.seconds[nth]!) < 5), `${name}: ${seconds.join(', ')}`)
    })
    t.ok(answers[0]!.status < 500, `${name}: ${answers[0]!.status} ${answers[0]!.body.code ?? ''}`)
  }
  const statuses = owns.map((own) => own.length)
  t.equal(new Set(statuses).size, 1)

  const { body: { items } } = await petra.get('/v1/sandbox/messages?limit=200')
  t.strictSame([...new Set<string>(items.map(({ to }: { to: string }) => to))].toSorted(), ['+14155550112', 'reachable@gmail.com'], 'and only one of them got messages')
  const started = (await auditOf(service, tenant, 'action=challenge.started')).filter(({ details }) => details.decoy)
  t.strictSame([...new Set<string>(started.map(({ userId }) => userId as string))].toSorted(), users.toSorted(), 'the audit log knows which they were')
  t.ok(started.some(({ userId }) => userId === 'unknown'))
  const { rows: [paid] } = await service.owner.inTenant(await service.tenantIdOf(tenant), ({ db }) => sql<{ sum: number }>`select sum(sent)::int from send_budgets`.execute(db))
  t.equal(paid!.sum, 8, 'a decoy costs nothing')
})

t.test('however often it is sent again, it ends 15 minutes after its start, to the millisecond, for everyone', async (t) => {
  const { blind, petra, user } = await scene()
  await user('reachable')
  const users = ['reachable', 'unknown']
  const ids = await Promise.all(users.map(async (userId) => (await blind.post('/v1/challenges', { userId, purpose: 'recovery', channel: 'email' })).body.id as string))
  for (const [at, lastsSeconds] of [[31, 631], [92, 692], [213, 813], [514, 900]] as const) {
    await moveClock(petra, at)
    const answers = await Promise.all(ids.map((id) => blind.post(`/v1/challenges/${id}/resend`, {}, { 'idempotency-key': `${at}-${id}` })))
    for (const { status, body } of answers) {
      t.equal(status, 200)
      const lastedMs = Date.parse(body.expiresAt) - Date.parse(body.createdAt)
      if (at === 514) t.equal(lastedMs, lastsSeconds * 1000)
      else t.ok(Math.abs(lastedMs / 1000 - lastsSeconds) < 10)
    }
    t.equal(answers[0]!.body.sendsRemaining, answers[1]!.body.sendsRemaining)
  }
})

t.test('the truth for those who may look: apps that read users, methods or what sign-in takes, and the help desk', async (t) => {
  const { tenant, app, petra, user, blind } = await scene()
  await user('locked')
  await countWrongCodes(service, tenant, 'locked', { inARow: 10, lockedSeconds: 900 })
  await user('disabled')
  await petra.put('/v1/users/disabled', { status: 'disabled' })
  await (await service.as({ tenant, subject: 'empty' })).get('/v1/users/me')
  const told = async (client: Client, more: object) => Promise.all(['unknown', 'empty', 'disabled', 'locked'].map(async (userId) => {
    const { status, body } = await client.post('/v1/challenges', { userId, ...more })
    return [status, body.code]
  }))
  const truth = [[404, 'not_found'], [409, 'no_usable_method'], [409, 'no_usable_method'], [423, 'user_locked']]
  for (const scope of ['sign-in:read', 'users:read', 'contact-methods:read'] as const) {
    const seeing = await app('vpn', 'challenges:write', scope)
    t.strictSame(await told(seeing, signIn), truth, scope)
    const { body, headers } = await seeing.post('/v1/challenges', { userId: 'locked', ...signIn })
    t.ok(body.retryAfterSeconds > 880 && body.retryAfterSeconds <= 900, 'and for how long')
    t.notOk('retry-after' in headers, 'which no client should wait for by itself')
  }
  const hans = await service.as({ tenant, subject: 'hans', roles: ['helpdesk'] })
  t.strictSame(await told(hans, { purpose: 'callerCheck' }), [...truth.slice(0, 3), [201, undefined]], 'a caller check is not locked')
  t.strictSame(await told(blind, signIn), [...[201, 201, 201].map((status) => [status, undefined]), [429, 'send_limited']], 'the last one has just got that of the help desk')
})

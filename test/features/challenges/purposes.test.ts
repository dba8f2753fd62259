import t from 'tap'
import { channels, methodKinds, purposes, type Channel, type MethodKind, type Purpose, type Role, type Scope } from '../../../src/vocabulary.ts'
import { disable, isRefused, setPolicy } from '../../support/answers.ts'
import { messagesOf, pendingMethod } from '../../support/challenges.ts'
import { someone } from '../../support/people.ts'
import { moveClock, testService, type Answer, type Client } from '../../support/service.ts'

const service = await testService(t)
/** A tenant with those who may start something, and as many users as a test needs, each with numbers of their own. */
async function scene () {
  const tenant = await service.tenant()
  const as = (subject: string, ...roles: Role[]) => service.as({ tenant, subject, roles })
  const app = (subject: string, ...scopes: Scope[]) => service.as({ tenant, subject, kind: 'app', scopes })
  const petra = await as('petra', 'privilegedAdmin')
  return {
    tenant, as, app, petra, hans: await as('hans', 'helpdesk'),
    payroll: await app('payroll', 'challenges:write', 'sign-in:read', 'users:write'),
    user: async (having: readonly MethodKind[] = methodKinds, { privileged = false } = {}) => {
      const user = await someone(service, tenant, having)
      if (privileged) await petra.put(`/v1/users/${user.userId}`, { privileged })
      return user
    },
  }
}

const context = { display: 'Pay 20 USD' }
const start = (client: Client, purpose: Purpose, more: Record<string, unknown>): Promise<Answer> =>
  client.post('/v1/challenges', { purpose, ...(purpose === 'transaction' && { context }), ...more })

t.test('who may start which purpose, for themself and for others', async (t) => {
  const { as, app, hans, petra, payroll, user } = await scene()
  const none = await app('reader-app', 'users:read', 'sign-in:read')
  /** `201`, or the code and the rule of the refusal; in the order of the callers below. */
  const table: Record<Purpose, string[]> = {
    verifyContact: ['201', 'not_found', '201', 'not_found', 'not_found', 'not_found', 'not_found'],
    signIn: ['forbidden purpose', 'not_found', '201', 'not_found', 'not_found', 'not_found', 'not_found'],
    stepUp: ['201', 'not_found', '201', 'not_found', 'not_found', 'not_found', 'not_found'],
    recovery: ['201', 'not_found', '201', 'not_found', 'not_found', 'not_found', 'not_found'],
    callerCheck: ['forbidden role', 'forbidden role', 'forbidden scope', 'forbidden scope', '201', '201', 'forbidden role'],
    transaction: ['forbidden purpose', 'not_found', '201', 'not_found', 'not_found', 'not_found', 'not_found'],
  }
  for (const purpose of purposes) {
    const told: string[] = []
    for (const caller of ['themself', await as('bob'), payroll, none, hans, petra, await as('pia', 'reader', 'policyAdmin', 'auditor')]) {
      const { userId } = await user(['mobilePhone'])
      const self = await as(userId)
      const methodId = purpose === 'verifyContact' ? await pendingMethod(self, { kind: 'alternateEmail', value: `x-${userId}@example.org` }) : undefined
      const { status, body } = await start(caller === 'themself' ? self : caller as Client, purpose, { userId: caller === 'themself' ? 'me' : userId, ...(methodId && { methodId }) })
      told.push(status === 201 ? '201' : [body.code, body.rule].filter(Boolean).join(' '))
      if (status === 201) t.match(body, { status: 'pending', purpose, attemptsRemaining: 5 })
    }
    t.strictSame(told, table[purpose], purpose)
  }
})

t.test('an administrator\'s role gives no more over oneself, and a token\'s scopes limit its roles', async (t) => {
  const { tenant, user, hans } = await scene()
  const { userId } = await user(['mobilePhone'])
  const helper = await service.as({ tenant, subject: userId, roles: ['helpdesk', 'privilegedAdmin'] })
  for (const id of ['me', userId]) isRefused(t, await start(helper, 'callerCheck', { userId: id }), 'forbidden', { rule: 'self_administration' })
  isRefused(t, await start(helper, 'signIn', { userId: 'me' }), 'forbidden', { rule: 'purpose' })
  t.equal((await start(helper, 'stepUp', { userId })).status, 201, 'their own id is as good as me')

  const { userId: other } = await user(['mobilePhone'])
  const limited = (scope: Scope, roles: Role[] = []) => service.as({ tenant, subject: other, roles, scopes: [scope] })
  isRefused(t, await start(await limited('users:read'), 'stepUp', { userId: 'me' }), 'forbidden', { rule: 'scope' })
  t.equal((await start(await limited('challenges:write'), 'stepUp', { userId: 'me' })).status, 201)
  isRefused(t, await start(await service.as({ tenant, subject: 'hanna', roles: ['helpdesk'], scopes: ['challenges:write'] }), 'callerCheck', { userId: other }), 'forbidden', { rule: 'role' })
  isRefused(t, await start(hans, 'callerCheck', { userId: 'nobody' }), 'not_found')
})

t.test('a caller check of a privileged user is for a privileged administrator, with no second approver; apps sign them in', async (t) => {
  const { hans, petra, payroll, user } = await scene()
  const { userId } = await user(['mobilePhone', 'alternatePhone'], { privileged: true })
  isRefused(t, await start(hans, 'callerCheck', { userId }), 'forbidden', { rule: 'privileged_target' })
  const [checked, signedIn] = [await start(petra, 'callerCheck', { userId }), await start(payroll, 'signIn', { userId, channel: 'voice' })]
  t.equal(checked.status, 201)
  isRefused(t, signedIn, 'send_limited', {}, 'the number has just been called')
  t.notOk(signedIn.body.challengeId, 'and another\'s challenge is not named')
  t.equal((await start(payroll, 'signIn', { userId, methodId: (await user(['mobilePhone'])).ids.mobilePhone })).body.code, 'not_found', 'another user\'s method')
})

/** What these may go over as well; nobody here has a pass. */
const takePass: readonly Purpose[] = ['signIn', 'stepUp', 'recovery']
const allowed: Record<Purpose, readonly Channel[]> = {
  verifyContact: ['sms', 'voice', 'email'], signIn: ['sms', 'voice'], stepUp: ['sms', 'voice'], recovery: ['sms', 'voice', 'email'],
  callerCheck: ['sms', 'voice', 'email'], transaction: ['sms', 'voice'],
}

t.test('every purpose over every channel: what the contract names works, all else is 422 and counts nothing', async (t) => {
  const { as, hans, payroll, user } = await scene()
  const { userId: unlucky } = await user()
  for (const purpose of purposes) {
    const starter = purpose === 'callerCheck' ? hans : payroll
    for (const channel of channels) {
      const fits = allowed[purpose].includes(channel)
      const { userId } = fits && purpose !== 'verifyContact' ? await user() : { userId: unlucky }
      const input = { userId, channel }
      if (purpose === 'verifyContact') {
        const newcomer = await as(`new-${channel}`)
        const value = channel === 'email' ? 'new@example.org' : channel === 'sms' ? '+14155550111' : '+14155550112'
        Object.assign(input, { userId: `new-${channel}`, methodId: await pendingMethod(newcomer, { kind: channel === 'email' ? 'alternateEmail' : 'mobilePhone', value }) })
      }
      const answer = await start(starter, purpose, input)
      if (fits) t.match(answer, { status: 201, body: { purpose, channel } }, `${purpose} by ${channel}`)
      else isRefused(t, answer, channel === 'temporaryAccessPass' && takePass.includes(purpose) ? 'no_usable_method' : 'channel_not_available', {}, `${purpose} by ${channel}`)
    }
  }
  t.match((await start(payroll, 'signIn', { userId: unlucky })).body, { sendsRemaining: 4 }, 'nothing was counted')
  isRefused(t, await start(payroll, 'signIn', { userId: unlucky, channel: 'pigeon' }), 'validation_failed', { pointer: '/channel' })
})

t.test('an e-mail signs in and steps up only where the policy counts it, and approves no transaction even then', async (t) => {
  const { tenant, payroll, user } = await scene()
  const { userId, ids } = await user(['alternateEmail'])
  for (const purpose of ['signIn', 'stepUp'] as const) {
    isRefused(t, await start(payroll, purpose, { userId }), 'no_usable_method')
    for (const more of [{ channel: 'email' }, { methodId: ids.alternateEmail }]) isRefused(t, await start(payroll, purpose, { userId, ...more }), 'channel_not_available')
  }
  await setPolicy(service, tenant, { emailCounts: true })
  for (const purpose of ['signIn', 'stepUp'] as const) {
    const { userId: counted } = await user(['alternateEmail'])
    t.match(await start(payroll, purpose, { userId: counted }), { status: 201, body: { channel: 'email' } })
  }
  isRefused(t, await start(payroll, 'transaction', { userId }), 'no_usable_method')
  isRefused(t, await start(payroll, 'transaction', { userId, methodId: ids.alternateEmail }), 'channel_not_available')
})

t.test('recovery goes over what the policy accepts as a proof of registration, and over nothing else', async (t) => {
  const { tenant, payroll, user } = await scene()
  const cases: Array<[string[], Channel[], string | undefined]> = [
    [['phone'], ['sms', 'voice'], 'sms'], [['alternateEmail', 'temporaryAccessPass'], ['email'], 'email'], [['recoveryCode'], [], undefined],
  ]
  for (const [proofs, open, first] of cases) {
    await setPolicy(service, tenant, { registration: { proofs } })
    for (const channel of channels) {
      const answer = await start(payroll, 'recovery', { userId: (await user(open.includes(channel) ? methodKinds : [])).userId, channel })
      if (open.includes(channel)) t.match(answer, { status: 201, body: { channel } }, `${proofs.join()} by ${channel}`)
      else isRefused(t, answer, channel === 'temporaryAccessPass' && proofs.includes(channel) ? 'no_usable_method' : 'channel_not_available', {}, `${proofs.join()} by ${channel}`)
    }
    const answer = await start(payroll, 'recovery', { userId: (await user()).userId })
    if (first === undefined) isRefused(t, answer, 'channel_not_available')
    else t.match(answer, { status: 201, body: { channel: first } })
  }
  t.equal((await start(payroll, 'signIn', { userId: (await user()).userId })).status, 201, 'other purposes do not ask for it')
})

t.test('without a method the default one is meant, by its own channel; with a channel the first usable one that has it', async (t) => {
  const { tenant, as, hans, payroll, user } = await scene()
  const chosen = async (purpose: Purpose, { userId, ids }: { userId: string, ids: Record<string, string> }, more: object = {}) => {
    const { body } = await start(purpose === 'callerCheck' ? hans : payroll, purpose, { userId, ...more })
    return [Object.keys(ids).find((kind) => ids[kind] === body.methodId) ?? body.code, body.channel]
  }
  t.strictSame(await chosen('signIn', await user()), ['mobilePhone', 'sms'])
  t.strictSame(await chosen('callerCheck', await user(), { channel: 'voice' }), ['mobilePhone', 'voice'])
  t.strictSame(await chosen('callerCheck', await user(), { channel: 'email' }), ['alternateEmail', 'email'])
  t.strictSame(await chosen('recovery', await user(), { channel: 'email' }), ['alternateEmail', 'email'])
  t.strictSame(await chosen('recovery', await user(['alternateEmail'])), ['alternateEmail', 'email'])
  t.strictSame(await chosen('signIn', await user(['officePhone'])), ['officePhone', 'voice'])
  t.strictSame(await chosen('signIn', await user(['officePhone']), { channel: 'sms' }), ['channel_not_available', undefined])
  t.strictSame(await chosen('signIn', await user(['officePhone', 'alternatePhone'])), ['alternatePhone', 'sms'], 'where no default is set, the policy\'s order')

  const set = async (kind: MethodKind, channel: Channel) => {
    const whoever = await user()
    t.equal((await (await as(whoever.userId)).put('/v1/users/me/default-method', { methodId: whoever.ids[kind], channel })).status, 200)
    return whoever
  }
  t.strictSame(await chosen('signIn', await set('alternatePhone', 'voice')), ['alternatePhone', 'voice'])
  t.strictSame(await chosen('signIn', await set('alternatePhone', 'voice'), { channel: 'sms' }), ['alternatePhone', 'sms'], 'the default has that, too')
  t.strictSame(await chosen('signIn', await set('officePhone', 'voice'), { channel: 'sms' }), ['mobilePhone', 'sms'])
  await setPolicy(service, tenant, { order: ['alternatePhone', 'officePhone', 'mobilePhone'] })
  t.strictSame(await chosen('signIn', await set('officePhone', 'voice'), { channel: 'sms' }), ['alternatePhone', 'sms'])
  const ordered = await user()
  t.strictSame(await chosen('signIn', ordered, { methodId: ordered.ids.officePhone }), ['officePhone', 'voice'], 'a method by its id')
})

t.test('a method that is pending, disabled or gone, and a user without one or who is disabled', async (t) => {
  const { tenant, as, petra, payroll, user } = await scene()
  const { userId, ids } = await user(['mobilePhone'])
  const pending = await pendingMethod(await as(userId), { kind: 'alternatePhone', value: '+14155550111' })
  isRefused(t, await start(payroll, 'signIn', { userId, methodId: pending }), 'method_not_usable')
  isRefused(t, await start(payroll, 'verifyContact', { userId, methodId: ids.mobilePhone }), 'method_not_usable', {}, 'nothing of it waits')
  await moveClock(petra, 86_401)
  isRefused(t, await start(payroll, 'signIn', { userId, methodId: pending }), 'not_found', {}, 'nobody verified it in time')
  isRefused(t, await start(payroll, 'verifyContact', { userId, methodId: pending }), 'not_found')
  await moveClock(petra, 0)
  await disable(service, tenant, ids.mobilePhone)
  isRefused(t, await start(payroll, 'signIn', { userId, methodId: ids.mobilePhone }), 'method_not_usable')
  for (const more of [{}, { channel: 'sms' }]) isRefused(t, await start(payroll, 'signIn', { userId, ...more }), 'no_usable_method', {}, 'a pending one and a disabled one')
  isRefused(t, await start(payroll, 'recovery', { userId: (await user([])).userId }), 'no_usable_method')
  isRefused(t, await start(payroll, 'signIn', { userId, methodId: crypto.randomUUID() }), 'not_found')
  isRefused(t, await start(payroll, 'signIn', { userId: 'nobody' }), 'not_found')

  const { userId: leaving } = await user()
  await petra.put(`/v1/users/${leaving}`, { status: 'disabled' })
  isRefused(t, await start(payroll, 'signIn', { userId: leaving }), 'no_usable_method')
  await service.owner.inTenant(await service.tenantIdOf(tenant), ({ db, tenantId }) => db.updateTable('users').set({ status: 'offboarded' }).where('tenant_id', '=', tenantId).where('user_id', '=', leaving).execute())
  isRefused(t, await start(payroll, 'signIn', { userId: leaving }), 'user_offboarded')
})

t.test('what the policy forbids since then is not used any more, and not sent to again', async (t) => {
  const { tenant, as, hans, petra, payroll, user } = await scene()
  const ann = await user()
  const pending = await pendingMethod(await as('new'), { value: '+14155550111' })
  const ordinary = await user(['mobilePhone'])
  const privileged = await user(['mobilePhone', 'alternateEmail'], { privileged: true })
  const running = (await start(payroll, 'stepUp', { userId: ann.userId })).body
  await moveClock(petra, 31)
  await t.test('phones off', async (t) => {
    await setPolicy(service, tenant, { phone: 'off', registration: { required: [] } })
    isRefused(t, await start(payroll, 'signIn', { userId: ann.userId, channel: 'sms' }), 'channel_not_available')
    isRefused(t, await start(payroll, 'signIn', { userId: ann.userId, methodId: ann.ids.mobilePhone }), 'channel_not_available')
    isRefused(t, await start(payroll, 'verifyContact', { userId: 'new', methodId: pending }), 'channel_not_available', { rule: 'policy.phone' })
    isRefused(t, await payroll.post(`/v1/challenges/${running.id}/resend`), 'channel_not_available', { rule: 'policy.phone' })
    t.match(await start(hans, 'callerCheck', { userId: ann.userId }), { status: 201, body: { channel: 'email' } }, 'the e-mail is left')
  })
  await t.test('phones for nobody who is privileged', async (t) => {
    await setPolicy(service, tenant, { phone: 'notForPrivileged' })
    isRefused(t, await start(payroll, 'signIn', { userId: privileged.userId }), 'no_usable_method')
    isRefused(t, await start(payroll, 'signIn', { userId: privileged.userId, methodId: privileged.ids.mobilePhone }), 'channel_not_available', { rule: 'policy.phone' })
    isRefused(t, await start(payroll, 'recovery', { userId: privileged.userId, channel: 'voice' }), 'channel_not_available')
    t.match(await start(payroll, 'recovery', { userId: privileged.userId }), { status: 201, body: { channel: 'email' } })
    t.match(await start(payroll, 'signIn', { userId: ordinary.userId }), { status: 201, body: { channel: 'sms' } })
  })
  await t.test('numbers of another country only', async (t) => {
    await setPolicy(service, tenant, { phone: 'allowed', countries: ['CA'] })
    isRefused(t, await start(payroll, 'signIn', { userId: ann.userId }), 'no_usable_method')
    isRefused(t, await start(payroll, 'signIn', { userId: ann.userId, methodId: ann.ids.mobilePhone }), 'phone_number_not_allowed')
    isRefused(t, await start(payroll, 'verifyContact', { userId: 'new', methodId: pending }), 'phone_number_not_allowed')
    isRefused(t, await payroll.post(`/v1/challenges/${running.id}/resend`), 'phone_number_not_allowed')
    await setPolicy(service, tenant, { countries: ['CA', 'US'] })
    t.equal((await payroll.post(`/v1/challenges/${running.id}/resend`)).status, 200, 'and where it is allowed again, it goes out')
  })
})

t.test('every message names the app and the purpose; all but that of a caller check say that no one will ask for the code', async (t) => {
  const { as, hans, payroll, user } = await scene()
  const texts: Array<[Purpose, RegExp]> = [
    ['signIn', /^Test Ltd, payroll: (\d{6}) is your code to sign in\. It is good for 5 minutes\. No one will ask you for this code\.$/],
    ['stepUp', /^Test Ltd, payroll: (\d{6}) is your code to confirm that it is you\. .* No one will ask you for this code\.$/],
    ['recovery', /^Test Ltd, payroll: (\d{6}) is your code to recover your access\. .* No one will ask you for this code\.$/],
    ['transaction', /^Test Ltd, payroll: (\d{6}) is your code to approve: Pay 20 USD\. .* No one will ask you for this code\.$/],
    ['callerCheck', /^Test Ltd: (\d{6}) is your code to confirm to the help desk that it is you\. .* Tell it only to the help desk that you are speaking to now\.$/],
  ]
  const tell = async (starter: Client, purpose: Purpose, userId: string, more: object = {}) => (await messagesOf(starter, (await start(starter, purpose, { userId, ...more })).body.id))[0]!
  for (const [purpose, text] of texts) {
    const message = await tell(purpose === 'callerCheck' ? hans : payroll, purpose, (await user(['mobilePhone'])).userId)
    t.equal(text.exec(message.body)?.[1], message.code, message.body)
  }
  const { userId } = await user(['mobilePhone'])
  t.match((await tell(await as(userId), 'stepUp', 'me')).body, /^Test Ltd: \d{6} is your code to confirm that it is you\. /, 'a person has no app')
  t.match((await tell(payroll, 'signIn', (await user(['mobilePhone'])).userId, { context: { display: 'Printer in room 7' } })).body, / is your code to sign in: Printer in room 7\. /)
  const spoken = await tell(payroll, 'transaction', (await user(['officePhone'])).userId)
  t.ok(spoken.body.includes(`${[...spoken.code as string].join(' ')} is your code to approve: Pay 20 USD`))
  const mailed = await tell(payroll, 'recovery', (await user(['alternateEmail'])).userId)
  t.match(mailed, { subject: 'Test Ltd, payroll: your code', body: /good for 10 minutes/ })
})

t.test('a context is what an app asks to approve: needed for a transaction, one line of 80 characters, 2 KiB in all', async (t) => {
  const { as, hans, payroll, user } = await scene()
  const { userId } = await user(['mobilePhone'])
  const transaction = (given?: unknown) => payroll.post('/v1/challenges', { userId, purpose: 'transaction', ...(given !== undefined && { context: given }) })
  isRefused(t, await transaction(), 'validation_failed', { pointer: '/context' }, 'without one')
  const bytes = (size: number) => { const data = { note: '' }; data.note = 'x'.repeat(size - JSON.stringify({ display: 'x', data }).length); return { display: 'x', data } }
  const wrong: Array<[unknown, string]> = [
    [null, '/context'], ['Pay', '/context'], [[], '/context'], [{}, '/context/display'], [{ data: {} }, '/context/display'], [{ display: '' }, '/context/display'], [{ display: 7 }, '/context/display'],
    [{ display: 'x'.repeat(81) }, '/context/display'], [{ display: '💶'.repeat(81) }, '/context/display'], [{ display: 'x', data: [] }, '/context/data'], [{ display: 'x', data: 'y' }, '/context/data'],
    [{ display: 'x', amount: 1 }, '/context/amount'], [bytes(2049), '/context'], [{ display: 'x', data: { text: 'ü'.repeat(1020) } }, '/context'],
    ...['a\nb', 'a\rb', 'a\tb', 'a\u001bb', 'a\u0085b', 'a\u2028b', 'a\u202eb', 'a\u2066b'].map((display): [unknown, string] => [{ display }, '/context/display']),
  ]
  for (const [given, pointer] of wrong) isRefused(t, await transaction(given), 'validation_failed', { pointer }, encodeURI(JSON.stringify(given)).slice(0, 60))
  isRefused(t, await payroll.post('/v1/challenges', { userId: 'new', purpose: 'verifyContact', methodId: await pendingMethod(await as('new'), { value: '+14155550111' }), context }), 'validation_failed', { pointer: '/context' })
  isRefused(t, await start(await as(userId), 'stepUp', { userId: 'me', context }), 'validation_failed', { pointer: '/context' }, 'a person approves nothing of an app\'s')
  isRefused(t, await start(hans, 'callerCheck', { userId, context }), 'validation_failed', { pointer: '/context' })

  const longest = '💶'.repeat(80)
  for (const given of [bytes(2048), { display: longest, data: { nested: [{ a: null }] } }, { display: 'Ünïcødé "x" \\ <b>' }]) {
    const { userId: payer } = await user(['mobilePhone'])
    const answer = await payroll.post('/v1/challenges', { userId: payer, purpose: 'transaction', context: given })
    t.equal(answer.status, 201, answer.text)
    t.notOk(answer.text.includes(given.display.slice(0, 5)) && given.display.length > 1, 'it is not in the answer')
    t.ok((await messagesOf(payroll, answer.body.id))[0]!.body.includes(`approve: ${given.display}.`))
  }
})

import t from 'tap'
import { auditOf, setPolicy } from '../../support/answers.ts'
import { cancel, read, resend, verify } from '../../support/challenges.ts'
import { v7, viewer } from '../../support/decoys.ts'
import { byPass, issued, otherValue } from '../../support/passes.ts'
import { registered } from '../../support/proofs.ts'
import { moveClock, testService, type Answer, type Client } from '../../support/service.ts'

const service = await testService(t)

async function scene () {
  const tenant = await service.tenant()
  const petra = await service.as({ tenant, subject: 'petra', roles: ['privilegedAdmin'] })
  const hans = await service.as({ tenant, subject: 'hans', roles: ['helpdesk'] })
  for (const userId of ['ann', 'used', 'gone', 'late', 'without', 'disabled']) await registered(service, tenant, userId, ['mobilePhone'])
  return { tenant, petra, hans, blind: await service.as({ tenant, subject: 'payroll', kind: 'app', scopes: ['challenges:write'] }) }
}

type Own = Array<Record<string, any>>
type Step = (client: Client, userId: string, own: Own) => Promise<Answer>
const start = (more: object = {}): Step => async (client, userId, own) => {
  const answer = await byPass(client, userId, more)
  if (answer.status === 201) own.push(answer.body as Own[number])
  return answer
}
const last = (act: (client: Client, id: string) => Promise<Answer>): Step => (client, _userId, own) => act(client, own.at(-1)!.id)
const wrong = last((client, id) => verify(client, id, '7KQ2-MX9R-TB4W'))

/** Everything that a caller may try, the pass of `ann` worn out on the way. */
const walk: Array<[string, Step]> = [
  ['start', start()], ['read', last(read)], ['resend', last(resend)], ['no passkey', last((client, id) => client.post(`/v1/challenges/${id}/verify`, { assertion: {} }))],
  ['wrong', wrong], ['not even its letters', last((client, id) => verify(client, id, '§ 7'))], ['read', last(read)],
  ['start again, which takes its place', start()], ['by its id', async (client, userId, own) => start({ methodId: own[0]!.methodId })(client, userId, own)],
  ['by its id alone', async (client, userId, own) => start({ methodId: own[0]!.methodId, channel: undefined })(client, userId, own)],
  ['for sign-in', start({ purpose: 'signIn' })], ['for a step-up', start({ purpose: 'stepUp', clientAddress: '203.0.113.7' })],
  ['by the id of nobody', start({ methodId: '0199c0de-0000-7000-8000-00000000dead' })], ['the same', wrong],
  ['for a transaction', start({ purpose: 'transaction', context: { display: 'x' } })],
  ['anew', start()], ...Array.from({ length: 5 }, (): [string, Step] => ['wrong', wrong]), ['and once more', wrong], ['read', last(read)], ['resend', last(resend)],
  ['anew', start()], ['wrong', wrong], ['cancel', last(cancel)], ['cancel', last(cancel)], ['read', last(read)],
]

t.test('an app that may not know is answered alike, whether there is a pass or not', async (t) => {
  const { petra, hans, blind, tenant } = await scene()
  const pass = await issued(hans, 'ann')
  const used = await issued(hans, 'used')
  const seeing = await service.as({ tenant, subject: 'vpn', kind: 'app', scopes: ['challenges:write', 'sign-in:read'] })
  t.equal((await verify(seeing, (await byPass(seeing, 'used')).body.id, used.value)).status, 200)
  await hans.delete(`/v1/users/gone/authenticators/${(await issued(hans, 'gone')).authenticatorId}`)
  await issued(hans, 'late', { startsAt: new Date(Date.now() + 86_400_000).toISOString() })
  await petra.put('/v1/users/disabled', { status: 'disabled' })

  const users = ['ann', 'used', 'gone', 'late', 'without', 'disabled', 'unknown']
  const views = users.map(() => viewer())
  const owns = users.map((): Own => [])
  for (const [name, step] of walk) {
    const answers = await Promise.all(users.map((userId, index) => step(blind, userId, owns[index]!)))
    t.ok(answers[0]!.status < 500, `${name}: ${answers[0]!.status} ${answers[0]!.body.code ?? ''}`)
    const [model, ...others] = answers.map((answer, index) => views[index]!(answer))
    others.forEach(({ plain }, index) => { t.strictSame(plain, model!.plain, `${name}: ${users[index + 1]}`) })
  }
  t.equal(new Set(owns.map((own) => own.length)).size, 1)
  for (const own of owns) {
    t.match(own[0], { methodId: v7, destination: null, delivery: null, codeLength: null, channel: 'temporaryAccessPass' })
    t.not(own[0]!.methodId, pass.authenticatorId)
  }
  t.equal(new Set(owns.map((own) => own[0]!.methodId as string)).size, users.length, 'each user has an id of their own')
  t.match(await auditOf(service, tenant, 'action=pass.voided&userId=ann'), [{ details: { reason: 'wrongCodes' } }], 'while the pass was worn out')
  t.ok((await auditOf(service, tenant, 'action=challenge.started&userId=unknown')).every(({ details }) => details.decoy === true))
})

t.test('the right value is right for it, and a pass that ends meanwhile makes it wrong', async (t) => {
  const { hans, petra, blind } = await scene()
  const pass = await issued(hans, 'ann', { oneTime: false })
  const { body: first } = await byPass(blind, 'ann')
  t.match((await verify(blind, first.id, otherValue(pass.value))).body, { code: 'wrong_code', attemptsRemaining: 4 })
  t.equal((await verify(blind, first.id, pass.value)).status, 200)
  t.match((await read(blind, first.id)).body, { status: 'approved', methodId: first.methodId, delivery: null })
  const { body: second } = await byPass(blind, 'ann', { purpose: 'signIn' })
  await moveClock(petra, 290)
  await byPass(blind, 'ann', { purpose: 'signIn' })
  t.match((await read(blind, second.id)).body, { status: 'canceled' })
  await moveClock(petra, 3_601)
  const { body: late } = await byPass(blind, 'ann')
  t.match((await verify(blind, late.id, pass.value)).body, { code: 'wrong_code', attemptsRemaining: 4 })
  t.equal(late.methodId, first.methodId)
})

t.test('without a channel a pass is not told to who may not know, unless nothing else is left to recover with', async (t) => {
  const { tenant, hans, blind } = await scene()
  await (await service.as({ tenant, subject: 'bare' })).get('/v1/users/me')
  await issued(hans, 'bare')
  for (const userId of ['bare', 'without', 'unknown']) t.match((await blind.post('/v1/challenges', { userId, purpose: 'recovery' })).body, { channel: 'sms' }, userId)
  await setPolicy(service, tenant, { registration: { proofs: ['temporaryAccessPass'] } })
  for (const userId of ['bare', 'without', 'unknown']) t.match((await blind.post('/v1/challenges', { userId, purpose: 'recovery' })).body, { channel: 'temporaryAccessPass' }, userId)
})

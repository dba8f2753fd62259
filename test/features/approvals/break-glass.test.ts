import t from 'tap'
import { withBoss } from '../../support/approvals.ts'
import { approved, auditOf, isRefused } from '../../support/answers.ts'
import { toldBy } from '../../support/notices.ts'
import { moveClock, testService, verifiedMethod, type Client } from '../../support/service.ts'

const service = await testService(t)
const pass = '/v1/users/boss/authenticators/temporary-access-pass'
const daySeconds = 86_400

/** Which addresses hear of an emergency when `work` is done, in their order. */
const told = async (client: Client, work: () => Promise<unknown>): Promise<string[]> =>
  (await toldBy(client, work)).filter(({ body }) => /the account of user boss without a second approver/.test(body)).map(({ to }) => to).toSorted()

t.test('breakGlass does without the approver, once in 24 hours for each administrator, and the log says so', async (t) => {
  const { tenant, petra, paul } = await withBoss(service)
  t.match(await petra.post(pass, { breakGlass: true }), { status: 201, body: { value: String } })
  isRefused(t, await petra.post(pass, { breakGlass: true }), 'forbidden', { rule: 'break_glass' })
  t.match(await petra.post(pass), { status: 202 }, 'and waits without it')
  t.equal((await paul.post(pass, { breakGlass: true })).status, 201, 'each has their own')
  t.match(await auditOf(service, tenant, 'action=breakGlass.used'), [{ actor: { id: 'paul' }, userId: 'boss' }, { actor: { id: 'petra' }, userId: 'boss' }])
  t.match(await auditOf(service, tenant, 'action=approvals.approve'), [{ outcome: 'refused', actor: { id: 'petra' }, userId: 'boss', details: { rule: 'break_glass' } }])
  await moveClock(petra, daySeconds - 60)
  isRefused(t, await petra.post(pass, { breakGlass: true }), 'forbidden', { rule: 'break_glass' }, 'not within 24 hours')
  await moveClock(petra, daySeconds)
  t.equal((await petra.post(pass, { breakGlass: true })).status, 201)
})

t.test('of many at once exactly one goes through', async (t) => {
  const { petra } = await withBoss(service)
  const answers = await Promise.all(Array.from({ length: 6 }, () => petra.post(pass, { breakGlass: true })))
  t.same(answers.map(({ status }) => status).toSorted((a, b) => a - b), [201, 403, 403, 403, 403, 403])
})

t.test('where the policy forbids it, and for the help desk, there is none; what was refused takes nothing of it', async (t) => {
  const { tenant, petra, pia, as } = await withBoss(service)
  await pia.patch('/v1/policy', { breakGlass: false })
  isRefused(t, await petra.post(pass, { breakGlass: true }), 'forbidden', { rule: 'break_glass' })
  isRefused(t, await (await as('hans', 'helpdesk')).post(pass, { breakGlass: true }), 'forbidden', { rule: 'privileged_target' })
  isRefused(t, await petra.post('/v1/users/petra/authenticators/temporary-access-pass', { breakGlass: true }), 'forbidden', { rule: 'self_administration' })
  await approved(service, tenant, await pia.patch('/v1/policy', { breakGlass: true }))
  isRefused(t, await petra.post(pass, { breakGlass: true, lifetimeMinutes: 481 }), 'policy_out_of_bounds')
  const stale = await service.as({ tenant, subject: 'petra', roles: ['privilegedAdmin'], authSecondsAgo: 700 })
  isRefused(t, await stale.post(pass, { breakGlass: true }), 'insufficient_user_authentication')
  t.equal((await petra.post(pass, { breakGlass: true })).status, 201)
})

t.test('everyone who used the role privilegedAdmin in the last 90 days and the security contact are told at once', async (t) => {
  const { tenant, as, petra, pia } = await withBoss(service)
  await approved(service, tenant, await pia.patch('/v1/organization', { securityContact: { email: 'security@example.org' } }))
  const person = async (subject: string, value: string) => { await verifiedMethod(await as(subject), { kind: 'alternateEmail', value }) }
  for (const [subject, value] of [['petra', 'petra@example.org'], ['paul', 'paul@example.org'], ['old', 'old@example.org'], ['pia', 'pia@example.org'], ['ann', 'ann@example.org']] as const) await person(subject, value)
  for (const subject of ['old', 'paul']) await (await as(subject, 'privilegedAdmin')).get('/v1/users/me')
  const everyone = ['old@example.org', 'paul@example.org', 'petra@example.org', 'security@example.org']
  const breakGlass = async () => t.equal((await petra.post(pass, { breakGlass: true })).status, 201)
  t.same(await told(petra, breakGlass), everyone)

  await moveClock(petra, 89 * daySeconds)
  await (await as('paul', 'privilegedAdmin')).get('/v1/users/boss/contact-methods') // a hot read is a use as well
  t.same(await told(petra, breakGlass), everyone, 'on the 89th day those of the first are told')
  await moveClock(petra, 91 * daySeconds)
  t.same(await told(petra, breakGlass), everyone.filter((address) => !address.startsWith('old')), 'on the 91st not who has not used it since')
})

import t, { type Test } from 'tap'
import { approved, auditOf, isRefused } from '../support/answers.ts'
import { testKeyRingText } from '../support/keys.ts'
import { noticesIn } from '../support/notices.ts'
import { run } from '../support/process.ts'
import { testService, verifiedMethod } from '../support/service.ts'
import { asSuperuser } from '../support/superuser.ts'

const service = await testService(t)
const env = { DATABASE_URL: service.database.ownerUrl, KEY_RING: testKeyRingText }
const ops = (t: Test, ...words: string[]) => run(t, ['src/ops/main.ts', 'pass', ...words], env)

t.test('the operator\'s pass is printed once, serves as a pass, and is audited and told', async (t) => {
  const tenant = await service.tenant()
  const ann = await service.as({ tenant, subject: 'ann' })
  await verifiedMethod(ann, { kind: 'alternateEmail', value: 'ann@example.org' })
  await approved(service, tenant, await (await service.as({ tenant, subject: 'pia', roles: ['policyAdmin'] })).patch('/v1/organization', { securityContact: { email: 'security@example.org' } }))
  const before = (await noticesIn(ann)).length

  const { code, answer, output } = await ops(t, tenant, 'ann')
  t.equal(code, 0, output)
  const value = answer.trim()
  t.match(value, /^\S{8,48}$/)
  t.equal(output.split(value).length, 2, 'on standard output, once')
  t.match(output, /^Secret: whoever has it can register as ann until /m)
  t.match((await noticesIn(ann)).slice(before).map(({ to }) => to).toSorted(), ['ann@example.org', 'security@example.org'])
  const [row] = await auditOf(service, tenant, 'action=pass.issued')
  t.match(row, { actor: { kind: 'operator', id: 'ops' }, userId: 'ann', outcome: 'done' })
  const stored = JSON.stringify([...await asSuperuser(service, 'select * from passes'), ...await asSuperuser(service, 'select * from audit_events'), ...await asSuperuser(service, 'select * from messages')])
  t.notOk(stored.includes(value), 'and it is nowhere in the database')

  const challenge = await ann.post('/v1/challenges', { userId: 'me', purpose: 'recovery', channel: 'temporaryAccessPass' })
  t.equal(challenge.status, 201, challenge.text)
  t.match(await ann.post(`/v1/challenges/${challenge.body.id}/verify`, { code: value }), { status: 200, body: { status: 'approved', proof: String } })
  const again = await ann.post('/v1/challenges', { userId: 'me', purpose: 'recovery', channel: 'temporaryAccessPass' })
  isRefused(t, again, 'no_usable_method', {}, 'once')
})

t.test('whoever is not there, or could not use it, gets none', async (t) => {
  const tenant = await service.tenant()
  const petra = await service.as({ tenant, subject: 'petra', roles: ['privilegedAdmin'] })
  await petra.put('/v1/users/gone', { status: 'disabled' })
  for (const [words, fault] of [
    [['nowhere', 'ann'], 'There is no tenant nowhere.'], [[tenant, 'nobody'], 'There is no user nobody.'], [[tenant, 'gone'], 'The user gone is disabled'],
  ] as const) {
    const { code, answer, output } = await ops(t, ...words)
    t.same([code, answer], [1, ''], output)
    t.match(output, fault)
  }
  t.same(await auditOf(service, tenant, 'action=pass.issued'), [])
})

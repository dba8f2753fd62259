import t from 'tap'
import { sql } from 'kysely'
import { verify } from '../support/challenges.ts'
import { deadlocksOf } from '../support/guards.ts'
import { registered } from '../support/proofs.ts'
import { atOnce, replicasOf, tally } from '../support/replicas.ts'
import { codeOf, moveClock, otherCode, testService, type Answer, type Client } from '../support/service.ts'

const people = 4
const steps = process.env.LATCHKEY_LONG === '1' ? 60 : 8

t.test('sign-ins, codes, resends, cancels, locks and their lifting, changes and decoys at once at three replicas: no 5xx, no deadlock', async (t) => {
  const service = await testService(t)
  const tenant = await service.tenant()
  const tenantId = await service.tenantIdOf(tenant)
  const asOwner = async <Row>(statement: ReturnType<typeof sql<Row>>) => (await service.owner.inTenant(tenantId, ({ db }) => statement.execute(db))).rows
  const replicas = await replicasOf(t, service, 3)
  const app = async (subject: string, ...scopes: Array<'challenges:write' | 'sign-in:read'>) => replicas.of(await service.as({ tenant, subject, kind: 'app', scopes }))
  const apps = [await app('payroll', 'challenges:write', 'sign-in:read'), await app('vpn', 'challenges:write', 'sign-in:read'), await app('blind', 'challenges:write')]
  const desk = replicas.of(await service.as({ tenant, subject: 'hans', roles: ['helpdesk'] }))
  const methods: string[] = []
  for (let person = 0; person < people; person++) {
    const { mobilePhone } = await registered(service, tenant, `person-${person}`, ['mobilePhone', 'alternatePhone', 'alternateEmail'], 48, { mobilePhone: `+1415555010${person}`, alternatePhone: '+14155550198' })
    methods.push(mobilePhone!)
  }
  const answers: Answer[] = []
  const note = <T extends Answer>(answer: T): T => { answers.push(answer); return answer }
  let offset = 0

  const turn = async (person: number, step: number) => {
    const userId = `person-${person}`
    const own = replicas.of(await service.as({ tenant, subject: userId }))
    const starts = await Promise.all([
      ...apps.map((client, index) => client[(step + index) % 3]!.post('/v1/challenges', { userId, purpose: (['signIn', 'stepUp', 'recovery'] as const)[(step + index) % 3], ...(index === step % 3 && { channel: 'voice' }), clientAddress: '203.0.113.7' }, index === 1 ? { 'idempotency-key': `start-${userId}-${step}` } : {})),
      desk[step % 3]!.post('/v1/challenges', { userId, purpose: 'callerCheck', channel: 'email' }),
      own[step % 3]!.patch(`/v1/users/me/contact-methods/${methods[person]}`, { label: `Step ${step}` }),
      apps[2]![step % 3]!.post('/v1/challenges', { userId: `nobody-${person}`, purpose: 'signIn' }),
    ])
    starts.forEach(note)
    const started = starts.flatMap(({ status, body }, index) => status === 201 ? [{ id: body.id as string, client: index === 3 ? desk : apps[Math.min(index, 2)]! }] : [])
    await Promise.all(started.flatMap(({ id, client }, nth) => [0, 1, 2, 3, 4, 5].map(async (act) => {
      const at = client[(act + nth) % 3]!
      const code = async (replica: Client) => ((await replica.get(`/v1/sandbox/messages?challengeId=${id}`)).body.items[0]?.code as string | undefined) ?? '000000'
      if (act < 2) return note(await verify(at, id, otherCode(await code(at)), act === 1 ? { 'idempotency-key': `wrong-${id}` } : undefined))
      if (act === 2) return note(await verify(at, id, await code(at)))
      if (act === 3) return note(await at.post(`/v1/challenges/${id}/resend`))
      if (act === 4) return (step + nth) % 3 === 0 ? note(await at.post(`/v1/challenges/${id}/cancel`)) : undefined
      return note(await desk[act % 3]!.delete(`/v1/users/${userId}/lockout`))
    })))
    note(await own[(step + 1) % 3]!.put('/v1/users/me/default-method', { methodId: methods[person], channel: step % 2 === 0 ? 'sms' : 'voice' }))
    if (person === 0) await moveClock(own[0]!, offset += 121)
  }
  await atOnce(people + 2, async (person) => { for (let step = 0; step < steps; step++) await turn(person % people, step) })

  t.comment(JSON.stringify(tally(answers)))
  t.strictSame(tally(answers.filter(({ status }) => status >= 500)), {}, `none of ${answers.length}`)
  t.strictSame(await asOwner(sql`
    select id from challenges where (status = 'pending') <> (ended_at is null) or (status = 'approved') <> (used_at is not null) or attempts > attempts_max or (decoy and status = 'approved')`), [])
  t.strictSame(await asOwner(sql`
    select c.id from challenges c where c.status = 'approved' and (select count(*) from audit_events e where e.action = 'challenge.approved' and e.details::jsonb ->> 'challengeId' = c.id::text) <> 1`), [], 'each approval is written down once')
  t.equal(await deadlocksOf(service), 0)

  await desk[0]!.delete('/v1/users/person-0/lockout')
  await moveClock(desk[0]!, offset + 86_400)
  const { body } = await apps[0]![0]!.post('/v1/challenges', { userId: 'person-0', purpose: 'signIn' })
  t.match((await verify(apps[0]![1]!, body.id, await codeOf(desk[0]!, body.id))).body, { status: 'approved' }, 'and afterwards all is as ever')
})

import t from 'tap'
import { setPolicy } from '../support/answers.ts'
import { sql } from 'kysely'
import { failChallenge } from '../../src/features/challenges/challenges.ts'
import { asOwner as connected } from '../support/cluster.ts'
import { pendingMethod, read, start, started, verify } from '../support/challenges.ts'
import { deadlocksOf } from '../support/guards.ts'
import { atOnce, nowhere, replicasOf, tally } from '../support/replicas.ts'
import { codeOf, moveClock, otherCode, testService, verifiedMethod, type Answer, type TestService } from '../support/service.ts'

const ownerOf = (service: TestService, tenantId: string) => <Row>(statement: ReturnType<typeof sql<Row>>) =>
  service.owner.inTenant(tenantId, ({ db }) => statement.execute(db))

const waitsForLock = (from: TestService) => connected(from.database.ownerUrl, async (client) => {
  while ((await client.query('select 1 from pg_stat_activity where datname = current_database() and wait_event_type = \'Lock\'')).rowCount === 0) { /* until someone waits */ }
})

t.test('starting a challenge and failing the one before it take their locks in the same order', async (t) => {
  const service = await testService(t, { workerUrl: nowhere })
  const tenant = await service.tenant()
  const tenantId = await service.tenantIdOf(tenant)
  const asOwner = ownerOf(service, tenantId)
  const ann = await service.as({ tenant, subject: 'ann' })
  const methodId = await pendingMethod(ann, { value: '+14155550101' })
  const first = await started(ann, methodId)
  await asOwner(sql`update tenants set clock_offset_seconds = 31 where tenant_id = ${tenantId}`)
  await asOwner(sql`update messages set state = 'sending' where tenant_id = ${tenantId}`)
  // The start pauses where it holds the destination.
  await asOwner(sql.raw(`
    create function linger () returns trigger language plpgsql as $$ begin perform pg_sleep(0.5); return new; end $$;
    create trigger linger before insert on challenges for each row execute function linger()`))
  const starting = start(ann, methodId)
  await connected(service.database.ownerUrl, async (client) => {
    while ((await client.query('select 1 from pg_stat_activity where datname = current_database() and wait_event = \'PgSleep\'')).rowCount === 0) { /* until it pauses */ }
  })
  await service.deps.db.inTenant(tenantId, async (tx) => {
    await sql`update messages set state = 'failed' where tenant_id = ${tenantId}`.execute(tx.db)
    await failChallenge(tx, first.id)
  })
  const answer = await starting
  t.equal(answer.status, 201)
  t.match((await read(ann, first.id)).body, { status: 'canceled' })
  t.match((await read(ann, answer.body.id)).body, { status: 'pending', sendsRemaining: 3 })
  t.equal(await deadlocksOf(service), 0, 'nobody was a deadlock\'s victim')
})

t.test('a check that gave way to a deadlock and ran again has counted one attempt', async (t) => {
  const service = await testService(t)
  const tenant = await service.tenant()
  const tenantId = await service.tenantIdOf(tenant)
  const ann = await service.as({ tenant, subject: 'ann' })
  for (const headers of [{}, { 'idempotency-key': 'a' }]) {
    const kind = 'idempotency-key' in headers ? 'alternatePhone' : 'mobilePhone'
    const methodId = await pendingMethod(ann, { kind, value: kind === 'mobilePhone' ? '+14155550101' : '+14155550102' })
    const challenge = await started(ann, methodId)
    const code = await codeOf(ann, challenge.id)
    await connected(service.database.ownerUrl, async (other) => {
      await other.query('set deadlock_timeout = \'1min\'') // so that it is the service that gives way
      await other.query('begin')
      await other.query('select 1 from contact_methods where tenant_id = $1 and id = $2 for update', [tenantId, methodId])
      const checking = verify(ann, challenge.id, code, headers)
      await waitsForLock(service)
      await other.query('select 1 from users where tenant_id = $1 and user_id = \'ann\' for update', [tenantId])
      await other.query('commit')
      t.equal((await checking).status, 200)
    })
    t.match((await read(ann, challenge.id)).body, { status: 'approved', attemptsRemaining: 4 })
  }
  t.ok(await deadlocksOf(service) >= 2, 'the locks did cross, each time')
})

t.test('everything at once at three replicas: no 5xx, no deadlock, and all is as ever afterwards', async (t) => {
  const service = await testService(t)
  const tenant = await service.tenant()
  const tenantId = await service.tenantIdOf(tenant)
  const replicas = await replicasOf(t, service, 3)
  await setPolicy(service, tenant, { registration: { required: [] }, alternateEmails: 3 })
  const app = replicas.of(await service.as({ tenant, subject: 'payroll', kind: 'app', scopes: ['challenges:write'] }))
  // Everyone shares two numbers, one of which no carrier takes.
  const numbers = ['+14155550101', '+14155550198']
  const answers: Answer[] = []
  const note = <T extends Answer>(answer: T): T => { answers.push(answer); return answer }
  let offset = 0

  const turn = async (person: number, step: number) => {
    const clients = replicas.of(await service.as({ tenant, subject: `person-${person}` }))
    const client = clients[step % 3]!
    const other = clients[(step + 1) % 3]!
    const added = note(await client.post('/v1/users/me/contact-methods', { kind: 'mobilePhone', value: numbers[step % 2] }, { 'idempotency-key': `add-${step}` }))
    const { body: { items } } = note(await other.get('/v1/users/me/contact-methods'))
    const methodId = added.body.id ?? items[0]?.id
    if (methodId === undefined) return
    const starts = await Promise.all([
      start(client, methodId), start(other, methodId, {}), start(app[step % 3]!, methodId, { userId: `person-${person}` }),
      client.patch(`/v1/users/me/contact-methods/${methodId}`, { value: numbers[(step + 1) % 2] }),
    ])
    starts.forEach(note)
    const own = starts.slice(0, 2).find(({ status }) => status === 201)?.body.id
    if (own !== undefined) {
      const { body: { items: [message] } } = note(await client.get(`/v1/sandbox/messages?challengeId=${own}&waitSeconds=0.3`))
      const code = message?.code ?? '000000'
      const checks = await Promise.all([
        verify(client, own, otherCode(code)), verify(other, own, code), verify(client, own, code, { 'idempotency-key': `check-${step}` }),
        client.patch(`/v1/users/me/contact-methods/${methodId}`, { label: `Step ${step}` }), start(other, methodId),
      ])
      checks.forEach(note)
    }
    if (step % 2 === 0) note(await other.delete(`/v1/users/me/contact-methods/${methodId}`))
    if (person === 0) await moveClock(client, offset += 301)
  }
  await atOnce(6, async (person) => { for (let step = 0; step < 12; step++) await turn(person % 4, step) })

  const broken = answers.filter(({ status }) => status >= 500)
  t.strictSame(tally(broken), {}, `none of ${answers.length}`)
  const { rows } = await ownerOf(service, tenantId)(sql<{ status: string, count: number }>`
    select status, count(*)::int as count from challenges where (status = 'pending') <> (ended_at is null) or (status = 'approved') <> (used_at is not null) group by 1`)
  t.strictSame(rows, [])
  t.comment(JSON.stringify(tally(answers)))
  for (let person = 0; person < 4; person++) {
    const client = await service.as({ tenant, subject: `person-${person}` })
    const { body: { items } } = await client.get('/v1/users/me/contact-methods')
    for (const { id } of items) await client.delete(`/v1/users/me/contact-methods/${id}`)
    t.match(await verifiedMethod(client, { kind: 'mobilePhone', value: `+1415555011${person}` }), { status: 'active' }, 'and afterwards all is as ever')
  }

  t.equal(await deadlocksOf(service), 0)
})

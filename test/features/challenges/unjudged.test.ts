import t from 'tap'
import { sql } from 'kysely'
import { auditOf } from '../../support/answers.ts'
import { read, verify } from '../../support/challenges.ts'
import { holding } from '../../support/guards.ts'
import { atOnce, tally } from '../../support/replicas.ts'
import { seedChallenges } from '../../support/seed.ts'
import { moveClock, testService } from '../../support/service.ts'

const service = await testService(t)

/** A challenge whose last attempt was counted so many seconds ago by a process that then died. */
async function unjudged (secondsAgo: number, purpose: 'signIn' | 'verifyContact' = 'signIn') {
  const tenant = await service.tenant()
  const tenantId = await service.tenantIdOf(tenant)
  const app = await service.as({ tenant, subject: 'payroll', kind: 'app', scopes: ['challenges:write', 'sign-in:read'] })
  const [challenge] = await seedChallenges(service, tenant, 'payroll', 1, purpose)
  const { challengeId: id } = challenge!
  const asOwner = async <Row>(statement: ReturnType<typeof sql<Row>>) => (await service.owner.inTenant(tenantId, ({ db }) => statement.execute(db))).rows
  await asOwner(sql`update challenges set attempts = 5, attempted_at = tenant_now() - make_interval(secs => ${secondsAgo}) where id = ${id}`)
  const audited = async () => (await auditOf(service, tenant, 'action=challenge.exhausted')).length
  return { ...challenge!, id, app, asOwner, audited, tenant, tenantId }
}

t.test('a last attempt that was counted and never judged: in doubt for half a minute, then exhausted for good, and written down once', async (t) => {
  const { id, code, app, audited } = await unjudged(1)
  t.match((await read(app, id)).body, { status: 'pending', attemptsRemaining: 0, endedAt: null }, 'it may be judged yet')
  t.match((await verify(app, id, code)).body, { status: 409, code: 'challenge_exhausted' })
  t.equal(await audited(), 0)

  await moveClock(app, 31)
  const answers = await atOnce(6, () => read(app, id))
  for (const { body } of answers) t.match(body, { status: 'exhausted', attemptsRemaining: 0, endedAt: answers[0]!.body.endedAt })
  t.ok(Date.parse(answers[0]!.body.endedAt) < Date.parse(answers[0]!.body.createdAt) + 10_000, 'it ended with that attempt')
  t.equal(await audited(), 1)
  for (const act of ['resend', 'cancel']) t.match((await app.post(`/v1/challenges/${id}/${act}`)).body, { code: 'challenge_exhausted' }, act)
  await moveClock(app, 7_200)
  t.match((await read(app, id)).body, { status: 'exhausted' }, 'also when its time is over')
})

t.test('whoever meets it first ends it: also a cancel, a resend, a check', async (t) => {
  for (const act of ['resend', 'cancel', 'verify']) {
    const { id, app, audited } = await unjudged(31)
    t.match((await app.post(`/v1/challenges/${id}/${act}`, act === 'verify' ? { code: '000000' } : {})).body, { status: 409, code: 'challenge_exhausted' }, act)
    t.equal(await audited(), 1)
    t.match((await read(app, id)).body, { status: 'exhausted' })
  }
})

t.test('one whose time was over before that expired, and stays so', async (t) => {
  const { id, app, asOwner } = await unjudged(20)
  await asOwner(sql`update challenges set expires_at = tenant_now() - interval '5 seconds' where id = ${id}`)
  t.match((await read(app, id)).body, { status: 'expired' })
  await moveClock(app, 60)
  t.match((await read(app, id)).body, { status: 'expired' })
})

t.test('a newer challenge takes its place, in doubt or not', async (t) => {
  const { app, userId, id } = await unjudged(1)
  t.equal((await app.post('/v1/challenges', { userId, purpose: 'signIn' })).status, 201)
  t.match((await read(app, id)).body, { status: 'canceled' })
})

t.test('a verdict on the last attempt comes within ten seconds or not at all: what reads as exhausted is never approved', async (t) => {
  for (const [secondsAgo, outcome] of [[9, 'approved'], [11, 'ended']] as const) {
    const { id, tenantId } = await unjudged(secondsAgo)
    const { rows } = await service.deps.db.inTenant(tenantId, ({ db }) =>
      sql`select a.outcome from challenges c cross join lateral approve_challenge(c.id, c.code_mac, null) as a where c.id = ${id}`.execute(db))
    t.match(rows, [{ outcome }], `${secondsAgo} s`)
  }

  // One that was held up for so long that others have read the end.
  for (const purpose of ['signIn', 'verifyContact'] as const) {
    const { id, code, app, asOwner, tenantId, userId } = await unjudged(1, purpose)
    await asOwner(sql`update challenges set attempts = 4 where id = ${id}`)
    await holding(service, 'select 1 from users where tenant_id = $1 and user_id = $2 for update', [tenantId, userId], async ({ waiting, release }) => {
      const judging = verify(app, id, code)
      await waiting(1)
      t.match((await read(app, id)).body, { status: 'pending', attemptsRemaining: 0 })
      await asOwner(sql`update tenants set clock_offset_seconds = 31 where tenant_id = ${tenantId}`)
      t.match((await read(app, id)).body, { status: 'exhausted' })
      await release()
      t.match((await judging).body, { code: 'challenge_exhausted' }, purpose)
    })
    t.match((await read(app, id)).body, { status: 'exhausted' })
  }
})

t.test('those who come while the last attempts are judged hear how it ended', async (t) => {
  const { id, code, app, asOwner, tenantId, userId } = await unjudged(1)
  await asOwner(sql`update challenges set attempts = 4 where id = ${id}`)
  await holding(service, 'select 1 from users where tenant_id = $1 and user_id = $2 for update', [tenantId, userId], async ({ waiting, release }) => {
    const judging = verify(app, id, code)
    await waiting(1)
    const others = atOnce(3, () => verify(app, id, code))
    await release()
    t.equal((await judging).status, 200)
    t.strictSame(tally(await others), { '409 challenge_approved': 3 })
  })
})

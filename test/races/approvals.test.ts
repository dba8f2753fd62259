import t from 'tap'
import { sql } from 'kysely'
import { verify } from '../support/challenges.ts'
import { openDb } from '../../src/platform/db/index.ts'
import { atOnce, replicaOf, replicasOf, tally } from '../support/replicas.ts'
import { gate, seedChallenges, type SeededChallenge } from '../support/seed.ts'
import { clientOf, testService } from '../support/service.ts'

const long = process.env.LATCHKEY_LONG === '1'
const challengesMax = long ? 1_000 : 100
const twins = 16
const sideBySide = 3
if (long) t.setTimeout(900_000)

const service = await testService(t)
const tenant = await service.tenant()
const tenantId = await service.tenantIdOf(tenant)
const app = await service.as({ tenant, subject: 'payroll', kind: 'app', scopes: ['challenges:write'] })
const replicas = (await replicasOf(t, service, 3)).of(app)

/** Sends each challenge's right code `twins` times at once, and counts how often it was told that it had won. */
async function winners (challenges: SeededChallenge[], check: (challenge: SeededChallenge, twin: number) => Promise<boolean>): Promise<number[]> {
  const wins: number[] = []
  for (let from = 0; from < challenges.length; from += sideBySide) {
    wins.push(...await Promise.all(challenges.slice(from, from + sideBySide).map(async (challenge) =>
      (await atOnce(twins, (twin) => check(challenge, twin))).filter(Boolean).length)))
  }
  return wins
}

t.test(`${twins} parallel right codes on each of ${challengesMax} challenges over three replicas: each is approved exactly once`, async (t) => {
  const challenges = await seedChallenges(service, tenant, 'payroll', challengesMax)
  const answers: Array<{ status: number, body: unknown }> = []
  const wins = await winners(challenges, async ({ challengeId, code }, twin) => {
    const answer = await verify(replicas[twin % 3]!, challengeId, code)
    answers.push(answer)
    return answer.status === 200
  })
  t.strictSame(wins, challenges.map(() => 1))
  const { 200: approvals, '409 challenge_approved': approved = 0, ...others } = tally(answers)
  t.equal(approvals, challengesMax)
  t.equal(approved, challengesMax * (twins - 1), 'and each loser is told so')
  t.strictSame(others, {}, 'and nobody was turned away')

  const { rows: [facts] } = await service.owner.inTenant(tenantId, ({ db }) => sql`
    select (select count(*)::int from challenges where tenant_id = ${tenantId} and status = 'approved' and used_at is not null) as approved,
           (select max(attempts)::int from challenges where tenant_id = ${tenantId}) as attempts,
           (select count(*)::int from contact_methods where tenant_id = ${tenantId} and status = 'active' and is_default) as active,
           (select count(*)::int from audit_events where tenant_id = ${tenantId} and action = 'contactMethod.verified') as audited`.execute(db))
  t.strictSame(facts, { approved: challengesMax, attempts: 5, active: challengesMax, audited: challengesMax })
})

t.test('a replica that has not opened a connection yet lets 16 at once wait for theirs, and turns nobody away', async (t) => {
  for (let round = 0; round < 3; round++) {
    const fresh = clientOf(await replicaOf(t, service), app.token)
    const challenges = await seedChallenges(service, tenant, 'payroll', twins)
    const answers = await atOnce(twins, (index) => verify(fresh, challenges[index]!.challengeId, challenges[index]!.code, index % 2 === 0 ? {} : { 'idempotency-key': `key-${round}-${index}` }))
    t.strictSame(tally(answers), { 200: twins })
  }
})

t.test('the control: the same statement without its guard lets several win', async (t) => {
  const challenges = await seedChallenges(service, tenant, 'payroll', 20)
  const db = openDb({ url: service.database.serviceUrl, applicationName: 'latchkey-test', connectionsMax: twins * sideBySide, acquireTimeoutMs: 20_000, onError: () => undefined })
  t.teardown(() => db.close())
  const gates = new Map<string, () => Promise<void>>()
  const approve = (guarded: boolean) => ({ challengeId }: SeededChallenge) => db.inTenant(tenantId, async (tx) => {
    if (!gates.has(challengeId)) gates.set(challengeId, gate(twins))
    const found = await tx.db.selectFrom('challenges').select('used_at').where('tenant_id', '=', tenantId).where('id', '=', challengeId).executeTakeFirstOrThrow()
    await gates.get(challengeId)!()
    if (found.used_at !== null) return false
    let update = tx.db.updateTable('challenges').set({ status: 'approved', used_at: tx.now }).where('tenant_id', '=', tenantId).where('id', '=', challengeId)
    if (guarded) update = update.where('used_at', 'is', null)
    return await update.returning('id').executeTakeFirst() !== undefined
  })
  const unguarded = await winners(challenges, approve(false))
  t.ok(unguarded.some((count) => count > 1), `as many as ${Math.max(...unguarded)} winners`)
  const again = await seedChallenges(service, tenant, 'payroll', 20)
  t.strictSame(await winners(again, approve(true)), again.map(() => 1), 'and with it, one')
})

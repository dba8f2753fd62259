import t from 'tap'
import { sql } from 'kysely'
import { read, verify } from '../support/challenges.ts'
import { without } from '../support/guards.ts'
import { atOnce, notTurnedAway, replicasOf, tally } from '../support/replicas.ts'
import { seedChallenges, type SeededChallenge } from '../support/seed.ts'
import { otherCode, testService, type Answer } from '../support/service.ts'
import { systemRandom } from '../../src/platform/random.ts'

const long = process.env.LATCHKEY_LONG === '1'
const challengesMax = long ? 1_000 : 60
const twins = 16
const guesses = 50
if (long) t.setTimeout(900_000)

const service = await testService(t)
const tenant = await service.tenant()
const tenantId = await service.tenantIdOf(tenant)
const app = await service.as({ tenant, subject: 'payroll', kind: 'app', scopes: ['challenges:write', 'sign-in:read'] })
const replicas = (await replicasOf(t, service, 3)).of(app)
const seeded = (count: number) => seedChallenges(service, tenant, 'payroll', count, 'signIn')
const asOwner = async <Row>(statement: ReturnType<typeof sql<Row>>) => (await service.owner.inTenant(tenantId, ({ db }) => statement.execute(db))).rows

/** Sends each challenge's right code `twins` times at once; how often each was told that it had won. */
async function wins (challenges: SeededChallenge[], answers: Answer[] = []): Promise<number[]> {
  const counts: number[] = []
  for (let from = 0; from < challenges.length; from += 3) {
    counts.push(...await Promise.all(challenges.slice(from, from + 3).map(async ({ challengeId, code }) => {
      const told = await atOnce(twins, (twin) => verify(replicas[twin % 3]!, challengeId, code))
      answers.push(...told)
      return told.filter(({ status }) => status === 200).length
    })))
  }
  return counts
}

t.test(`${twins} parallel right codes on each of ${challengesMax} sign-ins over three replicas: one statement approves each exactly once`, async (t) => {
  const answers: Answer[] = []
  const challenges = await seeded(challengesMax)
  t.strictSame(await wins(challenges, answers), challenges.map(() => 1))
  const heard = notTurnedAway(answers)
  t.strictSame(tally(heard), { 200: challengesMax, '409 challenge_approved': heard.length - challengesMax })
  t.equal(new Set(answers.filter(({ status }) => status === 200).map(({ body }) => body.proof as string)).size, challengesMax, 'one proof each')
  const [facts] = await asOwner(sql`
    select (select count(*)::int from challenges where status = 'approved' and used_at is not null) as approved,
           (select count(*)::int from audit_events where action = 'challenge.approved') as audited,
           (select count(*)::int from code_failures where in_a_row <> 0 or locked_until is not null or exists (select from jsonb_each_text(by_method) as m where m.value <> '0')) as counted`)
  t.match(facts, { approved: challengesMax, audited: challengesMax, counted: 0 }, 'and no wrong code is left counted')
})

t.test('the control: without its guard the same statement lets several win', async (t) => {
  const guard = 'and x.status = \'pending\' and x.used_at is null and x.code_mac = judged_mac'
  const counts = await without(service, 'approve_challenge', guard, async () => wins(await seeded(3)))
  t.ok(counts.some((count) => count > 1), `${counts.join(', ')} won`)
})

t.test(`of ${guesses} parallel wrong codes for a sign-in 5 are judged`, async (t) => {
  for (const { challengeId, code } of await seeded(6)) {
    const answers = await atOnce(guesses, (index) => verify(replicas[index % 3]!, challengeId, otherCode(code)))
    const heard = notTurnedAway(answers)
    t.strictSame(tally(heard), { '422 wrong_code': 5, '409 challenge_exhausted': heard.length - 5 })
    t.match((await read(app, challengeId)).body, { status: 'exhausted', attemptsRemaining: 0 })
  }
  t.match(await asOwner(sql`select in_a_row, count(*)::int from code_failures where in_a_row > 0 group by 1`), [{ in_a_row: 5, count: 6 }], 'and counted')
})

/** As many more challenges for the same user and method, as if of other callers; gives all ids. */
async function severalFor ({ challengeId }: SeededChallenge, more: number): Promise<string[]> {
  const ids = Array.from({ length: more }, () => systemRandom.uuid())
  for (const id of ids) {
    await asOwner(sql`insert into challenges select (jsonb_populate_record(c, jsonb_build_object('id', ${id}::uuid))).* from challenges c where c.id = ${challengeId}`)
  }
  return [challengeId, ...ids]
}

/** Five wrong codes for each of twelve challenges of one user, all at once. */
async function storm (): Promise<{ answers: Answer[], lock: { in_a_row: number, locked: boolean } }> {
  const [challenge] = await seeded(1)
  const ids = await severalFor(challenge!, 11)
  const answers = await atOnce(60, (index) => verify(replicas[index % 3]!, ids[index % ids.length]!, otherCode(challenge!.code)))
  const [lock] = await asOwner(sql<{ in_a_row: number, locked: boolean }>`select in_a_row, locked_until > now() as locked from code_failures where user_id = ${challenge!.userId}`)
  return { answers, lock: lock! }
}

t.test('60 wrong codes at once for twelve challenges of one user: ten are judged, then the user is locked', async (t) => {
  for (let round = 0; round < 4; round++) {
    const { answers, lock } = await storm()
    const heard = notTurnedAway(answers)
    t.strictSame(tally(heard), { '422 wrong_code': 10, '423 user_locked': heard.length - 10 }, 'not one more')
    t.strictSame(lock, { in_a_row: 10, locked: true })
  }
  t.equal((await asOwner(sql`select 1 from audit_events where action = 'user.locked'`)).length, 4)
})

t.test('the control: without the guard of the lock more are judged', async (t) => {
  const { answers } = await without(service, 'take_attempt', '(x.locked_until is null or x.locked_until <= now_there) and', storm)
  t.ok((tally(answers)['422 wrong_code'] ?? 0) > 10, JSON.stringify(tally(answers)))
})

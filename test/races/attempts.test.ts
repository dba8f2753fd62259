import t from 'tap'
import { openDb } from '../../src/platform/db/index.ts'
import { read, verify } from '../support/challenges.ts'
import { atOnce, replicasOf, tally } from '../support/replicas.ts'
import { gate, seedChallenges, type SeededChallenge } from '../support/seed.ts'
import { otherCode, testService } from '../support/service.ts'

const guesses = 50
/** Of these, as many as the control lets in at once. */
const sideBySide = 25
const attemptsMax = 5

const service = await testService(t)
const tenant = await service.tenant()
const tenantId = await service.tenantIdOf(tenant)
const app = await service.as({ tenant, subject: 'payroll', kind: 'app', scopes: ['challenges:write'] })
const replicas = (await replicasOf(t, service, 3)).of(app)

/** Makes that many guesses at each challenge at once, and says how many of them were judged. */
async function judged (challenges: SeededChallenge[], guess: (challenge: SeededChallenge, index: number) => Promise<boolean>): Promise<number[]> {
  const counts: number[] = []
  for (const challenge of challenges) counts.push((await atOnce(guesses, (index) => guess(challenge, index))).filter(Boolean).length)
  return counts
}

t.test(`of ${guesses} parallel wrong codes at three replicas ${attemptsMax} are judged`, async (t) => {
  const challenges = await seedChallenges(service, tenant, 'payroll', 12)
  const answers: Array<{ status: number, body: any }> = []
  const counts = await judged(challenges, async ({ challengeId, code }, index) => {
    const answer = await verify(replicas[index % 3]!, challengeId, otherCode(code))
    answers.push(answer)
    return answer.body.code === 'wrong_code'
  })
  t.strictSame(counts, challenges.map(() => attemptsMax))
  t.strictSame(tally(answers), { '422 wrong_code': 12 * attemptsMax, '409 challenge_exhausted': 12 * (guesses - attemptsMax) })
  const remaining = answers.filter(({ body }) => body.code === 'wrong_code').map(({ body }) => body.attemptsRemaining as number)
  t.strictSame([0, 1, 2, 3, 4].map((left) => remaining.filter((one) => one === left).length), [12, 12, 12, 12, 12], 'each was told another number')
  for (const { challengeId, code } of challenges) {
    t.match((await read(app, challengeId)).body, { status: 'exhausted', attemptsRemaining: 0 })
    t.match((await verify(app, challengeId, code)).body, { code: 'challenge_exhausted' })
  }
})

t.test('the right code hidden among the wrong ones is approved at most once, and no more are judged for it', async (t) => {
  const challenges = await seedChallenges(service, tenant, 'payroll', 12)
  let approvals = 0
  const counts = await judged(challenges, async ({ challengeId, code }, index) => {
    const { status, body } = await verify(replicas[index % 3]!, challengeId, index % 4 === 0 ? code : otherCode(code))
    if (status === 200) approvals++
    return status === 200 || body.code === 'wrong_code'
  })
  t.ok(Math.max(...counts) <= attemptsMax, String(counts))
  t.ok(approvals <= challenges.length)
  for (const { challengeId } of challenges) t.match((await read(app, challengeId)).body, { status: /approved|exhausted/ })
})

t.test('the control: the same count without its guard lets more through', async (t) => {
  const db = openDb({ url: service.database.serviceUrl, applicationName: 'latchkey-test', connectionsMax: sideBySide, acquireTimeoutMs: 20_000, onError: () => undefined })
  t.teardown(() => db.close())
  const gates = new Map<string, () => Promise<void>>()
  const take = (guarded: boolean) => ({ challengeId }: SeededChallenge) => db.inTenant(tenantId, async (tx) => {
    if (!gates.has(challengeId)) gates.set(challengeId, gate(sideBySide))
    const { attempts } = await tx.db.selectFrom('challenges').select('attempts').where('tenant_id', '=', tenantId).where('id', '=', challengeId).executeTakeFirstOrThrow()
    await gates.get(challengeId)!()
    if (attempts >= attemptsMax) return false
    let update = tx.db.updateTable('challenges').set((row) => ({ attempts: row('attempts', '+', 1) })).where('tenant_id', '=', tenantId).where('id', '=', challengeId)
    if (guarded) update = update.where('attempts', '<', attemptsMax)
    return await update.returning('id').executeTakeFirst() !== undefined
  })
  const counts = await judged(await seedChallenges(service, tenant, 'payroll', 3), take(false))
  t.ok(Math.max(...counts) > attemptsMax, `${counts.join(', ')} were judged`)
  t.strictSame(await judged(await seedChallenges(service, tenant, 'payroll', 3), take(true)), [5, 5, 5], 'and with it, five')
})

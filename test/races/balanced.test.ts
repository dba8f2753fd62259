import t from 'tap'
import { sql } from 'kysely'
import { balancer, fleet } from '../support/fleet.ts'
import { call, type Answer } from '../support/process.ts'
import { atOnce, notTurnedAway, tally } from '../support/replicas.ts'
import { seedChallenges, type SeededChallenge } from '../support/seed.ts'
import { otherCode } from '../support/service.ts'

// The figure that is published is of 10,000: LATCHKEY_LONG=10000, which took 11 minutes on two busy cores.
const asked = Number(process.env.LATCHKEY_LONG ?? 0)
const challengesMax = asked > 1 ? asked : asked === 1 ? 1_000 : 45
const twins = 16
const sideBySide = 3
t.setTimeout(asked > 0 ? 3_600_000 : 120_000)

const service = await fleet(t)
const tenantId = await service.tenantIdOf(service.tenant)
const replicas = await Promise.all([0, 1, 2].map(() => service.start()))
const { origin, taken } = await balancer(t, () => replicas.map(({ port }) => port))
const rows = async <Row>(statement: ReturnType<typeof sql<Row>>) => (await service.owner.inTenant(tenantId, ({ db }) => statement.execute(db))).rows
const seeded = (count: number, purpose: 'signIn' | 'verifyContact') => seedChallenges(service, service.tenant, service.starter, count, purpose)

/** An answer, or nothing where the connection broke: then nobody knows what was done. */
const check = (id: string, code: string, key?: string): Promise<Answer | undefined> =>
  call(`${origin}/v1/challenges/${id}/verify`, { token: service.token, body: { code }, ...(key !== undefined && { headers: { 'idempotency-key': key } }) }).catch(() => undefined)

/** Sends each right code sixteen times at once, to whichever process the balancer chooses. */
async function attack (challenges: SeededChallenge[], each: (index: number) => void = () => undefined): Promise<Array<Array<Answer | undefined>>> {
  const told: Array<Array<Answer | undefined>> = []
  for (let from = 0; from < challenges.length; from += sideBySide) {
    each(from)
    told.push(...await Promise.all(challenges.slice(from, from + sideBySide).map(({ challengeId, code }) => atOnce(twins, () => check(challengeId, code)))))
  }
  return told
}
const winsOf = (answers: Array<Answer | undefined>) => answers.filter((answer) => answer?.status === 200).length

t.test(`${challengesMax} × ${twins} parallel right codes through a balancer over three processes: each approved exactly once`, async (t) => {
  const challenges = [...await seeded(Math.ceil(challengesMax / 2), 'signIn'), ...await seeded(Math.floor(challengesMax / 2), 'verifyContact')]
  const from = performance.now()
  const told = await attack(challenges)
  const seconds = (performance.now() - from) / 1000
  t.comment(`double-accepted: ${told.filter((answers) => winsOf(answers) > 1).length} of ${challengesMax}; ${Math.round(challengesMax * twins / seconds)} checks/s`)
  t.ok(told.every((answers) => winsOf(answers) === 1))
  const heard = notTurnedAway(told.flat().map((answer) => answer!))
  t.comment(`${challengesMax * twins - heard.length} were turned away`)
  t.strictSame(tally(heard), { 200: challengesMax, '409 challenge_approved': heard.length - challengesMax })
  for (const { port } of replicas) t.ok(taken(port) > 0, 'each process took its share')
  t.match(await rows(sql`select count(*)::int as approved, max(attempts)::int <= 5 as within from challenges where status = 'approved' and used_at is not null`), [{ approved: challengesMax, within: true }])
})

t.test('of 50 parallel wrong codes through it five are judged', async (t) => {
  for (const { challengeId, code } of [...await seeded(2, 'signIn'), ...await seeded(2, 'verifyContact')]) {
    const answers = await atOnce(50, () => check(challengeId, otherCode(code)))
    const heard = notTurnedAway(answers.map((answer) => answer!))
    t.strictSame(tally(heard), { '422 wrong_code': 5, '409 challenge_exhausted': heard.length - 5 })
  }
})

t.test('one of three processes killed in the middle: what was acknowledged is kept, no code is good twice, the others go on', async (t) => {
  const count = asked > 0 ? 300 : 30
  const challenges = [...await seeded(count / 2, 'signIn'), ...await seeded(count / 2, 'verifyContact')]
  const told = await attack(challenges, (index) => { if (index >= count / 2 && index < count / 2 + sideBySide) setTimeout(() => replicas[1]!.signal('SIGKILL'), 3) })
  t.equal(await replicas[1]!.ended, 'SIGKILL')
  const unknown = told.flat().filter((answer) => answer === undefined).length
  t.comment(`${unknown} answers never came`)
  t.ok(unknown > 0, 'the kill was felt')
  t.strictSame(tally(notTurnedAway(told.flat().filter((answer) => answer !== undefined && answer.status >= 500) as Answer[])), {})

  const approved = new Set((await rows(sql<{ id: string }>`select id from challenges where status = 'approved'`)).map(({ id }) => id))
  const wrong: string[] = []
  for (const [index, { challengeId, code }] of challenges.entries()) {
    const wins = winsOf(told[index]!)
    if (wins > 1) wrong.push(`${challengeId} was acknowledged ${wins} times`)
    if (wins === 1 && !approved.has(challengeId)) wrong.push(`${challengeId} was acknowledged and is lost`)
    const again = await atOnce(3, () => check(challengeId, code))
    const more = winsOf(again)
    if (wins + more > 1 || (approved.has(challengeId) && more > 0)) wrong.push(`${challengeId} was good ${wins + more} times`)
    if (!approved.has(challengeId) && more === 0 && again[0]?.body.code !== 'challenge_exhausted') wrong.push(`${challengeId}: ${again.map((answer) => answer?.body.code).join()}`)
  }
  t.strictSame(wrong, [])
  t.strictSame(await rows(sql`select id from challenges where (status = 'approved') <> (used_at is not null) or attempts > attempts_max`), [])
})

t.test('an app that asks again with its key after the connection broke gets its approval, whichever process answers', async (t) => {
  const [challenge] = await seeded(1, 'signIn')
  const first = await check(challenge!.challengeId, challenge!.code, 'once')
  replicas[0]!.signal('SIGKILL')
  await replicas[0]!.ended
  const again = await check(challenge!.challengeId, challenge!.code, 'once') ?? await check(challenge!.challengeId, challenge!.code, 'once')
  t.match(first, { status: 200 })
  t.match(again, { status: 200, body: { challengeId: challenge!.challengeId, status: 'approved', proof: /^ey/ } })
  t.equal(again!.headers.get('idempotent-replayed'), 'true')
})

import t from 'tap'
import { spendCallerCheck } from '../../src/features/challenges/caller-check.ts'
import type { Actor } from '../../src/platform/deps.ts'
import { openDb } from '../../src/platform/db/index.ts'
import { verify } from '../support/challenges.ts'
import { without } from '../support/guards.ts'
import { begunByPass, issue, issued, otherValue } from '../support/passes.ts'
import { approved, person, registered } from '../support/proofs.ts'
import { atOnce, replicasOf, tally } from '../support/replicas.ts'
import { gate } from '../support/seed.ts'
import { testService, type Client } from '../support/service.ts'

const service = await testService(t)
const replicas = await replicasOf(t, service, 3)
const rounds = process.env.LATCHKEY_LONG === '1' ? 60 : 6
const callers = 4

/** Ann with a pass, and apps that each have a challenge by it. */
async function scene (more: object = {}) {
  const tenant = await service.tenant()
  await (await service.as({ tenant, subject: 'ann' })).get('/v1/users/me')
  const hans = replicas.of(await service.as({ tenant, subject: 'hans', roles: ['helpdesk'] }))
  const pass = await issued(hans[0]!, 'ann', more)
  const apps = await Promise.all(Array.from({ length: callers }, (_none, index) => service.as({ tenant, subject: `app-${index}`, kind: 'app', scopes: ['challenges:write', 'sign-in:read'] })))
  const begun = await Promise.all(apps.map(async (app) => ({ app: replicas.of(app), id: (await begunByPass(app, 'ann', { purpose: 'signIn' })).id as string })))
  /** Everyone gives the same value at once. */
  const use = (value = pass.value) => Promise.all(begun.map(({ app, id }, index) => verify(app[index % 3]!, id, value)))
  return { tenant, hans, pass, begun, use }
}

t.test(`${callers} uses of one pass at once, each by a challenge of its own: exactly one wins`, async (t) => {
  for (let round = 0; round < rounds; round++) {
    const { use } = await scene()
    t.strictSame(tally(await use()), { 200: 1, '409 challenge_canceled': callers - 1 })
  }
})

t.test('the control: without its guard a pass that is good once is used several times', async (t) => {
  const { use } = await scene()
  const answers = await without(service, 'approve_challenge', 'and (not p.one_time or p.used_at is null) for no key update', () =>
    without(service, 'approve_challenge', 'and p.id = x.method_id and p.one_time', use, 'and p.id = x.method_id and false'), 'for no key update')
  t.ok((tally(answers)['200'] ?? 0) > 1, JSON.stringify(tally(answers)))
})

t.test('a pass that is good many times is used by all of them, and one challenge by one', async (t) => {
  const { use, begun, pass } = await scene({ oneTime: false })
  t.strictSame(tally(await use()), { 200: callers })
  const [first] = begun
  const { id } = await begunByPass(first!.app[0]!, 'ann')
  t.strictSame(tally(await atOnce(callers, (index) => verify(first!.app[index % 3]!, id, pass.value))), { 200: 1, '409 challenge_approved': callers - 1 })
})

t.test('of wrong tries at once over several challenges five are judged', async (t) => {
  for (let round = 0; round < rounds; round++) {
    const { begun, pass } = await scene()
    const answers = (await Promise.all(begun.map(({ app, id }) => atOnce(4, (index) => verify(app[index % 3]!, id, otherValue(pass.value)))))).flat()
    t.equal(tally(answers)['422 wrong_code'], 5, JSON.stringify(tally(answers)))
    for (const { app, id } of begun) t.notOk((await verify(app[0]!, id, pass.value)).status === 200)
  }
})

t.test('two passes issued at once leave one', async (t) => {
  const { hans, begun } = await scene()
  const answers = await atOnce(callers, (index) => issue(hans[index % 3]!, 'ann', { oneTime: false }))
  t.strictSame(tally(answers), { 201: callers })
  let good = 0
  for (const { body } of answers) {
    const { id } = await begunByPass(begun[0]!.app[0]!, 'ann')
    if ((await verify(begun[0]!.app[0]!, id, body.value as string)).status === 200) good++
  }
  t.equal(good, 1)
})

t.test('a new pass racing the old one: either it was used before, or not at all', async (t) => {
  for (let round = 0; round < rounds; round++) {
    const { begun, hans, pass } = await scene()
    const [{ app, id }] = begun as [{ app: Client[], id: string }]
    const [next, old] = await Promise.all([issue(hans[1]!, 'ann'), verify(app[2]!, id, pass.value)])
    t.equal(next.status, 201)
    t.ok(old.status === 200 || old.body.code === 'challenge_canceled', `${old.status} ${old.body.code}`)
    t.equal((await verify(app[0]!, (await begunByPass(app[0]!, 'ann')).id, pass.value)).body.code, 'wrong_code')
  }
})

t.test('of several uses of a caller check at once exactly one counts', async (t) => {
  const tenant = await service.tenant()
  const tenantId = await service.tenantIdOf(tenant)
  const hans = replicas.of(await service.as({ tenant, subject: 'hans', roles: ['helpdesk'] }))
  await registered(service, tenant, 'ann', ['mobilePhone'])
  const check = async () => (await approved(service, tenant, { userId: 'ann', purpose: 'callerCheck', starter: person('hans') })).challengeId
  const callerChallengeId = await check()
  t.strictSame(tally(await atOnce(6, (index) => issue(hans[index % 3]!, 'ann', { callerChallengeId }))), { 201: 1, '403 forbidden': 5 })

  const db = openDb({ url: service.database.serviceUrl, applicationName: 'latchkey-test', connectionsMax: callers, acquireTimeoutMs: 20_000, onError: () => undefined })
  t.teardown(() => db.close())
  const actor = { kind: 'person', subject: 'hans' } as Actor
  const winners = async (spend: (challengeId: string, meet: () => Promise<void>) => Promise<boolean>) => {
    const [challengeId, meet] = [await check(), gate(callers)]
    return (await atOnce(callers, () => spend(challengeId, meet))).filter(Boolean).length
  }
  const guarded = (challengeId: string, meet: () => Promise<void>) => db.inTenant(tenantId, async (tx) => {
    await meet()
    return spendCallerCheck(tx, actor, 'ann', challengeId).then(() => true, () => false)
  })
  const unguarded = (challengeId: string, meet: () => Promise<void>) => db.inTenant(tenantId, async (tx) => {
    const { spent_at: spentAt } = await tx.db.selectFrom('challenges').select('spent_at').where('tenant_id', '=', tenantId).where('id', '=', challengeId).executeTakeFirstOrThrow()
    await meet()
    if (spentAt !== null) return false
    await tx.db.updateTable('challenges').set({ spent_at: tx.now }).where('tenant_id', '=', tenantId).where('id', '=', challengeId).execute()
    return true
  })
  t.equal(await winners(guarded), 1)
  t.equal(await winners(unguarded), callers, 'the control: looking first and writing then lets all of them through')
})

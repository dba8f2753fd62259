import { sql } from 'kysely'
import t from 'tap'
import { isRefused } from '../support/answers.ts'
import { start, verify } from '../support/challenges.ts'
import { holding, without } from '../support/guards.ts'
import { registered } from '../support/proofs.ts'
import { replicasOf, tally } from '../support/replicas.ts'
import { makePrivileged, reset, resetStage } from '../support/resets.ts'
import { codeOf, moveClock, testService } from '../support/service.ts'

const long = process.env.LATCHKEY_LONG === '1'
const usersMax = long ? 1_000 : 20
if (long) t.setTimeout(900_000)

const service = await testService(t)
const replicas = await replicasOf(t, service, 3)
/** How each of the two asks for the user's lock. */
const asked = { reset: 'select % from "users" %', code: '%approve_challenge%' }
const userLock = 'select from users where tenant_id = $1 and user_id = $2 for update'

t.test(`two resets at once of each of ${usersMax} users: one is done, with one epoch, one audit row and one set of notices`, async (t) => {
  const { tenant, helen, paul, app } = await resetStage(service)
  const [one, two] = [replicas.of(helen)[0]!, replicas.of(paul)[1]!]
  const answers = []
  for (let index = 0; index < usersMax; index++) {
    const userId = `user-${index}`
    await registered(service, tenant, userId, ['mobilePhone'], 48, { mobilePhone: `+1415${5_560_000 + index}` })
    answers.push(...await Promise.all([reset(one, userId), reset(two, userId)]))
  }
  t.strictSame(tally(answers), { 201: usersMax, '409 reset_in_progress': usersMax })
  const counted = async () => (await service.owner.inTenant(await service.tenantIdOf(tenant), ({ db, tenantId }) => sql<{ epochs: number, rows: number, notices: number, removed: number }>`
    select (select sum(mfa_epoch)::int from users where tenant_id = ${tenantId}) as epochs,
           (select count(*)::int from audit_events where tenant_id = ${tenantId} and action = 'mfa.reset') as rows,
           (select count(*)::int from messages where tenant_id = ${tenantId} and kind = 'notice') as notices,
           (select count(*)::int from contact_methods where tenant_id = ${tenantId} and status = 'removed') as removed`.execute(db))).rows[0]
  t.strictSame(await counted(), { epochs: usersMax, rows: usersMax, notices: usersMax, removed: usersMax })

  await moveClock(app, 11)
  t.equal((await reset(one, 'user-0')).status, 201, 'the control: eleven seconds later it is another one')
  t.match(await counted(), { epochs: usersMax + 1, rows: usersMax + 1 })
})

t.test('a reset racing a right code: the code is right before it or never', async (t) => {
  const race = async (first: 'reset' | 'code') => {
    // The phone stays: its removal would be one more guard.
    const body = { scope: 'kinds', kinds: ['alternateEmail'] }
    const { tenant, helen, app } = await resetStage(service)
    const challenge = await app.post('/v1/challenges', { userId: 'ann', purpose: 'signIn' })
    const code = await codeOf(app, challenge.body.id)
    return holding(service, userLock, [await service.tenantIdOf(tenant), 'ann'], async ({ waiting, release }) => {
      const ways = { reset: () => reset(helen, 'ann', body), code: () => verify(app, challenge.body.id, code) }
      const early = ways[first]()
      await waiting(1, asked[first])
      const late = ways[first === 'reset' ? 'code' : 'reset']()
      await waiting(1, asked[first === 'reset' ? 'code' : 'reset'])
      await release()
      const answers = await Promise.all([early, late])
      return { done: answers[first === 'reset' ? 0 : 1], judged: answers[first === 'reset' ? 1 : 0] }
    })
  }
  for (let round = 0; round < (long ? 50 : 3); round++) {
    const after = await race('reset')
    t.equal(after.done.status, 201)
    isRefused(t, after.judged, 'challenge_canceled')
    const before = await race('code')
    t.strictSame([before.done.status, before.judged.status], [201, 200])
  }
  await without(service, 'approve_challenge', ' and u.mfa_epoch = c.mfa_epoch', async () => {
    await without(service, 'approve_challenge', 'x.status = \'pending\' and x.used_at is null', async () => {
      const { judged } = await race('reset')
      t.equal(judged.status, 200, 'the control: without its guards it would be approved after the reset')
    }, 'x.used_at is null')
  })
})

t.test('a reset racing the verification of a pending method: it is removed, or was verified before and removed all the same', async (t) => {
  for (const first of ['reset', 'code'] as const) {
    const { tenant, helen, app, as } = await resetStage(service)
    const ann = await as('ann')
    const added = await ann.post('/v1/users/me/contact-methods', { kind: 'alternatePhone', value: '+14155550144' })
    const challenge = await start(ann, added.body.id)
    const code = await codeOf(ann, challenge.body.id)
    const [done, judged] = await holding(service, userLock, [await service.tenantIdOf(tenant), 'ann'], async ({ waiting, release }) => {
      const ways = { reset: () => reset(helen, 'ann'), code: () => verify(ann, challenge.body.id, code) }
      const early = ways[first]()
      await waiting(1, asked.reset)
      const late = ways[first === 'reset' ? 'code' : 'reset']()
      await waiting(2, asked.reset)
      await release()
      const answers = await Promise.all([early, late])
      return first === 'reset' ? answers : answers.toReversed()
    })
    t.equal(done!.status, 201, done!.text)
    t.equal(judged!.status, first === 'reset' ? 409 : 200, judged!.text)
    t.match((await app.get('/v1/users/ann/sign-in-requirements')).body, { state: 'reregistrationRequired', methods: [] })
    t.notOk((await helen.get('/v1/users/ann/contact-methods')).body.items.some(({ kind }: any) => kind === 'alternatePhone'))
  }
})

t.test('two approvals of one reset at once: it is done once', async (t) => {
  const { tenant, paul, petra, as } = await resetStage(service)
  await makePrivileged(service, tenant, 'ann')
  const asked = await reset(paul, 'ann')
  const pam = await as('pam', { roles: ['privilegedAdmin'] })
  const answers = await Promise.all([petra, pam].map((client, index) => replicas.of(client)[index]!.post(`/v1/approvals/${asked.body.approvalId}/approve`)))
  t.strictSame(answers.map(({ status }) => status).toSorted((a, b) => a - b), [200, 409])
  t.equal((await paul.get('/v1/users/ann/mfa-resets')).body.items.length, 1)
})

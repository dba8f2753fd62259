import t from 'tap'
import { auditOf, isRefused, setPolicy } from '../../support/answers.ts'
import { verify } from '../../support/challenges.ts'
import { issue } from '../../support/passes.ts'
import { registered } from '../../support/proofs.ts'
import { codeOf, moveClock, testService, type Client } from '../../support/service.ts'
import type { Role } from '../../../src/vocabulary.ts'

const service = await testService(t)
let users = 0

/** A tenant whose policy asks for a caller check, and people with a number of their own. */
async function scene () {
  const tenant = await service.tenant()
  await setPolicy(service, tenant, { callerCheck: 'required' })
  const as = (subject: string, ...roles: Role[]) => service.as({ tenant, subject, roles })
  const someone = async () => {
    const userId = `user-${++users}`
    await registered(service, tenant, userId, ['mobilePhone'], 48, { mobilePhone: `+1415555${2000 + users}` })
    return userId
  }
  return { tenant, as, someone, userId: await someone(), hans: await as('hans', 'helpdesk') }
}

async function checked (helper: Client, userId: string): Promise<string> {
  const { status, body, text } = await helper.post('/v1/challenges', { userId, purpose: 'callerCheck' })
  if (status !== 201) throw new Error(`starting answered ${status} ${text}`)
  if ((await verify(helper, body.id, await codeOf(helper, body.id))).status !== 200) throw new Error('not approved')
  return body.id as string
}

const caller = (callerChallengeId: string, more: object = {}) => ({ basis: 'callerCheck', callerChallengeId, ...more })

t.test('where the policy asks for a check, a pass needs one that counts, or a check in person', async (t) => {
  const { tenant, userId, hans } = await scene()
  for (const body of [{}, { basis: 'callerCheck' }, undefined]) isRefused(t, await issue(hans, userId, body), 'forbidden', { rule: 'caller_check' })
  t.match(await auditOf(service, tenant, 'action=passes.issue'), [{ outcome: 'refused', userId, details: { rule: 'caller_check' } }])
  t.equal((await issue(hans, userId, { basis: 'inPerson' })).status, 201)
  const id = await checked(hans, userId)
  t.equal((await issue(hans, userId, { callerChallengeId: id.toUpperCase() })).status, 201, 'that alone says what it is based on')
  t.match((await auditOf(service, tenant, 'action=pass.issued'))[0], { details: { basis: 'callerCheck' } })
  isRefused(t, await issue(hans, userId, caller(id)), 'forbidden', { rule: 'caller_check' }, 'once')
})

t.test('it counts for the administrator who started it, for this user, once approved', async (t) => {
  const { as, someone, userId, hans } = await scene()
  const hanna = await as('hanna', 'helpdesk')
  const other = await someone()
  const id = await checked(hans, userId)
  isRefused(t, await issue(hanna, userId, caller(id)), 'forbidden', { rule: 'caller_check' }, 'another administrator\'s')
  isRefused(t, await issue(hans, other, caller(id)), 'forbidden', { rule: 'caller_check' }, 'of another user')
  const { body: pending } = await hans.post('/v1/challenges', { userId: other, purpose: 'callerCheck' })
  isRefused(t, await issue(hans, other, caller(pending.id)), 'forbidden', { rule: 'caller_check' }, 'not approved')
  const own = await as(userId)
  await moveClock(hans, 31)
  const { body: stepUp } = await own.post('/v1/challenges', { userId: 'me', purpose: 'stepUp' })
  await verify(own, stepUp.id, await codeOf(own, stepUp.id))
  isRefused(t, await issue(hans, userId, caller(stepUp.id)), 'forbidden', { rule: 'caller_check' }, 'of another purpose')
  for (const unknown of [crypto.randomUUID(), '0199c0de-0000-7000-8000-00000000dead']) isRefused(t, await issue(hans, userId, caller(unknown)), 'forbidden', { rule: 'caller_check' })
  isRefused(t, await issue(hans, userId, { callerChallengeId: 'x' }), 'validation_failed', { pointer: '/callerChallengeId' })
  t.equal((await issue(hans, userId, caller(id))).status, 201, 'what was refused has not used it up')
})

t.test('a neighbour\'s check is none, nor is one of an app of the same name', async (t) => {
  const here = await scene()
  const there = await scene()
  const id = await checked(there.hans, there.userId)
  isRefused(t, await issue(here.hans, here.userId, caller(id)), 'forbidden', { rule: 'caller_check' })
})

t.test('for 15 minutes, to the millisecond', async (t) => {
  for (const [afterSeconds, status] of [[899, 201], [902, 403]] as const) {
    const { userId, hans } = await scene()
    const id = await checked(hans, userId)
    await moveClock(hans, afterSeconds)
    t.equal((await issue(hans, userId, caller(id))).status, status, `${afterSeconds} s`)
  }
})

t.test('a pass that is refused for something else leaves the check unused', async (t) => {
  const { userId, hans } = await scene()
  const id = await checked(hans, userId)
  isRefused(t, await issue(hans, userId, caller(id, { lifetimeMinutes: 481 })), 'policy_out_of_bounds')
  isRefused(t, await issue(hans, userId, caller(id, { startsAt: '2099-01-01T00:00:00Z' })), 'policy_out_of_bounds')
  t.equal((await issue(hans, userId, caller(id))).status, 201)
})

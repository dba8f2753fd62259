import fc from 'fast-check'
import t from 'tap'
import { setPolicy } from '../../support/answers.ts'
import { callsOnUsers, heard, nextNumber, type Aim, type Call } from '../../support/authority/calls.ts'
import { issued } from '../../support/passes.ts'
import { someone } from '../../support/people.ts'
import { makePrivileged } from '../../support/resets.ts'
import { testService, type Client, type TestService } from '../../support/service.ts'
import { roles, scopes, type Action, type Scope } from '../../../src/vocabulary.ts'

const runs = process.env.LATCHKEY_LONG === '1' ? 10_000 : 300
const atOnce = 4

/** The route that stands for each action, what it answers where the action is allowed, and who is refused with 403. */
interface Representative { call: Call, allowed: readonly string[], refused: 403 | 404 }
const as = (route: string, refused: 403 | 404, ...allowed: string[]): Representative => ({ call: callsOnUsers[route]!, allowed, refused })

/** A second factor or a proof that is missing, and limits, are not looked at by what is compared here. */
const begun = ['201', '429 send_limited']
const representatives: Partial<Record<Action, Representative>> = {
  'users.read': as('GET user', 404, '200'),
  'users.write': { call: (client, { userId }) => client.put(`/v1/users/${userId}`, { signInEmail: `${nextNumber().slice(1)}@example.com` }), allowed: ['200'], refused: 403 },
  'users.clearPrivilege': as('DELETE privilege', 403, '204'),
  'users.export': as('GET export', 404, '200'),
  'timeline.read': as('GET timeline', 404, '200'),
  'allowedActions.read': as('GET allowed-actions', 404, '200'),
  'signIn.read': as('GET requirements', 404, '200'),
  'contactMethods.read': as('GET methods', 404, '200'),
  'contactMethods.reveal': as('GET user?reveal', 404, '200'),
  'contactMethods.write': as('PATCH method', 404, '200', 'proof'),
  'contactMethods.preVerify': as('POST method:vouched', 404, '201', '409 method_limit_reached'),
  'authenticators.read': as('GET authenticators', 404, '200'),
  'authenticators.write': { call: (client, { userId, authenticatorId }) => client.delete(`/v1/users/${userId}/authenticators/${authenticatorId}`, { 'if-match': '"999"' }), allowed: ['412 version_mismatch', 'proof'], refused: 404 },
  'passes.issue': as('POST pass', 403, '201'),
  'challenges.start': { call: (client, aim) => callsOnUsers['start recovery']!(client, aim), allowed: begun, refused: 404 },
  'callerChecks.start': as('start callerCheck', 403, ...begun),
  'lockout.read': as('GET lockout', 404, '200'),
  'lockout.lift': as('DELETE lockout', 403, '204'),
  'sessions.revoke': as('POST revocation', 404, '201'),
  'mfaResets.create': as('POST reset?dryRun', 403, 'yes'),
  'mfaResets.read': as('GET resets', 404, '200'),
  'offboarding.read': as('GET offboarding', 403, '200', '404'),
  'offboarding.write': as('POST offboarding?dry', 403, 'yes'),
}
const dry: readonly Action[] = ['mfaResets.create', 'offboarding.write']
/** Before it is asked whether to wait, the version is compared. */
const judgedByVersion: readonly Action[] = ['authenticators.write']

interface Item { action: Action, allowed: boolean, rule: string | null, waitsForApproval: boolean }

const named: Readonly<Record<string, string>> = { privileged_target: 'priv', self_administration: 'self', policy_pre_verified: 'vouch', reveal: 'rvl', user_offboarded: 'gone' }

/** What the representative of an action has to answer, if this is what was said of it. */
function answersOf ({ action, allowed, rule, waitsForApproval }: Item, self: boolean): readonly string[] {
  const { allowed: done, refused } = representatives[action]!
  if (waitsForApproval) return judgedByVersion.includes(action) ? done : dry.includes(action) ? ['waits'] : ['202']
  if (allowed) return done
  if (dry.includes(action) && (rule === 'privileged_target' || rule === 'user_offboarded')) return [`no:${rule}`]
  if ((rule === 'role' || rule === 'scope') && refused === 404 && !self && action !== 'contactMethods.preVerify') return ['404']
  return (rule === 'role' || rule === 'scope') && action === 'contactMethods.preVerify' && !self ? [rule, '404'] : [named[rule!] ?? rule!]
}

const targets = ['oneself', 'ordinary', 'privileged', 'offboarded', 'unknown'] as const
const drawn = fc.record({
  kind: fc.constantFrom('person' as const, 'person' as const, 'app' as const),
  roles: fc.subarray([...roles]), scopes: fc.subarray([...scopes]), limited: fc.boolean(),
  target: fc.constantFrom(...targets), action: fc.constantFrom(...Object.keys(representatives) as Action[]),
})

/** One of each target, in a tenant whose policy lets administrators vouch, or does not. */
async function stage (service: TestService, preVerified: boolean) {
  const tenant = await service.tenant()
  const petra = await service.as({ tenant, subject: 'petra', roles: ['privilegedAdmin'] })
  if (preVerified) await setPolicy(service, tenant, { preVerified })
  const one = async (): Promise<Aim> => {
    const { userId, ids } = await someone(service, tenant, ['mobilePhone', 'alternatePhone', 'alternateEmail'])
    return { userId, phone: ids.mobilePhone, alternate: ids.alternatePhone, email: ids.alternateEmail, authenticatorId: (await issued(petra, userId)).authenticatorId }
  }
  const aims = { oneself: await one(), ordinary: await one(), privileged: await one(), offboarded: await one(), unknown: { ...await one(), userId: 'nobody' } }
  await makePrivileged(service, tenant, aims.privileged.userId)
  await petra.post(`/v1/users/${aims.offboarded.userId}/offboarding`)
  return { tenant, petra, aims }
}

t.test(`what is said to be allowed is what happens, for ${runs} random callers, users and actions`, async (t) => {
  const service = await testService(t)
  let compared = 0

  const compare = async (index: number) => {
    const { tenant, petra, aims } = await stage(service, index % 2 === 0)
    /** The pass of a target changes when one is issued. */
    const current = async (aim: Aim): Promise<Aim> => {
      const { body } = await petra.get(`/v1/users/${aim.userId}/authenticators`)
      return { ...aim, authenticatorId: (body.items as Array<{ id: string }>)[0]?.id ?? aim.authenticatorId }
    }
    await fc.assert(fc.asyncProperty(drawn, async ({ kind, roles, scopes, limited, target, action }) => {
      const self = target === 'oneself' && kind === 'person'
      const subject = self ? aims.oneself.userId : `someone-${index}`
      const given: Scope[] = kind === 'app' || limited ? [...new Set<Scope>(['users:read', ...scopes])] : []
      const client: Client = await service.as({ tenant, subject, kind, roles, scopes: given })
      const aim = aims[target]
      const said = await client.get(`/v1/users/${aim.userId}/allowed-actions`)
      if (said.status === 404) return // who may not look is told nothing; the matrix says who that is
      const item = (said.body.items as Item[]).find((one) => one.action === action)!
      const answer = heard(await representatives[action]!.call(client, action === 'authenticators.write' && target !== 'offboarded' ? await current(aim) : aim))
      if (!answersOf(item, self).includes(answer)) throw new Error(`it said ${JSON.stringify(item)} and answered ${answer}`)
      compared++
    }), { numRuns: Math.ceil(runs / atOnce) })
  }
  await Promise.all(Array.from({ length: atOnce }, (_, index) => compare(index)))
  t.ok(compared > runs / 3, `${compared} were compared`)
})

t.test('every action on a user has a route that stands for it', async (t) => {
  const service = await testService(t)
  const tenant = await service.tenant()
  const { body } = await (await service.as({ tenant, subject: 'ann' })).get('/v1/users/me/allowed-actions')
  t.same((body.items as Item[]).map(({ action }) => action).toSorted((a, b) => a.localeCompare(b)), Object.keys(representatives).toSorted((a, b) => a.localeCompare(b)))
})

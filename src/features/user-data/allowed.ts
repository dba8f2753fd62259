import type { Actor, Deps } from '../../platform/deps.ts'
import type { Action } from '../../vocabulary.ts'
import { judgementOn } from '../authority/verdict.ts'
import { policyInForce } from '../policy/policy.ts'
import { knownUser, targetOf } from '../users/users.ts'
import type { AllowedActions } from './schema.ts'

/** The actions that are done to a user; the others are about the tenant. */
export const actionsOnUsers = [
  'users.read', 'users.write', 'users.clearPrivilege', 'users.export', 'timeline.read', 'allowedActions.read', 'signIn.read', 'contactMethods.read', 'contactMethods.reveal', 'contactMethods.write',
  'contactMethods.preVerify', 'authenticators.read', 'authenticators.write', 'passes.issue', 'challenges.start', 'callerChecks.start', 'lockout.read', 'lockout.lift', 'sessions.revoke',
  'mfaResets.create', 'mfaResets.read', 'offboarding.read', 'offboarding.write',
] as const satisfies readonly Action[]

/** Each action on a user, with the answer of the function that decides when it is asked for, and the rule that decided. */
export async function readAllowedActions ({ db }: Deps, actor: Actor, userId: string): Promise<AllowedActions> {
  const { target, policy } = await db.inTenant(actor.tenantId, async (tx) => ({ target: targetOf(await knownUser(tx, userId)), policy: await policyInForce(tx) }))
  return { userId, items: actionsOnUsers.map((action) => ({ action, ...judgementOn(actor, action, target, policy) })) }
}

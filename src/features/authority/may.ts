import type { Actor, Principal, Target, Verdict } from '../../platform/deps.ts'
import { AuthorityRefusal, notFoundDetail, Refusal } from '../../platform/refusal.ts'
import { ruleOf, type Action, type AuthorityRule } from '../../vocabulary.ts'

/** Whether the caller acts on themself: then the self-service rules hold, whatever their role. */
export const isSelf = (principal: { kind: string, subject: string }, userId: string | null): boolean =>
  principal.kind === 'person' && userId === principal.subject

/** Whether the caller may do this to anyone but themself. */
export function mayOnOthers ({ kind, roles, scopes }: Principal, action: Action): boolean {
  const rule = ruleOf(action)
  if (kind === 'app') return rule.scope !== null && (scopes ?? []).includes(rule.scope)
  return rule.roles.some((role) => roles.includes(role)) && withinScopes(scopes, action)
}

/** A person's token that carries Latchkey scopes is limited to them as well as to its roles. */
const withinScopes = (scopes: Principal['scopes'], action: Action) => {
  const { scope } = ruleOf(action)
  return scopes === null || (scope !== null && scopes.includes(scope))
}

/**
 * Judges the caller before anything is looked up. Without the right to this action on anyone but themself they hear
 * 403 on an administrator's route and 404 on another's object; `userId` is null where the route names no user.
 */
export function judgeCaller (principal: Principal, action: Action, userId: string | null): void {
  if (action === 'sandbox.use') return
  const rule = ruleOf(action)
  const own = rule.self && (userId === null || isSelf(principal, userId))
  if (own && principal.kind === 'person') {
    if (withinScopes(principal.scopes, action)) return
    throw refused(action, userId, 'scope')
  }
  if (mayOnOthers(principal, action)) {
    // Nobody is their own administrator.
    if (isSelf(principal, userId)) throw refused(action, userId, 'self_administration')
    return
  }
  if (rule.administrative) throw refused(action, userId, principal.kind === 'app' ? 'scope' : 'role')
  throw new AuthorityRefusal('not_found', notFoundDetail, { action, userId })
}

/** Judges what the caller may do to a user they can see, and whether it waits for a second approver who has not agreed yet. */
export function judgeTarget (actor: Principal & Pick<Actor, 'approvedBy'>, action: Action, target: Target): Verdict {
  if (target.status === 'offboarded') throw new Refusal('user_offboarded', 'The user was off-boarded.')
  const { changes, waits = true, sends } = ruleOf(action)
  if (isSelf(actor, target.userId) || !(changes || sends === 'guarded') || !target.privileged) return 'now'
  if (actor.kind === 'app' || !actor.roles.includes('privilegedAdmin')) throw refused(action, target.userId, 'privileged_target')
  return changes && waits && actor.approvedBy === undefined ? 'secondApprover' : 'now'
}

const details: Record<AuthorityRule, string> = {
  role: 'Your role does not allow this.',
  scope: 'The scopes of your token do not allow this.',
  purpose: 'You may not start a challenge of this purpose.',
  privileged_target: 'This user is privileged: a privileged administrator must do this.',
  second_approver: 'This needs a second approver.',
  self_administration: 'Nobody may do this to themself.',
  own_request: 'Nobody may approve what they have asked for themself.',
  requester: 'Whoever asked for this may not do so any more.',
  break_glass: 'The policy forbids to act without a second approver, or you have done so within the last 24 hours.',
  policy_pre_verified: 'The policy does not let an administrator vouch for a method.',
  reveal: 'You may not see full values.',
  registration_deadline: 'The time to register again is over.',
  caller_check: 'A caller check is needed that you started for this user, approved at most 15 minutes ago and not used before.',
  unknown_tenant: 'The tenant of the token is not known here.',
}

export const refused = (action: Action | 'authenticate', userId: string | null, rule: AuthorityRule) =>
  new AuthorityRefusal('forbidden', details[rule], { action, userId }, { rule })

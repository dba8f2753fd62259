import type { Principal, Target } from '../../platform/deps.ts'
import { AuthorityRefusal, Refusal } from '../../platform/refusal.ts'
import { ruleOf, type Action, type AuthorityRule } from '../../vocabulary.ts'
import { isSelf, judgeCaller, judgeTarget, mayOnOthers } from './may.ts'

/** What would be said to an action on a user, without saying it. */
export interface Judgement {
  allowed: boolean
  /** The rule that decided, where it is not allowed. */
  rule: string | null
  /** Allowed, once a second person approves. */
  waitsForApproval: boolean
}

/**
 * Judges an action on a user as a request would be: the caller first, then the target. `preVerified` is whether the
 * policy lets anyone vouch for a method.
 */
export function judgementOn (principal: Principal, action: Action, target: Target, { preVerified }: { preVerified: boolean }): Judgement {
  // A part of another request is asked for with it, and judged after it.
  if (action === 'contactMethods.reveal') return partOf(judgementOn(principal, 'users.read', target, { preVerified }), revealRule(principal, target))
  if (action === 'contactMethods.preVerify') return partOf(judgementOn(principal, 'contactMethods.write', target, { preVerified }), vouchRule(principal, target, preVerified))
  return judged(principal, () => {
    judgeCaller(principal, action, target.userId)
    const { changes, reads = false, sends } = ruleOf(action)
    return sends !== undefined || (changes && !reads) ? judgeTarget(principal, action, target) : 'now'
  })
}

const partOf = (whole: Judgement, rule: AuthorityRule | null): Judgement =>
  whole.allowed && rule !== null ? { allowed: false, rule, waitsForApproval: false } : whole

/** One's own values one sees without asking. */
const revealRule = (principal: Principal, { userId }: Target): AuthorityRule | null =>
  isSelf(principal, userId) || mayOnOthers(principal, 'contactMethods.reveal') ? null : 'reveal'

/** Why someone who may add a method may not vouch for it. */
export function vouchRule (principal: Principal, { userId }: Pick<Target, 'userId'>, preVerified: boolean): AuthorityRule | null {
  if (isSelf(principal, userId)) return 'self_administration'
  if (!mayOnOthers(principal, 'contactMethods.preVerify')) return principal.kind === 'app' ? 'scope' : 'role'
  return preVerified ? null : 'policy_pre_verified'
}

/** The same where the caller was judged before. */
export const judgementOnTarget = (principal: Principal, action: Action, target: Target): Judgement =>
  judged(principal, () => judgeTarget(principal, action, target))

function judged ({ kind }: Principal, judge: () => 'now' | 'secondApprover'): Judgement {
  try {
    return { allowed: true, rule: null, waitsForApproval: judge() === 'secondApprover' }
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    // On another's object a caller without the right hears 404, which names no rule.
    const unnamed = error instanceof AuthorityRefusal ? (kind === 'app' ? 'scope' : 'role') : error.code
    return { allowed: false, rule: error.extras.rule ?? unnamed, waitsForApproval: false }
  }
}

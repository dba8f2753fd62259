import type { Principal, Target } from '../../platform/deps.ts'
import { AuthorityRefusal, Refusal } from '../../platform/refusal.ts'
import { ruleOf, type Action } from '../../vocabulary.ts'
import { judgeCaller, judgeTarget } from './may.ts'

/** What would be said to an action on a user, without saying it. */
export interface Judgement {
  allowed: boolean
  /** The rule that decided, where it is not allowed. */
  rule: string | null
  /** Allowed, once a second person approves. */
  waitsForApproval: boolean
}

/** Judges an action on a user as a request would be: the caller first, then the target. */
export function judgementOn (principal: Principal, action: Action, target: Target): Judgement {
  return judged(principal, () => {
    judgeCaller(principal, action, target.userId)
    const { changes, reads = false } = ruleOf(action)
    return changes && !reads ? judgeTarget(principal, action, target) : 'now'
  })
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

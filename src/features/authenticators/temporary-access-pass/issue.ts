import type { TenantTx } from '../../../platform/db/index.ts'
import type { Actor, Deps, Verdict, Waiting } from '../../../platform/deps.ts'
import { Refusal } from '../../../platform/refusal.ts'
import { askForApproval, type Executor } from '../../approvals/approvals.ts'
import { judgeTarget, refused } from '../../authority/may.ts'
import { requireStepUp } from '../../authority/step-up.ts'
import { takeBreakGlass } from '../../contact-methods/break-glass.ts'
import { addressesOf, tell } from '../../contact-methods/tell.ts'
import { limitCaller } from '../../limits/callers.ts'
import { policyInForce } from '../../policy/policy.ts'
import type { PolicyDocument } from '../../policy/schema.ts'
import { lockedUser, requireNotFrozen, targetOf } from '../../users/users.ts'
import { issuePass, requirePassWithinBounds } from './pass.ts'
import type { IssuedPass, NewPass } from './schema.ts'

/** Throws unless the caller check counts, and uses it up. Handed in: challenges import authenticators. */
export type SpendCallerCheck = (tx: TenantTx, actor: Actor, userId: string, callerChallengeId: string) => Promise<void>

/** What is kept of a request that waits. */
interface Kept { userId: string, input: Pick<NewPass, 'lifetimeMinutes' | 'oneTime' | 'startsAt' | 'basis' | 'note'> }

/**
 * Issues a pass, or asks for it: for a privileged user a second approver has to agree, and then whoever asked collects it.
 * The caller check is used up and the request counted when it is asked for.
 */
export async function issueOrAsk (deps: Deps, tx: TenantTx, actor: Actor, userId: string, input: NewPass, spendCallerCheck: SpendCallerCheck): Promise<IssuedPass | Waiting> {
  const { verdict, policy } = await judge(tx, actor, userId, input)
  const { callerChallengeId, breakGlass = false, lifetimeMinutes, oneTime, startsAt, note } = input
  if (callerChallengeId !== undefined) await spendCallerCheck(tx, actor, userId, callerChallengeId)
  else if (policy.callerCheck === 'required' && input.basis !== 'inPerson') throw refused('passes.issue', userId, 'caller_check')
  await limitCaller(tx, actor, 'administer')
  const basis = input.basis ?? (callerChallengeId === undefined ? undefined : 'callerCheck')
  const kept = { ...(lifetimeMinutes !== undefined && { lifetimeMinutes }), ...(oneTime !== undefined && { oneTime }), ...(startsAt !== undefined && { startsAt }), ...(basis && { basis }), ...(note !== undefined && { note }) }
  if (verdict === 'secondApprover') {
    if (!breakGlass) {
      const details = { ...(basis && { basis }), ...(callerChallengeId !== undefined && { callerChallengeId }) }
      return askForApproval(deps, tx, actor, { action: 'temporaryAccessPass.issue', userId, request: { userId, input: kept } satisfies Kept, details })
    }
    await takeBreakGlass(deps, tx, actor, policy, userId)
  }
  return issue(deps, tx, actor, policy, { userId, input: kept })
}

/** Locks the user and says whether this waits. A user who is disabled could not use a pass. */
async function judge (tx: TenantTx, actor: Actor, userId: string, input: Kept['input']): Promise<{ verdict: Verdict, policy: PolicyDocument }> {
  const user = await lockedUser(tx, userId)
  const verdict = judgeTarget(actor, 'passes.issue', targetOf(user))
  requireStepUp(actor, 'passes.issue')
  if (user.status !== 'active') throw new Refusal('method_not_usable', 'The user is disabled, and could not use a pass.')
  requireNotFrozen(user, tx.now)
  const policy = await policyInForce(tx)
  requirePassWithinBounds(policy, input)
  return { verdict, policy }
}

async function issue (deps: Deps, tx: TenantTx, actor: Actor, policy: PolicyDocument, { userId, input }: Kept): Promise<IssuedPass> {
  const addresses = await addressesOf(deps, tx, userId)
  const pass = await issuePass(deps, tx, actor, { userId, policy, ...input })
  await tell(deps, tx, { userId, kind: 'passIssued', addresses })
  return pass
}

/** How a pass that waited is made: when it is collected, judged as things are then. Approving it changes nothing yet. */
export const passExecutors = {
  'temporaryAccessPass.issue': {
    summary: 'Issue a temporary access pass to a privileged user',
    execute: async (_deps, tx, actor, { userId, input }) => { await judge(tx, actor, userId, input) },
    async collect (deps, tx, actor, request) {
      const { policy } = await judge(tx, actor, request.userId, request.input)
      return { temporaryAccessPass: await issue(deps, tx, actor, policy, request) }
    },
  } satisfies Executor<Kept>,
}

import type { TenantTx } from '../../platform/db/index.ts'
import type { Actor, Deps } from '../../platform/deps.ts'
import { Refusal } from '../../platform/refusal.ts'
import { askForApproval, type Executor } from '../approvals/approvals.ts'
import { record, withoutPersonalData } from '../audit/audit.ts'
import { issuePass, requirePassWithinBounds, voidPasses } from '../authenticators/temporary-access-pass/pass.ts'
import { judgeTarget, refused } from '../authority/may.ts'
import { requireStepUp } from '../authority/step-up.ts'
import { spendCallerCheck } from '../challenges/caller-check.ts'
import { cancelChallengesOfUser } from '../challenges/challenges.ts'
import { takeBreakGlass } from '../contact-methods/break-glass.ts'
import { resetMethods } from '../contact-methods/reset.ts'
import { addressesOf, tell, tellSecurityContact } from '../contact-methods/tell.ts'
import { limitCaller } from '../limits/callers.ts'
import { forgetFailures } from '../limits/lockout.ts'
import { policyInForce } from '../policy/policy.ts'
import type { PolicyDocument } from '../policy/schema.ts'
import { endSessionsOf, raiseEpoch, requireReregistration } from '../users/reregistration.ts'
import { lockedUser, targetOf, type UserRow } from '../users/users.ts'
import { reasonNow, requireKnownMethods, takesOf } from './plan.ts'
import { completeReset, insertReset, rejectReset, selectNewestSince, selectReset } from './queries.ts'
import type { NewReset, ResetDone, ResetWaiting } from './schema.ts'
import { sealOutcome, sealRequest } from './stored.ts'

/** After a reset was done, so long another one is taken for the same press of the button. */
const repeatSeconds = 10

/**
 * Takes a user's methods away, in one transaction: all of it happens or none. What was sent, proved or left pending
 * before it is worthless from then on. To a privileged user it is done once a second administrator approves.
 */
export async function resetUser (deps: Deps, tx: TenantTx, actor: Actor, userId: string, input: NewReset): Promise<ResetDone | ResetWaiting> {
  const user = await lockedUser(tx, userId)
  const verdict = judgeTarget(actor, 'mfaResets.create', targetOf(user))
  requireStepUp(actor, 'mfaResets.create')
  if (input.temporaryAccessPass && actor.kind === 'app') throw refused('passes.issue', userId, 'scope')
  const policy = await policyInForce(tx)
  if (input.temporaryAccessPass) requirePassWithinBounds(policy, input.temporaryAccessPass, '/temporaryAccessPass')
  await requireKnownMethods(tx, userId, input)
  await refuseRepeated(tx, userId)
  await limitCaller(tx, actor, 'administer')
  await checkCaller(tx, actor, userId, input, policy)

  const id = deps.random.uuid()
  if (verdict === 'secondApprover' && !input.breakGlass) {
    const { approvalId } = await askForApproval(deps, tx, actor, { action: 'mfaResets.create', userId, resourceId: id, request: { resetId: id, userId, input } satisfies Waits, details: { scope: input.scope, reason: input.reason } })
    await insertReset(tx, { ...columnsOf(deps, tx, actor, user, input, id), status: 'pendingApproval', approval_id: approvalId, expires_at: new Date(tx.now.getTime() + approvalMs) })
    return { id, status: 'pendingApproval', approvalId }
  }
  if (verdict === 'secondApprover') await takeBreakGlass(deps, tx, actor, policy, userId)
  const done = await carryOut(deps, tx, actor, user, policy, input, id)
  await insertReset(tx, { ...columnsOf(deps, tx, actor, user, input, id), status: 'completed', completed_at: tx.now, outcome: sealOutcome(deps.keys, tx.tenantId, id, done), mfa_epoch: done.epoch })
  if (!input.temporaryAccessPass) return answerOf(id, done)
  const pass = await issuePass(deps, tx, actor, { userId, policy, ...input.temporaryAccessPass })
  await tell(deps, tx, { userId, kind: 'passIssued', addresses: done.addresses, link: reasonNow(user, input.reason) !== 'compromised' })
  return answerOf(id, done, pass)
}

const approvalMs = 30 * 60_000

/** What is stored of a reset whatever becomes of it. */
const columnsOf = ({ keys }: Deps, { tenantId }: TenantTx, actor: Actor, user: UserRow, input: NewReset, id: string) => ({
  id, user_id: user.user_id, scope: input.scope, reason: input.reason, requested_kind: actor.kind, requested_by: actor.subject, request: sealRequest(keys, tenantId, id, input),
})

/** How much later than this one a reset may have begun that was first at the lock. One still later is of a sandbox clock that was moved back. */
const overtakingMs = 5_000

/** Two administrators, or one who presses twice, do it once. The user must be locked. */
async function refuseRepeated (tx: TenantTx, userId: string): Promise<void> {
  const before = await selectNewestSince(tx, userId, new Date(tx.now.getTime() - repeatSeconds * 1000))
  if (before && before.completed_at!.getTime() <= tx.now.getTime() + overtakingMs) throw new Refusal('reset_in_progress', 'The user was reset a moment ago.', { resetId: before.id, retryAfterSeconds: repeatSeconds })
}

/** A caller check that is named must count; where the policy asks for one, a person must name it. */
async function checkCaller (tx: TenantTx, actor: Actor, userId: string, { callerChallengeId }: NewReset, { callerCheck }: PolicyDocument): Promise<void> {
  if (callerChallengeId !== undefined) return spendCallerCheck(tx, actor, userId, callerChallengeId)
  if (callerCheck === 'required' && actor.kind === 'person') throw refused('mfaResets.create', userId, 'caller_check')
}

type Done = Awaited<ReturnType<typeof carryOut>>

/** Locks are taken in their order: user, wrong codes, challenges. */
async function carryOut (deps: Deps, tx: TenantTx, actor: Actor, user: UserRow, policy: PolicyDocument, input: NewReset, id: string) {
  const { user_id: userId } = user
  const reason = reasonNow(user, input.reason)
  const addresses = await addressesOf(deps, tx, userId)
  const epoch = await raiseEpoch(tx, userId)
  await forgetFailures(tx, userId)
  const takes = takesOf(input, reason)
  const methods = await resetMethods(deps, tx, actor, user, policy, takes)
  const passes = await voidPasses(tx, userId)
  await cancelChallengesOfUser(tx, userId)
  const again = input.scope === 'all' || !methods.meetsPolicy
  if (again) await requireReregistration(tx, userId, { reason })
  const { sessionsValidFrom } = await endSessionsOf(tx, userId, { sessions: input.revokeSessions ?? true, devices: input.forgetDevices ?? true })
  const removed = [...methods.removed, ...passes.map((passId) => ({ id: passId, kind: 'temporaryAccessPass' as const, display: null }))]

  // A thief who has the mailbox must not be able to freeze the account out of their victim's hands.
  const about = { userId, kind: 'reset' as const, details: { reason: input.reason }, link: reason !== 'compromised' }
  const notified = await tell(deps, tx, { ...about, addresses })
  if (addresses.length > 0) await tellSecurityContact(deps, tx, about)
  await record(deps, tx, actor, {
    action: 'mfa.reset', userId,
    details: {
      resetId: id, scope: input.scope, reason: input.reason, epoch, reregistrationRequired: again, removed: removed.map(({ id: methodId, kind }) => ({ id: methodId, kind })),
      revokeSessions: input.revokeSessions ?? true, forgetDevices: input.forgetDevices ?? true, callerChecked: input.callerChallengeId !== undefined,
      ...(input.note !== undefined && { note: withoutPersonalData(input.note) }), ...(input.ticket !== undefined && { ticket: withoutPersonalData(input.ticket) }),
    },
  })
  return { addresses, epoch, removed, kept: methods.kept, notified, sessionsValidFrom }
}

const answerOf = (id: string, { removed, kept, notified, sessionsValidFrom }: Done, pass?: ResetDone['temporaryAccessPass']): ResetDone => ({
  id, status: 'completed', removed, kept, notified, sessionsValidFrom: sessionsValidFrom?.toISOString() ?? null, ...(pass && { temporaryAccessPass: pass }),
})

/** All of it is bound by the approval's hash; the row of the reset is not. */
interface Waits { resetId: string, userId: string, input: NewReset }

/** What approving a reset does: judged again as things are then, and once. */
export const resetExecutor: Executor<Waits> = {
  summary: 'Reset the MFA of a privileged user',
  collects: ({ input }) => input.temporaryAccessPass !== undefined,
  async execute (deps, tx, actor, { resetId, userId, input }) {
    const user = await lockedUser(tx, userId)
    judgeTarget(actor, 'mfaResets.create', targetOf(user))
    await refuseRepeated(tx, userId)
    const done = await carryOut(deps, tx, actor, user, await policyInForce(tx), input, resetId)
    await completeReset(tx, resetId, { outcome: sealOutcome(deps.keys, tx.tenantId, resetId, done), mfa_epoch: done.epoch })
  },

  /** Makes the pass that was asked for. One that would come after yet another reset is none. */
  async collect (deps, tx, actor, { resetId, userId, input }) {
    const user = await lockedUser(tx, userId)
    judgeTarget(actor, 'mfaResets.create', targetOf(user))
    const { temporaryAccessPass } = input
    if (!temporaryAccessPass || user.mfa_epoch !== (await selectReset(tx, resetId))!.mfa_epoch) throw new Refusal('approval_closed', 'There is no pass to collect.')
    const pass = await issuePass(deps, tx, actor, { userId, policy: await policyInForce(tx), ...temporaryAccessPass })
    await tell(deps, tx, { userId, kind: 'passIssued', addresses: await addressesOf(deps, tx, userId), link: reasonNow(user, input.reason) !== 'compromised' })
    return { temporaryAccessPass: pass }
  },

  async rejected (_deps, tx, _actor, { resetId }) {
    await rejectReset(tx, resetId)
  },
}

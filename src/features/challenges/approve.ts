import type { TenantTx } from '../../platform/db/index.ts'
import type { Actor, Deps } from '../../platform/deps.ts'
import { Refusal } from '../../platform/refusal.ts'
import type { Channel, Purpose } from '../../vocabulary.ts'
import { eventOf, record } from '../audit/audit.ts'
import { activateVerified } from '../contact-methods/activate.ts'
import { findMethodToVerify, judgeVerifier } from '../contact-methods/contact-methods.ts'
import { addressesOf, addressOf, tell, tellOfChangedMethod } from '../contact-methods/tell.ts'
import { policyInForce } from '../policy/policy.ts'
import { signProof } from '../proofs/proofs.ts'
import { lockedUser } from '../users/users.ts'
import { cancelChallenges, endedRefusal, ownChallengeIn, refusalFor, starterOf } from './challenges.ts'
import { approveOnce, readOwn, type AttemptRow, type ChallengeRow } from './queries.ts'
import type { Approval } from './schema.ts'
import type { Run } from './send.ts'

/** A refusal that is given back and not thrown has canceled the challenge, which must be committed. */
type Outcome = Approval | Refusal | 'replaced'

/**
 * Approves what is done with that: everything but verifying a contact. One statement, for exactly one right code;
 * `replaced` if a resend has made it a wrong one.
 */
export async function approveOther (deps: Deps, actor: Actor, challenge: AttemptRow, run: Run): Promise<Outcome> {
  const { id, user_id: userId, method_id: methodId, purpose, channel } = challenge
  const event = eventOf(deps, actor.tenantId, challenge.at, actor, { action: channel === 'temporaryAccessPass' ? 'pass.used' : 'challenge.approved', userId, details: { challengeId: id, methodId, purpose, channel } })
  const [approved] = await run(approveOnce(id, challenge.code_mac, event))
  if (approved!.outcome === 'gone') return refusalFor('canceled')
  if (approved!.outcome === 'replaced') return 'replaced'
  if (approved!.outcome === 'ended') {
    const [ended] = await run(readOwn(id, starterOf(actor))) // whoever lost sees what the winner wrote
    throw endedRefusal(ended!)
  }
  return approvalOf(deps, actor, challenge, approved!.issued_at!)
}

/** Approves, and makes the value that the code went to the method's active one. */
export async function approveContact (deps: Deps, tx: TenantTx, actor: Actor, challenge: AttemptRow, run: Run): Promise<Outcome> {
  const user = await lockedUser(tx, challenge.user_id)
  if (user.status !== 'active') {
    await cancelChallenges(tx, [challenge.id])
    return refusalFor('canceled')
  }
  const policy = await policyInForce(tx)
  const method = await findMethodToVerify(tx, challenge.user_id, challenge.method_id)
  if (method) judgeVerifier(actor, user, policy, method, tx.now)
  const [approved] = await run(approveOnce(challenge.id, challenge.code_mac, null))
  if (approved!.outcome === 'gone') return refusalFor('canceled')
  if (approved!.outcome === 'replaced') return 'replaced'
  if (approved!.outcome === 'ended') throw endedRefusal(await ownChallengeIn(tx, actor, challenge.id))
  if (!method) throw new Refusal('challenge_canceled', 'The method is gone: nobody verified it in time.')
  const changed = method.status === 'active' && method.pending_value !== null
  const addresses = await addressesOf(deps, tx, challenge.user_id)
  const active = await activateVerified(deps.keys, tx, { user, policy }, method, challenge.destination_index)
  await record(deps, tx, actor, {
    action: changed ? 'contactMethod.changeVerified' : 'contactMethod.verified', userId: challenge.user_id,
    details: { methodId: challenge.method_id, challengeId: challenge.id, channel: challenge.channel },
  })
  if (changed) await tellOfChangedMethod(deps, tx, addresses, method, active)
  else await tell(deps, tx, { userId: challenge.user_id, kind: 'methodVerified', addresses: [...addresses, addressOf(deps, active)], details: { method: active.kind } })
  return approvalOf(deps, actor, challenge, approved!.issued_at!)
}

type Approved = Pick<ChallengeRow, 'id' | 'user_id' | 'purpose' | 'channel' | 'mfa_epoch' | 'context_hash'>

/** The answer to a right code, with the proof: the same claims whenever it is signed. */
export async function approvalOf (deps: Deps, actor: Actor, challenge: Approved, issuedAt: Date): Promise<Approval> {
  const proof = await signProof(deps, {
    tenantSlug: actor.tenantSlug, challengeId: challenge.id, userId: challenge.user_id, purpose: challenge.purpose as Purpose, channel: challenge.channel as Channel,
    starter: starterOf(actor), epoch: challenge.mfa_epoch, contextHash: challenge.context_hash, issuedAt,
  })
  return { challengeId: challenge.id, status: 'approved', proof }
}

/** Signs the proof of an answer that was kept without it. */
export async function approvalAgain (deps: Deps, tx: TenantTx, actor: Actor, challengeId: string): Promise<Approval> {
  const row = await ownChallengeIn(tx, actor, challengeId)
  return approvalOf(deps, actor, row, row.proof_issued_at!)
}

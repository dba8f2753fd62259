import type { TenantTx } from '../../platform/db/index.ts'
import type { Actor, Deps } from '../../platform/deps.ts'
import { notFound, Refusal, type RefusalCode } from '../../platform/refusal.ts'
import type { Channel, ChallengeStatus, DeliveryState, Purpose } from '../../vocabulary.ts'
import { record } from '../audit/audit.ts'
import { withdrawMessages } from '../delivery/delivery.ts'
import { forgetNewestSend } from '../limits/sends.ts'
import { runIn } from './send.ts'
import { cancel, cancelOfMethod, cancelOfUser, exhaustUnjudged, fail, readOwn, type ChallengeRow, type ReadRow, type Starter } from './queries.ts'
import type { Challenge } from './schema.ts'

export { whichWait } from './queries.ts'

/** Who started a challenge: only they may read, check, resend or cancel it. */
export const starterOf = ({ kind, subject }: Actor): Starter => ({ kind, id: subject })

/** The starter's own challenge; anyone else's is 404. */
export async function readChallenge (deps: Deps, actor: Actor, challengeId: string): Promise<Challenge> {
  return toChallenge(await ownChallenge(deps, actor, challengeId))
}

/** The same, as it is kept. Where the last attempt was counted and whoever should have judged it died, that is the end. */
export async function ownChallenge (deps: Deps, actor: Actor, challengeId: string): Promise<ReadRow> {
  const [row] = await deps.db.call(actor.tenantId, readOwn(challengeId, starterOf(actor)))
  if (!row) throw notFound()
  if (!row.unjudged) return row
  return deps.db.inTenant(actor.tenantId, async (tx) => {
    if (await exhaustUnjudged(tx, challengeId)) await record(deps, tx, actor, exhausted(row))
    return ownChallengeIn(tx, actor, challengeId)
  })
}

/** The audit row of a challenge whose last attempt was not right. */
export const exhausted = ({ id, user_id: userId, method_id: methodId, channel }: Pick<ChallengeRow, 'id' | 'user_id' | 'method_id' | 'channel'>) =>
  ({ action: 'challenge.exhausted', userId, details: { challengeId: id, methodId, channel } })

/** The same inside a transaction: whoever holds locks must not wait for a second connection. */
export async function ownChallengeIn (tx: TenantTx, actor: Actor, challengeId: string): Promise<ReadRow> {
  const [row] = await runIn(tx)(readOwn(challengeId, starterOf(actor)))
  if (!row) throw notFound()
  return row
}

/** Cancels a challenge that is pending; what has not gone out yet is not sent. */
export async function cancelChallenge (deps: Deps, tx: TenantTx, actor: Actor, challengeId: string): Promise<Challenge> {
  const { unjudged } = await ownChallengeIn(tx, actor, challengeId)
  if (unjudged) throw endedRefusal(await ownChallenge(deps, actor, challengeId))
  const canceled = await cancel(tx, [challengeId])
  await withdrawMessages(tx, canceled)
  const row = await ownChallengeIn(tx, actor, challengeId)
  if (canceled.length === 0) throw endedRefusal(row)
  await record(deps, tx, actor, { action: 'challenge.canceled', userId: row.user_id, details: { challengeId, purpose: row.purpose } })
  return toChallenge(row)
}

/** Why a challenge that has ended is not judged any more. */
export function endedRefusal (row: ReadRow): Refusal {
  const status = row.overdue ? 'expired' : row.status as ChallengeStatus
  // Pending, and yet not judged: the last attempt is taken, or the user was reset since.
  return refusalFor(status !== 'pending' ? status : row.attempts >= row.attempts_max ? 'exhausted' : 'canceled')
}

export const refusalFor = (status: keyof typeof ended) => new Refusal(ended[status], endedDetails[status])

const ended = {
  approved: 'challenge_approved', exhausted: 'challenge_exhausted', expired: 'challenge_expired', canceled: 'challenge_canceled', failed: 'challenge_failed',
} as const satisfies Record<Exclude<ChallengeStatus, 'pending'>, RefusalCode>

const endedDetails: Record<keyof typeof ended, string> = {
  approved: 'A right code was given before. It cannot be used again.',
  exhausted: 'There were too many wrong codes. Start another challenge.',
  expired: 'The time is over. Start another challenge.',
  canceled: 'It was canceled, or a newer one took its place.',
  failed: 'The message could not be sent. Start another challenge, by another channel if you can.',
}

/** Ends challenges whose codes must not be used; what has not gone out yet is not sent. */
export async function cancelChallenges (tx: TenantTx, challengeIds: string[]): Promise<void> {
  await withdrawMessages(tx, await cancel(tx, challengeIds))
}

/** A changed or removed value makes every code sent to it worthless. */
export async function cancelChallengesOf (tx: TenantTx, methodId: string): Promise<void> {
  await withdrawMessages(tx, await cancelOfMethod(tx, methodId, 'all'))
}

/** A reset makes every code that the user has worthless. */
export async function cancelChallengesOfUser (tx: TenantTx, userId: string): Promise<void> {
  await withdrawMessages(tx, await cancelOfUser(tx, userId))
}

/** The same for a method that had too many wrong codes: who may not hear of that sees no end, and no code is right. */
export async function cancelSeeingChallengesOf (tx: TenantTx, methodId: string): Promise<void> {
  await withdrawMessages(tx, await cancelOfMethod(tx, methodId, 'seeing'))
}

/** No carrier took the newest message: the challenge ends, and that send does not count against the user's limits. */
export async function failChallenge (tx: TenantTx, challengeId: string): Promise<void> {
  const failed = await fail(tx, challengeId)
  if (failed) await forgetNewestSend(tx, failed)
}

type ShownRow = Omit<ReadRow, 'tenant_id' | 'used_at' | 'attempted_at' | 'unjudged' | 'proof_issued_at' | 'spent_at' | 'code_mac' | 'code_key_version'>

export function toChallenge (row: ShownRow): Challenge {
  return {
    id: row.id, status: row.overdue ? 'expired' : row.status as ChallengeStatus, purpose: row.purpose as Purpose, channel: row.channel as Channel,
    methodId: row.shown_method_id ?? row.method_id, destination: row.destination, codeLength: row.code_length,
    attemptsRemaining: row.attempts_max - row.attempts, sendsRemaining: row.sends_remaining,
    expiresAt: row.expires_at.toISOString(), resendAvailableAt: row.resend_available_at?.toISOString() ?? null, createdAt: row.created_at.toISOString(),
    endedAt: (row.overdue ? row.expires_at : row.ended_at)?.toISOString() ?? null, delivery: row.delivery as DeliveryState | null,
  }
}

/** What a decoy's HMAC covers: no code comes out the same. */
export const noCode = ({ id }: Pick<ChallengeRow, 'id'>) => ['decoy', id]

/** What a code's HMAC covers: a code that is right for another challenge, user, method or purpose is a wrong code. */
export const codeParts = (row: Pick<ChallengeRow, 'id' | 'user_id' | 'method_id' | 'purpose'>, code: string) => [row.id, row.user_id, row.method_id, row.purpose, code]

import type { TenantTx } from '../../platform/db/index.ts'
import type { Actor, Deps } from '../../platform/deps.ts'
import { Refusal } from '../../platform/refusal.ts'
import { record } from '../audit/audit.ts'
import { activateVerified } from '../contact-methods/activate.ts'
import { findMethodToVerify } from '../contact-methods/contact-methods.ts'
import { forgetDestinationSends } from '../limits/destinations.ts'
import { policyInForce } from '../policy/policy.ts'
import { lockedUser } from '../users/users.ts'
import { cancelChallenges, codeParts, endedRefusal, ownChallenge, ownChallengeIn, refusalFor, starterOf } from './challenges.ts'
import { approveOnce, exhaust, takeAttempt, type ChallengeRow } from './queries.ts'
import type { Approval, Verification } from './schema.ts'

/**
 * Judges a code. The attempt is counted, and committed, on a connection of its own before anything is compared; then
 * exactly one right code approves the challenge and makes the value active, in the transaction that is handed in. A
 * wrong code is given back as a refusal, because what it changed must be committed too. A transaction that gave way
 * to another and runs again does not count a second attempt.
 */
export function verifyChallenge (deps: Deps, actor: Actor, challengeId: string, input: Verification): (tx: TenantTx) => Promise<Approval | Refusal> {
  if ((input.code === undefined) === (input.assertion === undefined)) {
    throw new Refusal('validation_failed', 'The body does not fit the schema.', { errors: [{ pointer: '', code: 'oneOf', message: 'must have exactly one of code and assertion' }] })
  }
  let counted: ChallengeRow | undefined
  return async (tx) => {
    const challenge = counted ??= await countAttempt(deps, actor, challengeId)
    const fault = faultOf(deps, challenge, input)
    return fault ? wrong(deps, tx, actor, challenge, fault) : approve(deps, tx, actor, challenge)
  }
}

async function countAttempt (deps: Deps, actor: Actor, challengeId: string): Promise<ChallengeRow> {
  const [result] = await deps.db.batch(actor.tenantId, [takeAttempt(challengeId, starterOf(actor))])
  const taken = result!.rows[0] as ChallengeRow | undefined
  if (taken) return taken
  throw endedRefusal(await ownChallenge(deps, actor, challengeId))
}

/** Spaces, signs, full-width digits and the like are no code, and were counted all the same (CVE-2025-6014). */
function faultOf ({ keys }: Deps, challenge: ChallengeRow, { code }: Verification): 'channel_not_available' | 'malformed_code' | 'wrong_code' | undefined {
  if (code === undefined) return 'channel_not_available'
  if (!/^[0-9]+$/.test(code)) return 'malformed_code'
  const right = keys.macMatches('code', challenge.tenant_id, codeParts(challenge, code), challenge.code_key_version, challenge.code_mac)
  return right ? undefined : 'wrong_code'
}

const faultDetails = {
  channel_not_available: 'This challenge takes a code.',
  malformed_code: 'A code is made of the digits 0 to 9 only.',
  wrong_code: 'The code is wrong.',
}

async function wrong (deps: Deps, tx: TenantTx, actor: Actor, challenge: ChallengeRow, fault: keyof typeof faultDetails): Promise<Refusal> {
  const attemptsRemaining = challenge.attempts_max - challenge.attempts
  if (attemptsRemaining === 0 && await exhaust(tx, challenge.id)) {
    await record(deps, tx, actor, { action: 'challenge.exhausted', userId: challenge.user_id, details: { challengeId: challenge.id, methodId: challenge.method_id } })
  }
  return new Refusal(fault, faultDetails[fault], { attemptsRemaining })
}

async function approve (deps: Deps, tx: TenantTx, actor: Actor, challenge: ChallengeRow): Promise<Approval | Refusal> {
  const user = await lockedUser(tx, challenge.user_id)
  if (user.status !== 'active') {
    await cancelChallenges(tx, [challenge.id])
    return refusalFor('canceled')
  }
  if (!await approveOnce(tx, challenge)) throw endedRefusal(await ownChallengeIn(tx, actor, challenge.id))
  const method = await findMethodToVerify(tx, challenge.user_id, challenge.method_id)
  if (!method) throw new Refusal('challenge_canceled', 'The method is gone: nobody verified it in time.')
  const changed = method.status === 'active'
  const policy = await policyInForce(tx)
  await activateVerified(deps.keys, tx, { user, policy }, method, challenge.destination_index)
  await forgetDestinationSends(tx, challenge.destination_index, challenge.id, 'approved')
  await record(deps, tx, actor, {
    action: changed ? 'contactMethod.changeVerified' : 'contactMethod.verified', userId: challenge.user_id,
    details: { methodId: challenge.method_id, challengeId: challenge.id, channel: challenge.channel },
  })
  return { challengeId: challenge.id, status: 'approved', proof: null }
}

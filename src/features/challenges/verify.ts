import { setTimeout as pause } from 'node:timers/promises'
import type { TenantTx } from '../../platform/db/index.ts'
import type { Actor, Deps } from '../../platform/deps.ts'
import { Refusal } from '../../platform/refusal.ts'
import { record } from '../audit/audit.ts'
import { activateVerified } from '../contact-methods/activate.ts'
import { findMethodToVerify, judgeVerifier } from '../contact-methods/contact-methods.ts'
import { forgetDestinationSends } from '../limits/destinations.ts'
import { policyInForce } from '../policy/policy.ts'
import { lockedUser } from '../users/users.ts'
import { cancelChallenges, codeParts, endedRefusal, ownChallenge, ownChallengeIn, refusalFor, starterOf } from './challenges.ts'
import { approveOnce, exhaust, takeAttempt, type ChallengeRow, type ReadRow } from './queries.ts'
import type { Approval, Verification } from './schema.ts'

/** One check of a code, in two steps. */
export interface Check {
  /** Counts the attempt, and commits that, before anything is compared. Refuses at once unless there is something to write down. */
  count: () => Promise<void>
  /**
   * Approves the challenge and makes the value active, for exactly one right code, or ends it for the last wrong one; this
   * is given back as a refusal, because what it changed must be committed too. Counts first where nobody has.
   */
  judge: (tx: TenantTx) => Promise<Approval | Refusal>
}

/** Judges a code. A transaction that gave way to another and runs again does not count a second attempt. */
export function checkOf (deps: Deps, actor: Actor, challengeId: string, input: Verification): Check {
  if ((input.code === undefined) === (input.assertion === undefined)) {
    throw new Refusal('validation_failed', 'The body does not fit the schema.', { errors: [{ pointer: '', code: 'oneOf', message: 'must have exactly one of code and assertion' }] })
  }
  let counted: { challenge: ChallengeRow, refusal: Refusal | undefined } | undefined
  const count = async () => {
    if (counted) return counted
    const challenge = await countAttempt(deps, actor, challengeId)
    counted = { challenge, refusal: refusalOf(deps, challenge, input) }
    if (counted.refusal && challenge.attempts < challenge.attempts_max) throw counted.refusal
    return counted
  }
  return {
    async count () { await count() },
    async judge (tx) {
      const { challenge, refusal } = await count()
      if (!refusal) return approve(deps, tx, actor, challenge)
      await endExhausted(deps, tx, actor, challenge)
      return refusal
    },
  }
}

async function countAttempt (deps: Deps, actor: Actor, challengeId: string): Promise<ChallengeRow> {
  const [result] = await deps.db.batch(actor.tenantId, [takeAttempt(challengeId, starterOf(actor))])
  const taken = result!.rows[0] as ChallengeRow | undefined
  if (taken) return taken
  let challenge = await ownChallenge(deps, actor, challengeId)
  // The last attempts are being judged by others at this moment: only their verdict says how it ended.
  for (let look = 0; look < looksMax && isBeingJudged(challenge); look++) {
    await pause(lookAgainMs)
    challenge = await ownChallenge(deps, actor, challengeId)
  }
  throw endedRefusal(challenge)
}

const looksMax = 40
const lookAgainMs = 25

const isBeingJudged = ({ status, overdue, attempts, attempts_max: max }: ReadRow) => status === 'pending' && !overdue && attempts >= max

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

function refusalOf (deps: Deps, challenge: ChallengeRow, input: Verification): Refusal | undefined {
  const fault = faultOf(deps, challenge, input)
  return fault && new Refusal(fault, faultDetails[fault], { attemptsRemaining: challenge.attempts_max - challenge.attempts })
}

async function endExhausted (deps: Deps, tx: TenantTx, actor: Actor, challenge: ChallengeRow): Promise<void> {
  if (!await exhaust(tx, challenge.id)) return
  await record(deps, tx, actor, { action: 'challenge.exhausted', userId: challenge.user_id, details: { challengeId: challenge.id, methodId: challenge.method_id } })
}

async function approve (deps: Deps, tx: TenantTx, actor: Actor, challenge: ChallengeRow): Promise<Approval | Refusal> {
  const user = await lockedUser(tx, challenge.user_id)
  if (user.status !== 'active') {
    await cancelChallenges(tx, [challenge.id])
    return refusalFor('canceled')
  }
  const policy = await policyInForce(tx)
  const method = await findMethodToVerify(tx, challenge.user_id, challenge.method_id)
  if (method) judgeVerifier(actor, user, policy, method)
  if (!await approveOnce(tx, challenge)) throw endedRefusal(await ownChallengeIn(tx, actor, challenge.id))
  if (!method) throw new Refusal('challenge_canceled', 'The method is gone: nobody verified it in time.')
  const changed = method.status === 'active'
  await activateVerified(deps.keys, tx, { user, policy }, method, challenge.destination_index)
  await forgetDestinationSends(tx, challenge.destination_index, challenge.id, 'approved')
  await record(deps, tx, actor, {
    action: changed ? 'contactMethod.changeVerified' : 'contactMethod.verified', userId: challenge.user_id,
    details: { methodId: challenge.method_id, challengeId: challenge.id, channel: challenge.channel },
  })
  return { challengeId: challenge.id, status: 'approved', proof: null }
}

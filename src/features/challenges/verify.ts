import { setTimeout as pause } from 'node:timers/promises'
import type { TenantTx } from '../../platform/db/index.ts'
import type { Actor, Deps } from '../../platform/deps.ts'
import { Refusal } from '../../platform/refusal.ts'
import { record } from '../audit/audit.ts'
import { isPass, passTriesMax, wearOutPass } from '../authenticators/temporary-access-pass/pass.ts'
import { disableMethod } from '../contact-methods/disable.ts'
import { tellOfLock } from '../contact-methods/tell.ts'
import { policyInForce } from '../policy/policy.ts'
import { lockedUser } from '../users/users.ts'
import { approveContact, approveOther } from './approve.ts'
import { cancelChallenges, cancelSeeingChallengesOf, codeParts, endedRefusal, exhausted, ownChallenge, starterOf } from './challenges.ts'
import { methodLocked, userLocked } from './locks.ts'
import { exhaust, takeAttempt, type AttemptRow, type ReadRow } from './queries.ts'
import type { Approval, Verification } from './schema.ts'
import { runAlone, runIn } from './send.ts'
import { wrongCodesOfMethodMax } from './setting.ts'

/** One check of a code, in two steps. */
export interface Check {
  /** Counts the attempt, and commits that, before anything is compared. Refuses at once unless there is something to write down. */
  count: () => Promise<void>
  /** After `count`: approves in one statement what needs no more than that. Undefined where a transaction is needed. */
  approve: () => Promise<Approval | undefined>
  /**
   * Approves the challenge, for exactly one right code, or ends it for the last wrong one; this is given back as a
   * refusal, because what it changed must be committed too. Counts first where nobody has.
   */
  judge: (tx: TenantTx) => Promise<Approval | Refusal>
}

interface Counted { challenge: AttemptRow, refusal: Refusal | undefined }

/** Judges a code. A transaction that gave way to another and runs again does not count a second attempt. */
export function checkOf (deps: Deps, actor: Actor, challengeId: string, input: Verification): Check {
  if ((input.code === undefined) === (input.assertion === undefined)) {
    throw new Refusal('validation_failed', 'The body does not fit the schema.', { errors: [{ pointer: '', code: 'oneOf', message: 'must have exactly one of code and assertion' }] })
  }
  let counted: Counted | undefined
  const count = async () => {
    if (counted) return counted
    const challenge = await countAttempt(deps, actor, challengeId)
    return refuse(challenge, faultOf(deps, actor, challenge, input))
  }
  /** Keeps the verdict. What leaves no trace is refused at once. */
  const refuse = (challenge: AttemptRow, fault: Fault | undefined): Counted => {
    const refusal = fault && new Refusal(fault, faultDetails[fault], { attemptsRemaining: challenge.attempts_max - challenge.attempts })
    counted = { challenge, refusal }
    if (refusal && !leavesATrace(challenge)) throw refusal
    return counted
  }
  return {
    async count () { await count() },
    async approve () {
      const { challenge, refusal } = await count()
      if (refusal || challenge.purpose === 'verifyContact') return undefined
      const approval = await approveOther(deps, actor, challenge, runAlone(deps, actor))
      if (approval instanceof Refusal) throw approval
      if (approval !== 'replaced') return approval
      refuse(challenge, 'wrong_code')
      return undefined
    },
    async judge (tx) {
      const { challenge, refusal } = await count()
      if (!refusal) {
        const approval = await (challenge.purpose === 'verifyContact' ? approveContact(deps, tx, actor, challenge, runIn(tx)) : approveOther(deps, actor, challenge, runIn(tx)))
        if (approval !== 'replaced') return approval
      }
      await leaveTrace(deps, tx, actor, challenge)
      return refusal ?? refuse(challenge, 'wrong_code').refusal!
    },
  }
}

async function countAttempt (deps: Deps, actor: Actor, challengeId: string): Promise<AttemptRow> {
  const [taken] = await deps.db.call(actor.tenantId, takeAttempt(challengeId, starterOf(actor)))
  if (taken?.outcome === 'locked') throw await lockedRefusal(deps, actor, taken)
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

/** Nothing was counted: the user is locked, or this method is, which had too many wrong codes. */
async function lockedRefusal ({ db }: Deps, { tenantId }: Actor, { locked_until: until }: AttemptRow): Promise<Refusal> {
  const now = await db.inTenant(tenantId, async (tx) => tx.now)
  return until && until > now ? userLocked(until, now) : methodLocked()
}

/** Spaces, signs, full-width digits and the like are no code, and were counted all the same (CVE-2025-6014). */
function faultOf ({ keys }: Deps, { tenantId }: Actor, challenge: AttemptRow, { code }: Verification): Fault | undefined {
  if (code === undefined) return 'channel_not_available'
  if (byPass(challenge)) return isPass(keys, tenantId, { ...challenge, id: challenge.method_id }, code) && !challenge.decoy ? undefined : 'wrong_code'
  if (!/^[0-9]+$/.test(code)) return 'malformed_code'
  const right = keys.macMatches('code', tenantId, codeParts(challenge, code), challenge.code_key_version, challenge.code_mac)
  return right && !challenge.decoy ? undefined : 'wrong_code'
}

type Fault = keyof typeof faultDetails

const faultDetails = {
  channel_not_available: 'This challenge takes a code.',
  malformed_code: 'A code is made of the digits 0 to 9 only.',
  wrong_code: 'The code is wrong.',
}

const isExhausted = ({ attempts, attempts_max: max }: AttemptRow) => attempts >= max
/** Whether this wrong code is the one that locks the user: from 10 in a row on, every fifth. */
const locks = ({ locked_until: until }: AttemptRow) => until !== null
const byPass = ({ channel }: AttemptRow) => channel === 'temporaryAccessPass'
const isWornOut = (challenge: AttemptRow) => challenge.on_method !== null && challenge.on_method >= (byPass(challenge) ? passTriesMax : wrongCodesOfMethodMax)

const leavesATrace = (challenge: AttemptRow) => isExhausted(challenge) || (!challenge.decoy && (locks(challenge) || isWornOut(challenge)))

/** Writes down what a wrong code did beside being counted. */
async function leaveTrace (deps: Deps, tx: TenantTx, actor: Actor, challenge: AttemptRow): Promise<void> {
  const ended = exhausted(challenge)
  const user = !challenge.decoy && locks(challenge) ? await lockedUser(tx, challenge.user_id) : null // before a challenge, in the order of locks
  if (!challenge.decoy && isWornOut(challenge)) await wearOut(deps, tx, actor, challenge)
  if (isExhausted(challenge) && await exhaust(tx, challenge.id)) await record(deps, tx, actor, ended)
  if (user) {
    await tellOfLock(deps, tx, user)
    await record(deps, tx, actor, { ...ended, action: 'user.locked', details: { ...ended.details, wrongCodesInARow: challenge.in_a_row, until: challenge.locked_until!.toISOString() } })
  }
}

/** Ends what had too many wrong codes: a method is disabled, a pass is void, and so is this challenge for who may know. */
async function wearOut (deps: Deps, tx: TenantTx, actor: Actor, challenge: AttemptRow): Promise<void> {
  const { id, user_id: userId, method_id: methodId } = challenge
  if (!byPass(challenge)) return disableMethod(deps, tx, actor, await policyInForce(tx), userId, methodId, cancelSeeingChallengesOf)
  await wearOutPass(deps, tx, actor, userId, methodId, id)
  if (!isExhausted(challenge) && !challenge.blind) await cancelChallenges(tx, [id])
}

import type { Actor, Deps } from '../../platform/deps.ts'
import { Refusal } from '../../platform/refusal.ts'
import type { Channel, Purpose } from '../../vocabulary.ts'
import { eventOf } from '../audit/audit.ts'
import { sendArgument, type Send, type SendBucket } from '../limits/sends.ts'
import { cancelChallenges, codeParts, endedRefusal, noCode, ownChallenge, refusalFor, starterOf, toChallenge } from './challenges.ts'
import { destinationFor, type Destination } from './choose.ts'
import { contextDisplayOf } from './context.ts'
import { decoyDestination, tells } from './decoys.ts'
import { lockOf } from './locks.ts'
import { readOwn, resendUnlessRefused, type NewCode, type Outgoing, type ReadRow } from './queries.ts'
import type { Challenge } from './schema.ts'
import { blockIfBreached, codeMessageRow, lifetimeSecondsOf, preparationsMax, sendLimited, type Run } from './send.ts'
import { settingOf, type Setting } from './setting.ts'
import { guardOf, sendTo } from './start.ts'

/**
 * Sends a new code for a challenge of one's own: the old code is wrong from then on, attempts go on counting, and 15
 * minutes after the start it ends all the same. What is refused sends nothing and leaves the old code good.
 */
export async function resendCode (deps: Deps, actor: Actor, challengeId: string, run: Run): Promise<Challenge> {
  for (let preparation = 1; preparation <= preparationsMax; preparation++) {
    const challenge = await ownChallenge(deps, actor, challengeId)
    if (challenge.status !== 'pending' || challenge.overdue || challenge.attempts >= challenge.attempts_max) throw endedRefusal(challenge)
    if (challenge.channel === 'temporaryAccessPass') throw new Refusal('nothing_to_resend', 'A pass is not sent. Enter the one that the help desk gave.')
    const setting = await settingOf(deps, actor.tenantId, challenge.user_id, challenge.method_id)
    const destination = destinationAgain(deps, setting, challenge)
    if (destination === 'over') {
      await deps.db.inTenant(actor.tenantId, (tx) => cancelChallenges(tx, [challengeId]))
      throw refusalFor('canceled')
    }
    const { code, outgoing, number } = prepare(deps, actor, setting, challenge, destination)
    const [written] = await run(resendUnlessRefused(challengeId, code, outgoing))
    if (written!.outcome === 'stale') continue
    if (written!.outcome === 'ended') throw endedRefusal((await run(readOwn(challengeId, starterOf(actor))))[0]!)
    if (written!.outcome === 'refused') {
      const bucket = written!.refused_by as SendBucket
      await blockIfBreached(deps, actor, bucket, number)
      throw sendLimited(bucket, written!.available_at!, setting.at, challengeId)
    }
    deps.wake('deliver')
    const [row] = await run(readOwn(challengeId, starterOf(actor)))
    return toChallenge({ ...row!, delivery: 'queued' })
  }
  throw new Refusal('unavailable', 'The user\'s methods are being changed. Try again.', { retryAfterSeconds: 1 })
}

interface Prepared { code: NewCode, outgoing: Outgoing, number: string | null }

/** Without a destination everything looks as if it were sent, and no code is right from now on. */
function prepare (deps: Deps, actor: Actor, setting: Setting, challenge: ReadRow, destination: Destination | null): Prepared {
  const { keys } = deps
  const { policy, at } = setting
  const code = deps.random.digits(policy.codes.length)
  const newCode = (parts: string[]) => ({ mac: keys.mac('code', actor.tenantId, parts), keyVersion: keys.newest, length: policy.codes.length })
  const event = eventOf(deps, actor.tenantId, at, actor, { action: 'challenge.resent', userId: challenge.user_id, details: { challengeId: challenge.id, purpose: challenge.purpose, channel: challenge.channel } })
  const purpose = challenge.purpose as Purpose
  if (!destination) {
    const send: Send = { number: null, proven: purpose !== 'verifyContact', decoy: true, stray: isStray(deps, actor, setting, challenge), addressBucket: challenge.address_bucket }
    const lifetimeSeconds = challenge.channel === 'email' ? policy.codes.emailSeconds : policy.codes.phoneSeconds
    return { code: newCode(noCode(challenge)), number: null, outgoing: { message: null, event, guard: null, sends: sendArgument(keys, actor.tenantId, policy, send), lifetimeSeconds } }
  }
  const lifetimeSeconds = lifetimeSecondsOf(setting, destination, purpose)
  const saidSeconds = Math.max(1, Math.min(lifetimeSeconds, Math.floor((challenge.created_at.getTime() + challengeMaxMs - at.getTime()) / 1000)))
  const send = sendTo(destination, purpose, challenge.address_bucket)
  return {
    code: newCode(codeParts(challenge, code)), number: send.number,
    outgoing: {
      message: codeMessageRow(deps, actor, setting, destination, { userId: challenge.user_id, challengeId: challenge.id, purpose, code, lifetimeSeconds: saidSeconds, contextDisplay: contextDisplayOf(keys, challenge) }),
      event, guard: guardOf(setting, setting.user!, destination), sends: sendArgument(keys, actor.tenantId, policy, send), lifetimeSeconds,
    },
  }
}

/** Whether the decoy counted apart from its user's sends when it was started. */
const isStray = (deps: Deps, actor: Actor, setting: Setting, { decoy, user_id: userId, method_id: methodId, purpose, channel }: ReadRow) =>
  decoy && decoyDestination(deps, actor, setting, userId, { purpose: purpose as Purpose, methodId, channel: channel as Channel }).stray

/** 15 minutes after its start a challenge ends, however often it was sent again. */
const challengeMaxMs = 900_000

/** Where a new code goes: null where nothing is sent and the starter may not hear why, `over` where the challenge is. */
function destinationAgain (deps: Deps, setting: Setting, challenge: ReadRow): Destination | null | 'over' {
  if (challenge.decoy) return null
  try {
    const destination = sameDestination(deps, setting, challenge)
    return destination ?? (challenge.blind ? null : 'over')
  } catch (error) {
    if (challenge.blind && tells(error)) return null
    throw error
  }
}

/** Where the code went before; undefined if the number or the user has changed since. Refuses where it may not go now. */
function sameDestination (deps: Deps, setting: Setting, challenge: ReadRow): Destination | undefined {
  const { user, at } = setting
  const purpose = challenge.purpose as Purpose
  if (user?.status !== 'active' || user.epoch !== challenge.mfa_epoch || !user.methods.some(({ id }) => id === challenge.method_id)) return undefined
  const lock = lockOf(user, challenge.method_id, purpose, at)
  if (lock) throw lock
  const destination = destinationFor(deps.keys, setting, user, { purpose, methodId: challenge.method_id, channel: challenge.channel as Channel })
  return destination.index.equals(challenge.destination_index) ? destination : undefined
}

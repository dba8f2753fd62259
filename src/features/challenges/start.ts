import { isIP } from 'node:net'
import type { Actor, Deps } from '../../platform/deps.ts'
import { notFound, Refusal } from '../../platform/refusal.ts'
import { purposesOfApps, purposesOfPersons, type Purpose } from '../../vocabulary.ts'
import { judgeCaller, refused } from '../authority/may.ts'
import { judgeVerifier } from '../contact-methods/contact-methods.ts'
import { displayOf, isEmail } from '../contact-methods/value.ts'
import { addressBucketOf, prefixIndexOf, sendArgument, type Send, type SendBucket } from '../limits/sends.ts'
import { codeParts, noCode, toChallenge } from './challenges.ts'
import { destinationFor, requireChannel, type Destination } from './choose.ts'
import { contextHashOf, unfit } from './context.ts'
import { decoyDestination, isBlind, tells, type DecoyDestination } from './decoys.ts'
import { lockOf } from './locks.ts'
import { startUnlessRefused, type Outgoing } from './queries.ts'
import { attemptsMax, reachable, rowOf, startedEvent, type Prepared } from './row.ts'
import type { Challenge, NewChallenge } from './schema.ts'
import { blockIfBreached, codeMessageRow, lifetimeSecondsOf, preparationsMax, sendLimited, type Run } from './send.ts'
import { settingOf, type Reachable, type Setting } from './setting.ts'
import { preparedByPass } from './start-by-pass.ts'

/**
 * Starts a challenge and writes its message, all in one statement: what is refused sends nothing, counts nothing and
 * cancels nothing. Everything is judged on what was read before; if that has changed when it is written, it is judged
 * anew. An app that may not learn who can be reached gets a decoy where others get a refusal.
 */
export async function startChallenge (deps: Deps, actor: Actor, { methodId, ...asked }: NewChallenge, run: Run): Promise<Challenge> {
  const input = { ...asked, ...(methodId !== undefined && { methodId: methodId.toLowerCase() }) }
  const userId = input.userId === 'me' && actor.kind === 'person' ? actor.subject : input.userId
  judgeStarter(actor, input, userId)
  judgeInput(actor, input)
  const contextHash = input.context === undefined ? null : contextHashOf(input.context)

  for (let preparation = 1; preparation <= preparationsMax; preparation++) {
    const setting = await settingOf(deps, actor.tenantId, userId, input.methodId)
    requireChannel(input.purpose, input.channel, setting.policy)
    const prepared = await preparedByPass(deps, actor, setting, userId, input, contextHash, () => prepare(deps, actor, setting, userId, input, contextHash))
    const [written] = await run(startUnlessRefused(prepared.row, prepared.outgoing))
    if (written!.outcome === 'stale') continue
    if (written!.outcome === 'refused') {
      const bucket = written!.refused_by as SendBucket
      await blockIfBreached(deps, actor, bucket, prepared.number)
      throw sendLimited(bucket, written!.available_at!, setting.at, written!.pending_id)
    }
    const sends = prepared.outgoing.sends !== null
    if (sends) deps.wake('deliver')
    return toChallenge({
      ...prepared.row, created_at: written!.created_at!, expires_at: written!.expires_at!, resend_available_at: written!.available_at, sends_remaining: written!.remaining!,
      ended_at: null, overdue: false, delivery: sends ? 'queued' : null,
    })
  }
  throw new Refusal('unavailable', 'The user\'s methods are being changed. Try again.', { retryAfterSeconds: 1 })
}

/** Who may start what for whom (Contract, "Challenge"). */
function judgeStarter (actor: Actor, { purpose }: NewChallenge, userId: string): void {
  if (purpose === 'callerCheck') return judgeCaller(actor, 'callerChecks.start', userId)
  judgeCaller(actor, 'challenges.start', userId)
  const starts = actor.kind === 'app' ? purposesOfApps : purposesOfPersons
  if (!starts.some((one) => one === purpose)) throw refused('challenges.start', userId, 'purpose')
}

function judgeInput ({ kind }: Actor, { purpose, context, clientAddress }: NewChallenge): void {
  if (purpose === 'transaction' && context === undefined) throw unfit('/context', 'required', 'is needed for a transaction')
  if (context !== undefined && (kind !== 'app' || purpose === 'verifyContact')) throw unfit('/context', 'not_allowed', 'is what an app asks the person to approve')
  if (clientAddress !== undefined && isIP(clientAddress) === 0) throw unfit('/clientAddress', 'address', 'is not an IP address')
}

function prepare (deps: Deps, actor: Actor, setting: Setting, userId: string, input: NewChallenge, contextHash: Buffer | null): Prepared {
  const blind = isBlind(actor)
  try {
    const user = reachable(actor, setting, userId, input)
    const destination = destinationFor(deps.keys, setting, user, input)
    const lock = lockOf(user, destination.method.id, input.purpose, setting.at)
    // To who may not hear of the lock everything looks as before, and no code is right.
    if (lock && blind) return prepareDecoy(deps, actor, setting, userId, input, contextHash, shownAs(destination), guardOf(setting, user, destination))
    if (lock) throw lock
    if (input.purpose === 'verifyContact' && actor.kind === 'app') judgeApp(actor, setting, userId, user, destination)
    return prepareReal(deps, actor, setting, userId, input, contextHash, user, destination)
  } catch (error) {
    if (!blind || !tells(error)) throw error
    return prepareDecoy(deps, actor, setting, userId, input, contextHash, decoyDestination(deps, actor, setting, userId, input), null)
  }
}

/** What an app may have verified for a user. A blind one does not hear that there is something. */
function judgeApp (actor: Actor, { policy, at }: Setting, userId: string, { firstRegisteredAt, epoch }: Reachable, { method }: Destination): void {
  try {
    // Who must register again needs a proof to verify, not to be sent a code.
    judgeVerifier(actor, { user_id: userId, first_registered_at: firstRegisteredAt, mfa_epoch: epoch, reregistration_since: null, reregistration_reason: null }, policy, method, at)
  } catch (error) {
    throw isBlind(actor) ? notFound() : error
  }
}

const shownAs = ({ method, channel, text, index }: Destination): DecoyDestination => ({ methodId: method.id, channel, display: displayOf(method.kind, text), index, stray: false })

/** What must still hold when a challenge is written. */
export const guardOf = ({ policyVersion }: Setting, { epoch }: Reachable, { method }: Destination) =>
  ({ epoch, methodId: method.id, methodVersion: method.version, methodStatus: method.status, policyVersion })

function prepareReal (deps: Deps, actor: Actor, setting: Setting, userId: string, input: NewChallenge, contextHash: Buffer | null, user: Reachable, destination: Destination): Prepared {
  const { policy } = setting
  const id = deps.random.uuid()
  const code = deps.random.digits(policy.codes.length)
  const lifetimeSeconds = lifetimeSecondsOf(setting, destination, input.purpose)
  const send = sendTo(destination, input.purpose, addressBucketOf(deps.keys, actor.tenantId, input.clientAddress))
  return {
    number: send.number,
    row: rowOf(deps, actor, input, {
      id, user_id: userId, method_id: destination.method.id, shown_method_id: null, channel: destination.channel, destination: displayOf(destination.method.kind, destination.text), destination_index: destination.index,
      mfa_epoch: user.epoch, decoy: false, prefix_index: prefixIndexOf(deps.keys, actor.tenantId, send), address_bucket: send.addressBucket, context_hash: contextHash,
      ...codeColumns(deps, actor, setting, codeParts({ id, user_id: userId, method_id: destination.method.id, purpose: input.purpose }, code)),
    }),
    outgoing: {
      message: codeMessageRow(deps, actor, setting, destination, { userId, challengeId: id, purpose: input.purpose, code, lifetimeSeconds, contextDisplay: input.context?.display ?? null }),
      event: startedEvent(deps, actor, setting, userId, { challengeId: id, methodId: destination.method.id, purpose: input.purpose, channel: destination.channel }),
      guard: guardOf(setting, user, destination), sends: sendArgument(deps.keys, actor.tenantId, policy, send), lifetimeSeconds,
    },
  }
}

/** Everything as for a real one, but for the message; no code is right. */
function prepareDecoy (deps: Deps, actor: Actor, setting: Setting, userId: string, input: NewChallenge, contextHash: Buffer | null, shown: DecoyDestination, guard: Outgoing['guard']): Prepared {
  const { policy } = setting
  const id = deps.random.uuid()
  const send: Send = { number: null, proven: input.purpose !== 'verifyContact', decoy: true, stray: shown.stray, addressBucket: addressBucketOf(deps.keys, actor.tenantId, input.clientAddress) }
  return {
    number: null,
    row: rowOf(deps, actor, input, {
      id, user_id: userId, method_id: shown.methodId, shown_method_id: null, channel: shown.channel, destination: shown.display, destination_index: shown.index,
      mfa_epoch: guard?.epoch ?? 0, decoy: true, prefix_index: null, address_bucket: send.addressBucket, context_hash: contextHash,
      ...codeColumns(deps, actor, setting, noCode({ id })),
    }),
    outgoing: {
      message: null, event: startedEvent(deps, actor, setting, userId, { challengeId: id, purpose: input.purpose, channel: shown.channel, decoy: true }),
      guard, sends: sendArgument(deps.keys, actor.tenantId, policy, send), lifetimeSeconds: shown.channel === 'email' ? policy.codes.emailSeconds : policy.codes.phoneSeconds,
    },
  }
}

/** What counts with a send to this destination. */
export function sendTo ({ method, text }: Destination, purpose: Purpose, addressBucket: string | null): Send {
  return { number: isEmail(method.kind) ? null : text, proven: purpose !== 'verifyContact', decoy: false, stray: false, addressBucket }
}

const codeColumns = ({ keys }: Deps, { tenantId }: Actor, { policy }: Setting, parts: readonly string[]) =>
  ({ code_mac: keys.mac('code', tenantId, parts), code_key_version: keys.newest, code_length: policy.codes.length, attempts_max: attemptsMax })

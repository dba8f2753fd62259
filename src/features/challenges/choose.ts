import { waitingValue } from '../contact-methods/activate.ts'
import type { MethodRow } from '../contact-methods/contact-methods.ts'
import { channelsOf, countsForMfa, openExtension, openValue, preferredFirst } from '../contact-methods/value.ts'
import type { PolicyDocument } from '../policy/schema.ts'
import type { Keys } from '../../platform/keys.ts'
import { notFound, Refusal } from '../../platform/refusal.ts'
import { messageChannels, type Channel, type MessageChannel, type Purpose } from '../../vocabulary.ts'
import type { Reachable, Setting } from './setting.ts'

/** Where a code goes. */
export interface Destination {
  method: MethodRow
  channel: MessageChannel
  text: string
  extension: string | null
  index: Buffer
}

interface Wanted { purpose: Purpose, methodId?: string | undefined, channel?: Channel | undefined }

/** The channels of each purpose (Contract, "Challenge"). */
const channelsOfPurpose: Record<Purpose, readonly Channel[]> = {
  verifyContact: messageChannels,
  signIn: ['sms', 'voice', 'email', 'totp', 'passkey', 'recoveryCode', 'temporaryAccessPass'],
  stepUp: ['sms', 'voice', 'email', 'totp', 'passkey', 'recoveryCode', 'temporaryAccessPass'],
  recovery: ['sms', 'voice', 'email', 'recoveryCode', 'temporaryAccessPass'],
  callerCheck: messageChannels,
  transaction: ['sms', 'voice', 'passkey'],
}

/** The channels of messages that this policy lets this purpose use, whoever the user is. */
export function channelsAllowed (purpose: Purpose, policy: PolicyDocument): MessageChannel[] {
  const recovers = { sms: 'phone', voice: 'phone', email: 'alternateEmail' } as const
  return messageChannels.filter((channel) => channelsOfPurpose[purpose].includes(channel) &&
    (channel === 'email' || purpose === 'verifyContact' || policy.phone !== 'off') &&
    (channel !== 'email' || (purpose !== 'signIn' && purpose !== 'stepUp') || policy.emailCounts) &&
    (purpose !== 'recovery' || policy.registration.proofs.includes(recovers[channel])))
}

/** Whether a pass serves this purpose here. Where recovery may not go over one, the policy accepts none to register. */
export const takesPass = (purpose: Purpose, { registration }: PolicyDocument): boolean =>
  channelsOfPurpose[purpose].includes('temporaryAccessPass') && (purpose !== 'recovery' || registration.proofs.includes('temporaryAccessPass'))

export const channelNotAvailable = (detail: string) => new Refusal('channel_not_available', detail)

/** Refuses a channel that nobody could use for this purpose here: that tells nothing about a user. */
export function requireChannel (purpose: Purpose, channel: Channel | undefined, policy: PolicyDocument): void {
  const allowed: Channel[] = [...channelsAllowed(purpose, policy), ...(takesPass(purpose, policy) ? ['temporaryAccessPass' as const] : [])]
  if (channel !== undefined && !allowed.includes(channel)) throw channelNotAvailable('This channel is not available for this purpose.')
  if (allowed.length === 0) throw channelNotAvailable('The policy leaves no channel for this purpose.')
}

/** Where the code of a challenge goes, or why nowhere. Locks are apart (`lockOf`). */
export function destinationFor (keys: Keys, { at, policy }: Setting, user: Reachable, wanted: Wanted): Destination {
  const living = user.methods.filter((row) => !isOver(row, at))
  const { method, channel } = wanted.purpose === 'verifyContact' ? methodToVerify(keys, policy, at, { ...user, methods: living }, wanted) : methodToUse(policy, { ...user, methods: living }, wanted)
  const waiting = wanted.purpose === 'verifyContact' ? waitingValue(keys, method, at, user.againSince) : null
  if (waiting) return { method, channel, text: waiting.text, extension: waiting.extension, index: waiting.destinationIndex }
  const { tenant_id: tenantId, user_id: userId, id } = method
  return {
    method, channel, text: openValue(keys, tenantId, userId, id, method.value!), extension: openExtension(keys, tenantId, userId, id, method.extension),
    index: method.destination_index!,
  }
}

/** A value that waits for its code: of a pending method, or a pending change; after a reset, of a method that was verified before it. */
function methodToVerify (keys: Keys, policy: PolicyDocument, at: Date, { methods, privileged, againSince }: Reachable, { methodId, channel }: Wanted) {
  const method = methodId === undefined ? methods.find((row) => row.is_default) : methods.find((row) => row.id === methodId)
  if (!method) throw methodId === undefined ? new Refusal('no_usable_method', 'The user has no default method. Name the method.') : notFound()
  const waiting = waitingValue(keys, method, at, againSince)
  if (!waiting) throw new Refusal('method_not_usable', 'There is no value of this method that waits to be verified.')
  requireAllowed(policy, privileged, method.kind === 'alternateEmail' ? null : waiting.country)
  return { method, channel: channelAmong(channelsOf(method.kind, waiting.lineType), channel) }
}

/** A method that was verified before. Without an id: the default one, else the next by the policy's order that has the channel. */
function methodToUse (policy: PolicyDocument, user: Reachable, { purpose, methodId, channel }: Wanted) {
  const allowed = channelsAllowed(purpose, policy)
  const needsFactor = purpose === 'signIn' || purpose === 'stepUp' || purpose === 'transaction'
  const channelsFor = (row: MethodRow) => channelsAmong(row, allowed)

  if (methodId !== undefined) {
    const method = user.methods.find((row) => row.id === methodId)
    if (!method) throw notFound()
    if (method.status !== 'active') throw new Refusal('method_not_usable', 'Only a method that was verified and is not disabled can be used for this.')
    if (needsFactor && !countsForMfa(method.kind, policy)) throw channelNotAvailable('An e-mail does not count as a second factor here.')
    requireAllowed(policy, user.privileged, method.kind === 'alternateEmail' ? null : method.country)
    return { method, channel: channelAmong(channelsFor(method), channel) }
  }
  const usable = inOrder(policy, user.methods).filter((row) => row.status === 'active' && (!needsFactor || countsForMfa(row.kind, policy)) && channelsFor(row).length > 0 &&
    isAllowed(policy, user.privileged, row.kind === 'alternateEmail' ? null : row.country))
  if (usable.length === 0) throw new Refusal('no_usable_method', 'The user has no method that can be used for this.')
  const method = channel === undefined ? usable[0]! : usable.find((row) => channelsFor(row).some((one) => one === channel))
  if (!method) throw channelNotAvailable('No method of the user has this channel.')
  return { method, channel: channelAmong(channelsFor(method), channel) }
}

/** In the order in which they are tried: the default one, then by the policy's order. */
export function inOrder (policy: PolicyDocument, methods: readonly MethodRow[]): MethodRow[] {
  const rank = (row: MethodRow) => {
    const place = policy.order.indexOf(row.kind)
    return row.is_default ? -1 : place < 0 ? policy.order.length : place
  }
  return methods.toSorted((a, b) => rank(a) - rank(b))
}

/** Those of the channels that a method has, the one that is tried first in front. */
export const channelsAmong = (row: MethodRow, channels: readonly Channel[]): Channel[] =>
  preferredFirst(channelsOf(row.kind, row.line_type), row.default_channel).filter((one) => channels.includes(one))

const isOver = (row: MethodRow, at: Date) => row.status === 'pending' && row.pending_expires_at! <= at

/** `country` is null for an e-mail. A policy that became stricter holds for what was verified before, too. */
const isAllowed = (policy: PolicyDocument, privileged: boolean, country: string | null) =>
  country === null || (policy.countries.includes(country) && (policy.phone === 'allowed' || (policy.phone === 'notForPrivileged' && !privileged)))

function requireAllowed (policy: PolicyDocument, privileged: boolean, country: string | null): void {
  if (isAllowed(policy, privileged, country)) return
  if (!policy.countries.includes(country!)) throw new Refusal('phone_number_not_allowed', 'Numbers of this country are not allowed.')
  throw new Refusal('channel_not_available', 'The policy does not allow phones here.', { rule: 'policy.phone' })
}

function channelAmong (available: readonly Channel[], wanted: Channel | undefined): MessageChannel {
  const channel = wanted ?? available[0]
  if (channel === undefined || !available.includes(channel)) throw channelNotAvailable('The method has no such channel.')
  return messageChannels.find((one) => one === channel)!
}

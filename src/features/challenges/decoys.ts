import { maskOfNobody } from '../../platform/addresses/phone.ts'
import type { Actor, Deps } from '../../platform/deps.ts'
import type { Keys } from '../../platform/keys.ts'
import { Refusal, type RefusalCode } from '../../platform/refusal.ts'
import { mayOnOthers } from '../authority/may.ts'
import type { Channel, MessageChannel } from '../../vocabulary.ts'
import { messageChannels } from '../../vocabulary.ts'
import type { Setting } from './setting.ts'

/** Whether the caller may not learn if there is such a user: an app that may read nothing of users. */
export const isBlind = (actor: Actor): boolean =>
  actor.kind === 'app' && !(['signIn.read', 'users.read', 'contactMethods.read'] as const).some((action) => mayOnOthers(actor, action))

const telling: readonly RefusalCode[] = ['not_found', 'no_usable_method', 'method_not_usable', 'channel_not_available', 'phone_number_not_allowed', 'user_locked', 'user_offboarded']

/** Whether a refusal would tell a blind caller about the user: they get a decoy instead. */
export const tells = (error: unknown): boolean => error instanceof Refusal && telling.includes(error.code)

/** What a decoy shows instead of a method. It is the same for the same user, however often it is asked for. */
export interface DecoyDestination { methodId: string, channel: MessageChannel, display: string, index: Buffer }

const mailDomains = ['gmail.com', 'outlook.com', 'yahoo.com', 'icloud.com']

export function decoyDestination ({ keys }: Pick<Deps, 'keys'>, { tenantId }: Pick<Actor, 'tenantId'>, { defaultCountry, policy }: Setting, userId: string, wanted: { methodId?: string | undefined, channel?: Channel | undefined }): DecoyDestination {
  const channel = messageChannels.find((one) => one === wanted.channel) ?? 'sms'
  const sort = channel === 'email' ? 'email' : 'phone'
  const bytes = keys.mac('decoy', tenantId, [userId, wanted.methodId ?? '', sort], keys.oldest)
  const display = sort === 'phone'
    ? maskOfNobody(defaultCountry ?? policy.countries[0] ?? 'US', String(bytes.readUInt32BE(16) % 100).padStart(2, '0'))
    : `${String.fromCharCode(97 + bytes[16]! % 26)}•••@${mailDomains[bytes[17]! % mailDomains.length]}`
  return { methodId: wanted.methodId ?? idFrom(bytes), channel, display, index: destinationIndexOf(keys, tenantId, bytes) }
}

const destinationIndexOf = (keys: Keys, tenantId: string, bytes: Buffer) => keys.blindIndex(tenantId, 'destination', `decoy ${bytes.toString('base64')}`)

/** Looks like any other id (UUIDv7), of a method added some time in 2026. */
function idFrom (bytes: Buffer): string {
  const addedAt = Date.UTC(2026, 0, 1) + bytes.readUInt32BE(0) * 2 // up to about 100 days later
  const hex = addedAt.toString(16).padStart(12, '0') + `7${bytes.toString('hex', 4, 6).slice(1)}` +
    ((bytes[6]! & 0x3f) | 0x80).toString(16).padStart(2, '0') + bytes.toString('hex', 7, 14)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20, 32)}`
}

/** Answers to a blind caller leave on a beat, not when the work is done, so that its length does not tell what it was. */
const beatMs = 25

export async function onTheBeat<T> (actor: Actor, work: () => Promise<T>): Promise<T> {
  if (!isBlind(actor)) return work()
  const startedAt = performance.now()
  try {
    return await work()
  } finally {
    const beats = Math.ceil((performance.now() - startedAt) / beatMs)
    await new Promise((resolve) => { setTimeout(resolve, Math.max(0, beats * beatMs - (performance.now() - startedAt))) })
  }
}

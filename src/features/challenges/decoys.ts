import { maskOfNobody } from '../../platform/addresses/phone.ts'
import type { Actor, Deps } from '../../platform/deps.ts'
import type { Keys } from '../../platform/keys.ts'
import { Refusal, type RefusalCode } from '../../platform/refusal.ts'
import type { Channel, MessageChannel, Purpose } from '../../vocabulary.ts'
import { messageChannels } from '../../vocabulary.ts'
import { mayOnOthers } from '../authority/may.ts'
import { displayOf, openValue } from '../contact-methods/value.ts'
import type { PolicyDocument } from '../policy/schema.ts'
import { channelsAllowed, channelsAmong, inOrder } from './choose.ts'
import type { Setting } from './setting.ts'

/** Whether the caller may not learn if there is such a user: an app that may neither read nor write anything of users, which would tell it. */
export const isBlind = (actor: Actor): boolean =>
  actor.kind === 'app' && !(['signIn.read', 'users.read', 'users.write', 'contactMethods.read', 'contactMethods.write'] as const).some((action) => mayOnOthers(actor, action))

const telling: readonly RefusalCode[] = ['not_found', 'no_usable_method', 'method_not_usable', 'channel_not_available', 'phone_number_not_allowed', 'user_locked', 'user_frozen', 'user_offboarded']

/** Whether a refusal would tell a blind caller about the user: they get a decoy instead. */
export const tells = (error: unknown): boolean => error instanceof Refusal && telling.includes(error.code)

/** What a decoy shows instead of a method. It is the same for the same user, however often it is asked for. */
export interface DecoyDestination {
  methodId: string
  channel: MessageChannel
  display: string
  index: Buffer
  /** The method that was named is none that this user has or seems to have. */
  stray: boolean
}

interface Wanted { purpose: Purpose, methodId?: string | undefined, channel?: Channel | undefined }

/**
 * What a decoy shows: what the caller may have seen of this user before, else what nobody has. Whatever is asked for, one
 * user has one phone and one e-mail, as most have, which share their limits over purposes, channels and callers.
 */
export function decoyDestination ({ keys }: Pick<Deps, 'keys'>, { tenantId }: Pick<Actor, 'tenantId'>, setting: Setting, userId: string, wanted: Wanted): DecoyDestination {
  const channels = channelsImaginable(wanted, setting.policy)
  return knownDestination(keys, setting, wanted, channels) ?? inventedDestination(keys, tenantId, setting, userId, wanted, channels)
}

/** Channels that a real user could be reached by. */
function channelsImaginable ({ purpose, channel }: Wanted, policy: PolicyDocument): readonly MessageChannel[] {
  const asked = messageChannels.find((one) => one === channel)
  if (asked) return [asked]
  const allowed = channelsAllowed(purpose, policy)
  const withoutPhones = policy.phone === 'off' || policy.countries.length === 0 ? allowed.filter((one) => one === 'email') : allowed
  return withoutPhones.length > 0 ? withoutPhones : allowed
}

/** A method of the user that can't be used now, but may have been. One that never was is shown to nobody who can't name it. */
function knownDestination (keys: Keys, { user, policy }: Setting, { methodId }: Wanted, channels: readonly MessageChannel[]): DecoyDestination | undefined {
  if (!user) return undefined
  const methods = methodId === undefined ? inOrder(policy, user.methods.filter(({ status }) => status === 'active')) : [...user.methods, user.former].filter((row) => row?.id === methodId)
  for (const method of methods) {
    const channel = method && channelsAmong(method, channels)[0]
    if (!channel || !method.value || !method.destination_index) continue // its value is erased
    const text = openValue(keys, method.tenant_id, method.user_id, method.id, method.value)
    return { methodId: method.id, channel: channel as MessageChannel, display: displayOf(method.kind, text), index: method.destination_index, stray: false }
  }
  return undefined
}

type Sort = 'phone' | 'email' | 'pass'
const sortOf = (channel: MessageChannel): Sort => channel === 'email' ? 'email' : 'phone'

/** An id that was shown before leads to the same destination as no id; any other id has its own. */
function inventedDestination (keys: Keys, tenantId: string, setting: Setting, userId: string, { methodId }: Wanted, channels: readonly MessageChannel[]): DecoyDestination {
  const own = channels.find((channel) => methodId === undefined || idsOf(keys, tenantId, setting, userId, sortOf(channel)).includes(methodId))
  const channel = own ?? channels[0]!
  const sort = sortOf(channel)
  const bytes = keys.mac('decoy', tenantId, [userId, own ? '' : methodId!, sort], keys.oldest)
  return {
    methodId: methodId ?? idsOf(keys, tenantId, setting, userId, sort).at(-1)!, channel,
    display: sort === 'phone' ? inventedNumber(setting, bytes) : `${String.fromCharCode(97 + bytes[16]! % 26)}•••@${mailDomains[bytes[17]! % mailDomains.length]}`,
    index: keys.mac('decoy', tenantId, ['destination', bytes.toString('base64')], keys.oldest), stray: own === undefined,
  }
}

/** The ids of a pass that a blind caller is shown, the present one last, whether or not there is a pass. */
export const decoyPassIds = (keys: Keys, tenantId: string, setting: Setting, userId: string): string[] => idsOf(keys, tenantId, setting, userId, 'pass')

const mailDomains = ['gmail.com', 'outlook.com', 'yahoo.com', 'icloud.com']

/** Of the tenant's own country, if numbers of that are allowed. */
function inventedNumber ({ defaultCountry, policy: { countries } }: Setting, bytes: Buffer): string {
  const country = defaultCountry !== null && (countries.includes(defaultCountry) || countries.length === 0) ? defaultCountry : countries[0] ?? 'US'
  return maskOfNobody(country, String(bytes.readUInt32BE(16) % 100).padStart(2, '0'))
}

const hourMs = 3_600_000

/**
 * The ids of a method that nobody has, the present one last. An id tells when it was made: never before the tenant was,
 * nor in the future, nor the same for all. So it is replaced now and then, as people replace their methods: in the first
 * eight hours of the tenant once, then once while it gets eight times as old.
 */
function idsOf (keys: Keys, tenantId: string, { tenantCreatedAt, serverNow }: Setting, userId: string, sort: Sort): string[] {
  const ids: string[] = []
  for (let nth = 0; ; nth++) {
    const bytes = keys.mac('decoy', tenantId, [userId, 'id', sort, String(nth)], keys.oldest)
    const share = bytes.readUInt32BE(0) / 2 ** 32
    const addedMs = tenantCreatedAt.getTime() + (nth === 0 ? share * 20 : hourMs * 8 ** (nth - 1 + share))
    if (nth > 0 && addedMs > serverNow.getTime()) return ids
    ids.push(idOf(Math.floor(addedMs), bytes.subarray(4)))
  }
}

/** Looks like the ids that `platform/random.ts` makes (UUIDv7): the twelve bits after the time start low and count up. */
function idOf (ms: number, bytes: Buffer): string {
  const hex = ms.toString(16).padStart(12, '0') + `7${(bytes.readUInt16BE(0) % 1024).toString(16).padStart(3, '0')}` +
    ((bytes[2]! & 0x3f) | 0x80).toString(16) + bytes.toString('hex', 3, 10)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20, 32)}`
}

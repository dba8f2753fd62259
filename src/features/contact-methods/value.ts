import { lookupEmail, maskEmail, normalEmail, parseEmail } from '../../platform/addresses/email.ts'
import { maskPhone, parsePhone } from '../../platform/addresses/phone.ts'
import type { Keys } from '../../platform/keys.ts'
import { Refusal } from '../../platform/refusal.ts'
import type { Channel, Factor, MethodKind } from '../../vocabulary.ts'
import type { PolicyDocument } from '../policy/schema.ts'
import type { ContactMethod } from './schema.ts'

/** A number or address that was checked and may be used. */
export interface Value {
  /** E.164, or the address as typed. */
  text: string
  extension: string | null
  country: string | null
  lineType: ContactMethod['lineType']
}

export const isEmail = (kind: MethodKind) => kind === 'alternateEmail'

interface Typed { value: string, extension?: string | null | undefined, country?: string | null | undefined }
interface Surroundings { policy: PolicyDocument, defaultCountry: string | null, signInEmail: string | null, privileged: boolean }

/** Reads what someone typed as a value of this kind, or refuses it by name. */
export function readValue (kind: MethodKind, typed: Typed, around: Surroundings): Value {
  return isEmail(kind) ? readAddress(typed, around) : readNumber(kind, typed, around)
}

function readNumber (kind: MethodKind, { value, extension, country }: Typed, { policy, defaultCountry, privileged }: Surroundings): Value {
  if (policy.phone === 'off' || (policy.phone === 'notForPrivileged' && privileged)) throw new Refusal('channel_not_available', 'The policy does not allow phones here.', { rule: 'policy.phone' })
  const parsed = parsePhone(value, { ...(typeof country === 'string' && { country }), defaultCountry, extension: extension ?? null })
  if ('fault' in parsed) throw at('/value', parsed.fault, parsed.detail)
  const { phone } = parsed
  if (phone.extension !== null && kind !== 'officePhone') throw at('/value', 'invalid_phone_number', 'Only an office phone has an extension.')
  if (phone.country === null || !policy.countries.includes(phone.country)) throw at('/value', 'phone_number_not_allowed', 'Numbers of this country are not allowed.')
  return { text: phone.e164, extension: phone.extension, country: phone.country, lineType: phone.lineType }
}

function readAddress ({ value }: Typed, { signInEmail }: Surroundings): Value {
  const parsed = parseEmail(value)
  if ('fault' in parsed) throw at('/value', parsed.fault, parsed.detail)
  if (signInEmail !== null && normalEmail(signInEmail) === parsed.email.normal) throw at('/value', 'same_as_sign_in', 'It leads to the same mailbox as the sign-in e-mail.')
  return { text: parsed.email.typed, extension: null, country: null, lineType: null }
}

const at = (pointer: string, code: 'invalid_phone_number' | 'phone_number_not_allowed' | 'invalid_email' | 'same_as_sign_in', detail: string) =>
  new Refusal(code, detail, { errors: [{ pointer, code, message: detail }] })

export const displayOf = (kind: MethodKind, text: string) => isEmail(kind) ? maskEmail(text) : maskPhone(text)

/** Where a message can go: an office phone and a landline are called only. */
export function channelsOf (kind: MethodKind, lineType: string | null): Channel[] {
  if (isEmail(kind)) return ['email']
  return kind === 'officePhone' || lineType === 'landline' ? ['voice'] : ['sms', 'voice']
}

/** The same with the one that is tried first in front. */
export const preferredFirst = (channels: Channel[], preferred: string | null): Channel[] =>
  channels.toSorted((a, b) => Number(b === preferred) - Number(a === preferred))

/** Whether a method of this kind counts as a second factor: an e-mail only if the policy says so. */
export const countsForMfa = (kind: MethodKind, policy: PolicyDocument) => !isEmail(kind) || policy.emailCounts

/** Whether the policy lets a method be used. One that became stricter holds for what was verified before, too. */
export const mayBeUsed = (kind: MethodKind, country: string | null, { countries, phone }: PolicyDocument, privileged: boolean): boolean =>
  isEmail(kind) || (country !== null && countries.includes(country) && (phone === 'allowed' || (phone === 'notForPrivileged' && !privileged)))

export const purposesOf = (kind: MethodKind, policy: PolicyDocument): ContactMethod['purposes'] =>
  countsForMfa(kind, policy) ? ['mfa', 'recovery', 'notice'] : ['recovery', 'notice']

/** Whether a method counts towards the policy: an active one; of someone who must register again, one that they verified since. */
export const countsSince = ({ status, verified_at: verifiedAt }: { status: string, verified_at: Date | null }, againSince: Date | null): boolean =>
  status === 'active' && (againSince === null || (verifiedAt !== null && verifiedAt > againSince))

/** Whether a set of active methods meets what the policy requires. */
export const meetsPolicy = (kinds: readonly Factor[], { registration }: PolicyDocument): boolean =>
  registration.required.every(({ count, oneOf }) => kinds.filter((kind) => oneOf.includes(kind)).length >= count)

/** Additional data of a sealed field: it opens in its own row and column only. */
const context = (userId: string, methodId: string, field: string) => [userId, methodId, field]

/** The columns of a value: sealed, with its blind indexes. */
export function sealValue (keys: Keys, tenantId: string, userId: string, methodId: string, kind: MethodKind, value: Value) {
  const lookup = isEmail(kind) ? lookupEmail(value.text) : value.text
  return {
    value: keys.seal('field', tenantId, context(userId, methodId, 'value'), value.text),
    value_index: keys.blindIndex(tenantId, isEmail(kind) ? 'email' : 'phone', lookup),
    destination_index: keys.blindIndex(tenantId, 'destination', destinationOf(kind, value)),
    extension: value.extension === null ? null : keys.seal('field', tenantId, context(userId, methodId, 'extension'), value.extension),
    country: value.country,
    line_type: value.lineType,
  }
}

/** One destination is one number and extension, or one mailbox, however it was written: dots and plus tags make no other. */
export const destinationOf = (kind: MethodKind, value: Pick<Value, 'text' | 'extension'>) =>
  isEmail(kind) ? normalEmail(value.text) : `${value.text};ext=${value.extension ?? ''}`

export const openValue = (keys: Keys, tenantId: string, userId: string, methodId: string, sealed: Buffer) =>
  keys.open('field', tenantId, context(userId, methodId, 'value'), sealed)

export const openExtension = (keys: Keys, tenantId: string, userId: string, methodId: string, sealed: Buffer | null) =>
  sealed && keys.open('field', tenantId, context(userId, methodId, 'extension'), sealed)

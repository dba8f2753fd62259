import { maskEmail } from '../../platform/addresses/email.ts'
import { maskPhone } from '../../platform/addresses/phone.ts'
import type { TenantTx } from '../../platform/db/index.ts'
import type { Deps } from '../../platform/deps.ts'
import { record, type AuditActor } from '../audit/audit.ts'
import { notify, type Address, type NoticeDeps, type NoticeDetails, type NoticeKind } from '../notices/notices.ts'
import { organizationDefaults, securityContactOf } from '../organization/organization.ts'
import { policyInForce } from '../policy/policy.ts'
import { isToHearOfLock } from '../users/freeze.ts'
import { knownUser, signInEmailOf, type UserRow } from '../users/users.ts'
import { selectMethods, type MethodRow } from './queries.ts'
import { channelsOf, displayOf, openExtension, openValue } from './value.ts'

export type { Address }

export interface Told {
  userId: string
  kind: NoticeKind
  /** As they were before the change (`addressesOf`), and what was verified with it. */
  addresses: readonly Address[]
  details?: NoticeDetails
  /** Whether there is a "this was not me" link in it; yes unless told. */
  link?: boolean
}

/** Every address at which the user is told of changes, as it is now: active methods and the sign-in e-mail, never what is pending. */
export async function addressesOf (deps: Pick<Deps, 'keys'>, tx: TenantTx, userId: string): Promise<Address[]> {
  return [...methodAddresses(deps, await selectMethods(tx, userId)), ...signInAddress(deps, await knownUser(tx, userId))]
}

const methodAddresses = (deps: Pick<Deps, 'keys'>, rows: MethodRow[]) => rows.filter((row) => row.status === 'active').map((row) => addressOf(deps, row))

/** A method as an address. A number that takes no messages is called. */
export function addressOf ({ keys }: Pick<Deps, 'keys'>, row: MethodRow): Address {
  const to = openValue(keys, row.tenant_id, row.user_id, row.id, row.value!)
  const [channel] = channelsOf(row.kind, row.line_type)
  return { channel: channel as Address['channel'], to, extension: openExtension(keys, row.tenant_id, row.user_id, row.id, row.extension), display: displayOf(row.kind, to), methodId: row.id }
}

function signInAddress ({ keys }: Pick<Deps, 'keys'>, row: UserRow): Address[] {
  const to = signInEmailOf(keys, row)
  return to === null ? [] : [emailAddress(to)]
}

const emailAddress = (to: string): Address => ({ channel: 'email', to, extension: null, display: maskEmail(to), methodId: null })

/**
 * Tells the user, at each of these addresses, what was done; where there is none, the security contact. Answers who was
 * told, masked. Call it after the change: its links hold for the epoch that the user has now.
 */
export async function tell (deps: NoticeDeps, tx: TenantTx, { userId, kind, addresses, details = {}, link = true }: Told): Promise<Array<Pick<Address, 'channel' | 'display'>>> {
  if (addresses.length === 0) return tellSecurityContact(deps, tx, { userId, kind, details, link })
  return send(deps, tx, { userId, kind, addresses, details, link }, false)
}

/** Tells the security contact of the organisation, if there is one, what was done to a user. */
export async function tellSecurityContact (deps: NoticeDeps, tx: TenantTx, { link = false, details = {}, ...told }: Omit<Told, 'addresses'>): Promise<Array<Pick<Address, 'channel' | 'display'>>> {
  return send(deps, tx, { ...told, details, link, addresses: await securityAddresses(deps, tx) }, true)
}

/** Tells others than the user, and the security contact, what was done to the user. Without a link. */
export async function tellOthers (deps: NoticeDeps, tx: TenantTx, { userId, kind, addresses }: Pick<Told, 'userId' | 'kind' | 'addresses'>): Promise<void> {
  await send(deps, tx, { userId, kind, details: {}, link: false, addresses: [...addresses, ...await securityAddresses(deps, tx)] }, true)
}

async function securityAddresses (deps: Pick<Deps, 'keys'>, tx: TenantTx): Promise<Address[]> {
  const contact = await securityContactOf(deps, tx)
  if (contact === null) return []
  return ['email' in contact ? emailAddress(contact.email) : { channel: 'sms', to: contact.phone, extension: null, display: maskPhone(contact.phone), methodId: null }]
}

/**
 * Ten times what codes may be: even an attack that changes something with every code it is sent is told in full. A small
 * budget of codes must not silence notices, so they have at least this many.
 */
const noticesPerDay = (sendsPerDay: number) => Math.max(1_000, 10 * sendsPerDay)

const system: AuditActor = { kind: 'system', subject: 'notices', requestId: null }

async function send (deps: NoticeDeps, tx: TenantTx, { userId, kind, addresses, details, link }: Required<Told>, aboutOther: boolean): Promise<Array<Pick<Address, 'channel' | 'display'>>> {
  if (addresses.length === 0) return []
  const user = await knownUser(tx, userId)
  const { name, locale } = await organizationDefaults(tx)
  const { sendsPerDay } = await policyInForce(tx)
  const notice = { userId, kind, details, locale: (aboutOther ? null : user.locale) ?? locale, organization: name, epoch: user.mfa_epoch, link, aboutOther, perDay: noticesPerDay(sendsPerDay) }
  const notified = await notify(deps, tx, notice, addresses)
  if (notified.sent) return addresses.map(({ channel, display }) => ({ channel, display }))
  if (notified.first) {
    await record(deps, tx, system, { action: 'notices.usedUp', userId, details: { perDay: notice.perDay } })
    await notify(deps, tx, { ...notice, kind: 'noticesUsedUp', details: {}, locale, link: false, aboutOther: true, perDay: null }, await securityAddresses(deps, tx))
  }
  return []
}

/** Tells of a lock, at most once a day. The user must be locked. */
export async function tellOfLock (deps: NoticeDeps, tx: TenantTx, user: UserRow): Promise<void> {
  if (await isToHearOfLock(tx, user)) await tell(deps, tx, { userId: user.user_id, kind: 'locked', addresses: await addressesOf(deps, tx, user.user_id) })
}

/** An old contact that had itself replaced another one so lately brings nothing back: else whoever changes twice could undo what undoes them. */
const settledDays = 7

const isSettled = (replacedAt: Date | null, now: Date) => replacedAt === null || replacedAt.getTime() <= now.getTime() - settledDays * 86_400_000

/** Tells of a method that has a new value: the old contact may bring the old one back, everyone else freeze the user. */
export async function tellOfChangedMethod (deps: NoticeDeps, tx: TenantTx, addresses: readonly Address[], before: MethodRow, after: MethodRow): Promise<void> {
  const { value, value_index, destination_index, extension, country, line_type, verified_at, pre_verified } = before
  const undo = { value, value_index, destination_index, extension, country, line_type, verified_at, pre_verified }
  const old = addresses.map((address) => address.methodId === before.id && isSettled(before.replaced_at, tx.now) ? { ...address, undo } : address)
  await tell(deps, tx, { userId: before.user_id, kind: 'methodChanged', addresses: [...old, addressOf(deps, after)], details: { method: before.kind } })
}

/** Tells of a new sign-in e-mail: both hear of it, and the old one may bring itself back. */
export async function tellOfSignInEmail (deps: NoticeDeps, tx: TenantTx, before: UserRow, after: UserRow): Promise<void> {
  const settled = isSettled(before.sign_in_email_replaced_at, tx.now)
  const undo = { value: before.sign_in_email, value_index: before.sign_in_email_index, destination_index: null, extension: null, country: null, line_type: null, verified_at: null, pre_verified: false }
  const old = signInAddress(deps, before).map((address) => settled ? { ...address, undo } : address)
  const methods = methodAddresses(deps, await selectMethods(tx, before.user_id))
  await tell(deps, tx, { userId: before.user_id, kind: 'signInEmailChanged', addresses: [...methods, ...old, ...signInAddress(deps, after)] })
}

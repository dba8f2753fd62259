import type { Updateable } from 'kysely'
import type { ContactMethods } from '../../platform/db/schema.ts'
import type { TenantTx } from '../../platform/db/index.ts'
import type { Keys } from '../../platform/keys.ts'
import { Refusal } from '../../platform/refusal.ts'
import type { PolicyDocument } from '../policy/schema.ts'
import { endReregistration } from '../users/reregistration.ts'
import { noteFirstRegistration, type UserRow } from '../users/users.ts'
import { clearDefault, hasValue, selectMethods, updateMethod, withdrawn, type MethodRow } from './queries.ts'
import { channelsOf, countsForMfa, countsSince, destinationOf, meetsPolicy, openExtension, openValue } from './value.ts'

/** A value that waits for its code. */
export interface Waiting { text: string, extension: string | null, destinationIndex: Buffer, country: string | null, lineType: string | null }

/**
 * The value of a pending method, or of a pending change; of someone who must register again since `againSince`, also that
 * of a method that was last verified before. Null if nothing waits.
 */
export function waitingValue (keys: Keys, row: MethodRow, now: Date, againSince: Date | null): Waiting | null {
  const open = (value: Buffer, extension: Buffer | null) => ({
    text: openValue(keys, row.tenant_id, row.user_id, row.id, value),
    extension: openExtension(keys, row.tenant_id, row.user_id, row.id, extension),
  })
  const present = () => ({ ...open(row.value!, row.extension), destinationIndex: row.destination_index!, country: row.country, lineType: row.line_type })
  const waits = row.pending_expires_at !== null && row.pending_expires_at > now
  if (row.status === 'pending') return waits ? present() : null
  if (row.status === 'active' && row.pending_value && waits) {
    return { ...open(row.pending_value, row.pending_extension), destinationIndex: row.pending_destination_index!, country: row.pending_country, lineType: row.pending_line_type }
  }
  const old = row.status === 'active' && !countsSince(row, againSince)
  return old ? present() : null
}

/**
 * Makes the value that waits the active one. `destinationIndex` is where the code went: another value by now is
 * refused, so that a code proves only what it was sent to. The user must be locked.
 */
export async function activateVerified (keys: Keys, tx: TenantTx, around: { user: UserRow, policy: PolicyDocument }, row: MethodRow, destinationIndex: Buffer): Promise<MethodRow> {
  const waiting = waitingValue(keys, row, tx.now, around.user.reregistration_since)
  if (!waiting?.destinationIndex.equals(destinationIndex)) throw new Refusal('challenge_canceled', 'The value was changed after the code was sent.')
  const destinations = keys.blindIndexes(tx.tenantId, 'destination', destinationOf(row.kind, waiting))
  if (row.status === 'active' && await hasValue(tx, row.user_id, destinations, row.id)) throw new Refusal('duplicate_method', 'The user already has this number or address.')
  return activate(tx, around, row, { verified_at: tx.now, pre_verified: false })
}

/** The pending value takes effect; the first method that counts becomes the default, and so does one that wants to. */
export async function activate (tx: TenantTx, { user, policy }: { user: UserRow, policy: PolicyDocument }, row: MethodRow, how: Updateable<ContactMethods>): Promise<MethodRow> {
  const next = row.pending_value
    ? { value: row.pending_value, value_index: row.pending_value_index, destination_index: row.pending_destination_index, extension: row.pending_extension, country: row.pending_country, line_type: row.pending_line_type, replaced_at: tx.now }
    : {}
  const counts = countsForMfa(row.kind, policy)
  const others = (await selectMethods(tx, row.user_id)).filter((method) => method.id !== row.id)
  const takesDefault = row.is_default || (counts && (row.wants_default || !others.some((method) => method.is_default && countsForMfa(method.kind, policy))))
  if (takesDefault && !row.is_default) await clearDefault(tx, row.user_id)
  const lineType = row.pending_value ? row.pending_line_type : row.line_type
  const channels = channelsOf(row.kind, lineType)
  const active = await updateMethod(tx, row.id, {
    ...how, ...next, ...withdrawn, status: 'active', is_default: takesDefault, wants_default: false,
    default_channel: takesDefault ? channels.find((channel) => channel === row.default_channel) ?? channels[0]! : null,
  })
  if (counts) await noteFirstRegistration(tx, user)
  if (user.reregistration_since !== null) await endReregistrationIfMet(tx, user.reregistration_since, policy, [...others, active])
  return active
}

/** Only what the person has verified since the reset counts; what an administrator vouched for does not. */
async function endReregistrationIfMet (tx: TenantTx, since: Date, policy: PolicyDocument, methods: MethodRow[]): Promise<void> {
  const verified = methods.filter((row) => countsSince(row, since))
  if (meetsPolicy(verified.map((row) => row.kind), policy)) await endReregistration(tx, methods[0]!.user_id)
}

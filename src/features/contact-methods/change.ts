import type { Updateable } from 'kysely'
import type { ContactMethods } from '../../platform/db/schema.ts'
import type { TenantTx } from '../../platform/db/index.ts'
import type { Actor, Deps, Precondition } from '../../platform/deps.ts'
import { Refusal } from '../../platform/refusal.ts'
import { record } from '../audit/audit.ts'
import { valuesShown } from '../authority/authority.ts'
import { fieldFault, pendingUntil } from './add.ts'
import { byOf, judgeKnown, knownMethod, startChange, toContactMethod, type Change } from './contact-methods.ts'
import { makeDefault, promoteNext } from './default.ts'
import { hasValue, updateMethod, withdrawn, type MethodRow } from './queries.ts'
import type { ContactMethod, ContactMethodChange } from './schema.ts'
import { countsForMfa, destinationOf, isEmail, openExtension, openValue, readValue, sealValue, type Value } from './value.ts'

/** Cancels the challenges whose code went to a value that no longer waits. Handed in: methods import no challenges. */
export type CancelChallenges = (tx: TenantTx, methodId: string) => Promise<void>

/**
 * Changes the named fields. A new value of an active method waits for its code while the old one keeps working; of a
 * pending method it takes the old one's place at once. Either way a code that went to the value before is dead.
 */
export async function changeContactMethod (deps: Deps, tx: TenantTx, actor: Actor, userId: string, methodId: string, input: ContactMethodChange, precondition: Precondition, cancelChallenges: CancelChallenges): Promise<ContactMethod> {
  const change = await startChange(deps, tx, actor, userId)
  let row = await knownMethod(tx, userId, methodId)
  judgeKnown(actor, change, row)
  precondition(row.version)
  if (input.kind !== undefined && input.kind !== row.kind) throw new Refusal('kind_immutable', 'The kind cannot change. Add another method and remove this one.')
  if (input.extension !== undefined && input.extension !== null && row.kind !== 'officePhone') throw fieldFault('/extension', 'is only for an officePhone')
  if (typeof input.country === 'string' && (input.value === undefined || isEmail(row.kind))) throw fieldFault('/country', 'is only for the value of a phone')

  const fields: string[] = []
  const set: Updateable<ContactMethods> = {}
  if (input.label !== undefined && input.label !== row.label) { set.label = input.label; fields.push('label') }
  const value = newValue(deps, row, input, change)
  if (value) {
    const destinations = deps.keys.blindIndexes(tx.tenantId, 'destination', destinationOf(row.kind, value))
    if (await hasValue(tx, userId, destinations, row.id)) throw new Refusal('duplicate_method', 'The user already has this number or address.')
    Object.assign(set, columnsOf(deps, tx, row, value), { pending_by: byOf(actor), password_only: change.passwordOnly })
    fields.push(row.status === 'pending' ? 'value' : 'pendingChange')
  } else if (withdraws(row, input)) {
    Object.assign(set, withdrawn)
    fields.push('pendingChange')
  }
  if (value || fields.includes('pendingChange')) await cancelChallenges(tx, row.id)
  if (fields.length > 0) row = await updateMethod(tx, row.id, set)
  if (input.isDefault !== undefined && input.isDefault !== (row.status === 'pending' ? row.wants_default : row.is_default)) {
    row = await changeDefault(tx, change, row, input.isDefault)
    fields.push('isDefault')
  }
  if (fields.length > 0) await record(deps, tx, actor, { action: 'contactMethod.changed', userId, details: { methodId, fields } })
  return toContactMethod(deps.keys, row, change.policy, valuesShown(actor, userId, false) !== 'masked', tx.now)
}

/** The value asked for, or undefined where it is the one that is there already. */
function newValue (deps: Deps, row: MethodRow, input: ContactMethodChange, { surroundings }: Change): Value | undefined {
  if (input.value === undefined && input.extension === undefined) return undefined
  if (row.status === 'disabled') throw new Refusal('method_not_usable', 'A disabled method cannot be changed. Add it anew.')
  if (input.pendingChange === null) throw fieldFault('/pendingChange', 'cannot stand beside a new value')
  const present = openPresent(deps, row)
  // A value given anew brings its own extension; an extension alone belongs to the number that is there.
  const value = readValue(row.kind, input.value === undefined
    ? { value: present.text, extension: input.extension }
    : { value: input.value, extension: input.extension, country: input.country }, surroundings)
  return destinationOf(row.kind, value) === destinationOf(row.kind, present) && value.text === present.text ? undefined : value
}

const openPresent = ({ keys }: Deps, row: MethodRow) => ({
  text: openValue(keys, row.tenant_id, row.user_id, row.id, row.value!),
  extension: openExtension(keys, row.tenant_id, row.user_id, row.id, row.extension),
})

/** `pendingChange: null` withdraws; so does asking for the value that is in force. */
const withdraws = (row: MethodRow, input: ContactMethodChange) =>
  row.pending_value !== null && (input.pendingChange === null || input.value !== undefined || input.extension !== undefined)

function columnsOf ({ keys }: Deps, tx: TenantTx, row: MethodRow, value: Value): Updateable<ContactMethods> {
  const sealed = sealValue(keys, tx.tenantId, row.user_id, row.id, row.kind, value)
  if (row.status === 'pending') return { ...sealed, pending_expires_at: pendingUntil(tx.now) }
  return {
    pending_value: sealed.value, pending_value_index: sealed.value_index, pending_destination_index: sealed.destination_index,
    pending_extension: sealed.extension, pending_country: sealed.country, pending_line_type: sealed.line_type,
    pending_expires_at: pendingUntil(tx.now),
  }
}

/** A pending method becomes the default once it is verified, as one that was added so. */
async function changeDefault (tx: TenantTx, { policy }: Change, row: MethodRow, wanted: boolean): Promise<MethodRow> {
  if (row.status === 'pending' && (!wanted || countsForMfa(row.kind, policy))) return updateMethod(tx, row.id, { wants_default: wanted })
  if (wanted) return makeDefault(tx, policy, row)
  if (!await promoteNext(tx, policy, row.user_id, row.id)) throw new Refusal('method_not_usable', 'There is no other method to be the default.')
  return knownMethod(tx, row.user_id, row.id)
}


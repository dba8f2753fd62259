import type { TenantTx } from '../../platform/db/index.ts'
import type { Actor, Deps } from '../../platform/deps.ts'
import { Refusal } from '../../platform/refusal.ts'
import { record, withoutPersonalData } from '../audit/audit.ts'
import { valuesShown } from '../authority/authority.ts'
import { mayOnOthers, refused } from '../authority/may.ts'
import { vouchRule } from '../authority/verdict.ts'
import { activate } from './activate.ts'
import { addedByOf, byOf, startChange, toContactMethod, type Change } from './contact-methods.ts'
import { countOfKind, hasValue, insertUnlessPresent } from './queries.ts'
import type { ContactMethod, NewContactMethod } from './schema.ts'
import { addressesOf, tell } from './tell.ts'
import { countsForMfa, destinationOf, isEmail, readValue, sealValue } from './value.ts'

export const pendingHours = 24
export const pendingUntil = (now: Date) => new Date(now.getTime() + pendingHours * 3_600_000)

/** Adds a method that is pending until a code sent to it comes back right. Sends nothing. */
export async function addContactMethod (deps: Deps, tx: TenantTx, actor: Actor, userId: string, input: NewContactMethod): Promise<ContactMethod> {
  const change = await startChange(deps, tx, actor, userId, true)
  const { policy, self, surroundings } = change
  if (input.preVerified) requireMayVouch(actor, input, change)
  if (!policy.kinds.includes(input.kind)) throw new Refusal('channel_not_available', 'The policy does not allow this kind.', { rule: 'policy.kinds' })
  if (input.extension !== undefined && input.extension !== null && input.kind !== 'officePhone') throw fieldFault('/extension', 'is only for an officePhone')
  if (typeof input.country === 'string' && isEmail(input.kind)) throw fieldFault('/country', 'is only for a phone')
  if (input.isDefault && !countsForMfa(input.kind, policy)) throw new Refusal('method_not_usable', 'This kind does not count for sign-in, so it cannot be the default.')
  const placesMax = isEmail(input.kind) ? policy.alternateEmails : 1
  const limitReached = () => new Refusal('method_limit_reached', placesMax === 1 ? 'The user already has a method of this kind.' : `The user already has ${placesMax} methods of this kind.`)
  // "The user already has it" would confirm a guessed value, without a trace, to someone who may not see it. Where a place
  // is free each wrong guess is a method that was added, with its audit row.
  if (!self && !mayOnOthers(actor, 'contactMethods.reveal') && await countOfKind(tx, userId, input.kind) >= placesMax) throw limitReached()
  const value = readValue(input.kind, input, surroundings)

  const destinations = deps.keys.blindIndexes(tx.tenantId, 'destination', destinationOf(input.kind, value))
  if (await hasValue(tx, userId, destinations, null)) throw new Refusal('duplicate_method', 'The user already has this number or address.')
  const id = deps.random.uuid()
  const row = await insertUnlessPresent(tx, {
    tenant_id: tx.tenantId, id, user_id: userId, kind: input.kind, label: input.label ?? null, status: 'pending',
    ...sealValue(deps.keys, tx.tenantId, userId, id, input.kind, value),
    wants_default: input.isDefault ?? false, added_by: addedByOf(actor, self), added_by_id: byOf(actor), password_only: change.passwordOnly,
    pending_expires_at: pendingUntil(tx.now), created_at: tx.now, updated_at: tx.now,
  }, placesMax)
  if (!row) throw limitReached()

  const added = input.preVerified ? await activate(tx, change, row, { pre_verified: true }) : row
  await record(deps, tx, actor, {
    action: 'contactMethod.added', userId,
    details: { methodId: id, kind: input.kind, ...(input.preVerified && { preVerified: true }), ...(input.reason !== undefined && { reason: withoutPersonalData(input.reason) }) },
  })
  const addresses = await addressesOf(deps, tx, userId) // who can be reached by it, a method that is vouched for among them
  await tell(deps, tx, { userId, kind: input.preVerified ? 'methodVerified' : 'methodAdded', addresses, details: { method: input.kind } })
  return toContactMethod(deps.keys, added, policy, valuesShown(actor, userId, false) !== 'masked', tx.now)
}

/** Vouching for a method is for a privileged administrator, for someone else, with a reason, where the policy allows it. */
function requireMayVouch (actor: Actor, { reason }: NewContactMethod, { user, policy }: Change): void {
  const rule = vouchRule(actor, { userId: user.user_id }, policy.preVerified)
  if (rule !== null) throw refused('contactMethods.preVerify', user.user_id, rule)
  if (reason === undefined) throw fieldFault('/reason', 'is needed with preVerified')
}

export const fieldFault = (pointer: string, message: string) =>
  new Refusal('validation_failed', 'The body does not fit the schema.', { errors: [{ pointer, code: 'not_allowed', message }] })

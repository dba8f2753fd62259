import type { TenantTx } from '../../platform/db/index.ts'
import type { Actor, Deps } from '../../platform/deps.ts'
import type { Keys } from '../../platform/keys.ts'
import { notFound } from '../../platform/refusal.ts'
import { isSelf, judgeTarget, refused } from '../authority/may.ts'
import { requireStepUp, type Registering } from '../authority/step-up.ts'
import { strongestOf } from '../authority/strength.ts'
import { organizationDefaults } from '../organization/organization.ts'
import { policyInForce } from '../policy/policy.ts'
import type { PolicyDocument } from '../policy/schema.ts'
import { registrationDeadline } from '../users/reregistration.ts'
import { lockedUser, requireNotFrozen, signInEmailOf, targetOf, type UserRow } from '../users/users.ts'
import { asOf, endOverdue, selectMethod, selectMethods, type MethodRow, type ShownRow } from './queries.ts'
import type { ContactMethod } from './schema.ts'
import { channelsOf, displayOf, openExtension, openValue, preferredFirst, purposesOf } from './value.ts'

export type { MethodRow }

/** What a change of methods needs to know. The user is locked: such changes come one after the other. */
export interface Change {
  user: UserRow
  policy: PolicyDocument
  self: boolean
  /** The first registration, with nothing but a password. */
  passwordOnly: boolean
  /** What the person, or an app for them, was judged by; undefined for everyone else. */
  registering: Registering | undefined
  /** For `readValue`. */
  surroundings: { policy: PolicyDocument, defaultCountry: string | null, signInEmail: string | null, privileged: boolean }
}

/** Locks the user, ends what is overdue and judges the caller: may they, and did they prove who they are lately enough? */
export async function startChange (deps: Deps, tx: TenantTx, actor: Actor, userId: string, adds = false): Promise<Change> {
  const user = await lockedUser(tx, userId)
  if (judgeTarget(actor, 'contactMethods.write', targetOf(user)) === 'secondApprover') throw refused('contactMethods.write', userId, 'second_approver') // unless it is asked for: see waits.ts
  requireNotFrozen(user, tx.now)
  const policy = await policyInForce(tx)
  const self = isSelf(actor, userId)
  // What an app adds stays pending until the person verifies it, so it needs no proof; what it changes does.
  const registering = self || (actor.kind === 'app' && !adds) ? { ...registeringOf(user, policy, tx.now), strongest: await strongestOf(tx, userId) } : undefined
  const passwordOnly = requireStepUp(actor, 'contactMethods.write', registering) === 'password'
  await endOverdue(tx, userId)
  const { defaultCountry } = await organizationDefaults(tx)
  return { user, policy, self, passwordOnly, registering, surroundings: { policy, defaultCountry, signInEmail: signInEmailOf(deps.keys, user), privileged: user.privileged } }
}

/** A `recovery` proof is for registering: what was verified before is changed and removed with more than that. */
export function judgeKnown (actor: Actor, { registering }: Change, row: MethodRow): void {
  if (registering && row.status !== 'pending') requireStepUp(actor, 'contactMethods.write', { ...registering, proofs: [] })
}

/** The method of this user, or 404. */
export async function knownMethod (tx: TenantTx, userId: string, methodId: string): Promise<MethodRow> {
  const row = await selectMethod(tx, userId, methodId)
  if (!row) throw notFound()
  return row
}

/** Whether the user has this method. */
export const hasMethod = async (tx: TenantTx, userId: string, methodId: string): Promise<boolean> => await selectMethod(tx, userId, methodId) !== undefined

/** The method that is tried first, if there is one. */
export const findDefaultMethod = async (tx: TenantTx, userId: string): Promise<MethodRow | undefined> =>
  (await selectMethods(tx, userId)).find((row) => row.is_default)

/** The method whose value a right code makes active, once what is overdue has ended. The user must be locked. */
export async function findMethodToVerify (tx: TenantTx, userId: string, methodId: string): Promise<MethodRow | undefined> {
  await endOverdue(tx, userId)
  return selectMethod(tx, userId, methodId)
}

/** The columns of a user that say what registering takes. */
export type RegisteringUser = Pick<UserRow, 'user_id' | 'first_registered_at' | 'mfa_epoch' | 'reregistration_since' | 'reregistration_reason'>

/** After `compromised` no e-mail proves who someone is. */
export function registeringOf (user: RegisteringUser, { registration }: PolicyDocument, now: Date): Registering {
  const deadline = registrationDeadline(user, registration.deadlineDays)
  const proofs = user.reregistration_since !== null && user.reregistration_reason === 'compromised' ? registration.proofs.filter((proof) => proof !== 'alternateEmail') : registration.proofs
  return {
    userId: user.user_id, firstRegistration: registration.firstRegistration, everRegistered: user.first_registered_at !== null,
    again: user.reregistration_since === null ? 'no' : deadline !== null && deadline <= now ? 'late' : 'yes', epoch: user.mfa_epoch, proofs,
  }
}

/**
 * Judges who may have the value that waits made active. What an app, an import or an administrator brought is verified
 * by the person, or by an app with their proof: else two of them together could make any number a user's second
 * factor. What was brought with a password alone, before the first registration, needs the second factor once there is
 * one: else a thief of the password could plant a number and wait. What an app or an import brought needs what bringing it
 * oneself would: else they could have it planted by whoever an app believes. And whoever must register again brings the proof with the code: the code alone says only that
 * the number is reached.
 */
export function judgeVerifier (actor: Actor, user: RegisteringUser, policy: PolicyDocument, row: MethodRow, now: Date): void {
  const broughtBy = row.pending_by ?? row.added_by_id
  const broughtByThemself = broughtBy === `person:${row.user_id}`
  const planted = !broughtBy.startsWith('person:') || (row.password_only && user.first_registered_at !== null)
  const again = user.reregistration_since !== null
  if (planted || again || (actor.kind === 'app' && !broughtByThemself)) requireStepUp(actor, 'contactMethods.write', registeringOf(user, policy, now))
}

export const addedByOf = (actor: Actor, self: boolean) => self ? 'self' as const : actor.kind === 'app' ? 'app' as const : 'administrator' as const

/** Who did it, as it is kept in the row. */
export const byOf = (actor: Actor) => `${actor.kind}:${actor.subject}`

/** The method as it is at `now`. `full` shows the value itself; otherwise only its mask leaves here. */
export function toContactMethod (keys: Keys, stored: ShownRow, policy: Pick<PolicyDocument, 'emailCounts'>, full: boolean, now: Date): ContactMethod {
  const row = asOf(now, stored)
  const value = openValue(keys, row.tenant_id, row.user_id, row.id, row.value!)
  return {
    id: row.id, kind: row.kind, label: row.label, status: row.status as ContactMethod['status'],
    value: full ? value : null, display: displayOf(row.kind, value),
    extension: full ? openExtension(keys, row.tenant_id, row.user_id, row.id, row.extension) : null,
    country: row.country, lineType: row.line_type as ContactMethod['lineType'],
    channels: preferredFirst(channelsOf(row.kind, row.line_type), row.default_channel), purposes: purposesOf(row.kind, policy as PolicyDocument), isDefault: row.is_default,
    pendingChange: pendingChangeOf(keys, row, full), addedBy: row.added_by as ContactMethod['addedBy'],
    createdAt: row.created_at.toISOString(), verifiedAt: row.verified_at?.toISOString() ?? null, lastUsedAt: row.last_used_at?.toISOString() ?? null,
    updatedAt: row.updated_at.toISOString(), version: row.version,
  }
}

function pendingChangeOf (keys: Keys, row: ShownRow, full: boolean): ContactMethod['pendingChange'] {
  if (!row.pending_value || row.pending_expires_at === null) return null
  return {
    display: displayOf(row.kind, openValue(keys, row.tenant_id, row.user_id, row.id, row.pending_value)),
    extension: full ? openExtension(keys, row.tenant_id, row.user_id, row.id, row.pending_extension) : null,
    expiresAt: row.pending_expires_at.toISOString(),
  }
}

import type { TenantTx } from '../../platform/db/index.ts'
import type { Actor, Deps, Targets } from '../../platform/deps.ts'
import type { Keys } from '../../platform/keys.ts'
import { maskEmail } from '../../platform/addresses/email.ts'
import { notFound, Refusal } from '../../platform/refusal.ts'
import type { UserStatus } from '../../vocabulary.ts'
import { record, type AuditActor } from '../audit/audit.ts'
import { endFreeze, insertUnlessPresent, lockUser, selectUser, setFirstRegistered, setPrivileged, updateUser, type UserRow } from './queries.ts'
import type { User } from './schema.ts'

export type { UserRow }

/** The user as authority sees them. */
export const targetOf = (row: UserRow) => ({ userId: row.user_id, privileged: row.privileged, status: row.status as UserStatus })

/** Locks the user for a change; a user who is not there is 404. */
export async function lockedUser (tx: TenantTx, userId: string): Promise<UserRow> {
  const row = await lockUser(tx, userId)
  if (!row) throw notFound()
  return row
}

export async function knownUser (tx: TenantTx, userId: string): Promise<UserRow> {
  const row = await selectUser(tx, userId)
  if (!row) throw notFound()
  return row
}

/** Until when nothing of the user may be changed; null where it may. */
export const frozenUntilOf = ({ frozen_until: until }: Pick<UserRow, 'frozen_until'>, now: Date): Date | null => until !== null && until > now ? until : null

/** Throws while the user is frozen. An administrator lifts that, together with a lock. */
export function requireNotFrozen (row: UserRow, now: Date): void {
  if (frozenUntilOf(row, now) !== null) throw userFrozen()
}

/** Why nothing of a user is changed for now. */
export const userFrozen = () => new Refusal('user_frozen', 'Someone said that a change was not theirs. Until that is cleared up nothing of the user is changed.')

/** For the features that are handed users instead of importing them. */
export const targets: Targets = {
  known: async (tx, userId) => targetOf(await knownUser(tx, userId)),
  locked: async (tx, userId) => targetOf(await lockedUser(tx, userId)),
  frozenUntil: async (tx, userId) => frozenUntilOf(await knownUser(tx, userId), tx.now),
  thaw: (tx, userId) => endFreeze(tx, userId),
}

/** A person's first call makes their row. */
export async function registerSelf (deps: Deps, tx: TenantTx, actor: Actor): Promise<void> {
  const made = await insertUnlessPresent(tx, { tenant_id: tx.tenantId, user_id: actor.subject, created_at: tx.now, updated_at: tx.now })
  if (made) await record(deps, tx, actor, { action: 'user.created', userId: actor.subject, details: { by: 'firstCall' } })
}

/** Makes a user of the demo data; false if they are there. */
export async function seedUser (deps: Pick<Deps, 'keys' | 'random'>, tx: TenantTx, by: AuditActor, { userId, ...columns }: { userId: string, display_name: string, locale: string, privileged: boolean }): Promise<boolean> {
  const made = await insertUnlessPresent(tx, { tenant_id: tx.tenantId, user_id: userId, ...columns, created_at: tx.now, updated_at: tx.now })
  if (made) await record(deps, tx, by, { action: 'user.created', userId, details: { fields: ['displayName', 'locale', 'privileged'] } })
  return made
}

/** Whoever uses an administrator's role is privileged from then on. */
export async function markPrivileged (deps: Deps, tx: TenantTx, actor: Actor): Promise<void> {
  if (await setPrivileged(tx, actor.subject)) {
    await record(deps, tx, actor, { action: 'user.markedPrivileged', userId: actor.subject, details: { roles: actor.roles } })
  }
}

/** For who leaves, and who comes back. The user must be locked. */
export const setStatus = (tx: TenantTx, userId: string, status: UserStatus): Promise<UserRow> => updateUser(tx, userId, { status })

/** Notes that a method that counts for MFA has become active for the first time. */
export const noteFirstRegistration = (tx: TenantTx, row: UserRow): Promise<void> =>
  row.first_registered_at ? Promise.resolve() : setFirstRegistered(tx, row.user_id, tx.now)

export const signInEmailContext = (userId: string) => [userId, 'signInEmail']

export const signInEmailOf = (keys: Keys, row: UserRow): string | null =>
  row.sign_in_email && keys.open('field', row.tenant_id, signInEmailContext(row.user_id), row.sign_in_email)

/** `full` shows the address itself. */
export function toUser (keys: Keys, row: UserRow, full: boolean): User {
  const email = signInEmailOf(keys, row)
  return {
    userId: row.user_id, displayName: row.display_name, signInEmail: full ? email : null, signInEmailDisplay: email && maskEmail(email),
    locale: row.locale, privileged: row.privileged, status: row.status as UserStatus,
    createdAt: row.created_at.toISOString(), updatedAt: row.updated_at.toISOString(), version: row.version,
  }
}

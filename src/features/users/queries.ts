import { sql, type Insertable, type Selectable, type Updateable } from 'kysely'
import type { TenantTx } from '../../platform/db/index.ts'
import type { Users } from '../../platform/db/schema.ts'

export type UserRow = Selectable<Users>

export const selectUser = ({ db, tenantId }: TenantTx, userId: string): Promise<UserRow | undefined> =>
  db.selectFrom('users').selectAll().where('tenant_id', '=', tenantId).where('user_id', '=', userId).executeTakeFirst()

/** Everything that changes a user or their methods holds this lock, so that such changes come one after the other. */
export const lockUser = ({ db, tenantId }: TenantTx, userId: string): Promise<UserRow | undefined> =>
  db.selectFrom('users').selectAll().where('tenant_id', '=', tenantId).where('user_id', '=', userId).forNoKeyUpdate().executeTakeFirst()

/** True for the one of several twins that made the row. */
export async function insertUnlessPresent ({ db }: TenantTx, row: Insertable<Users>): Promise<boolean> {
  const made = await db.insertInto('users').values(row).onConflict((conflict) => conflict.columns(['tenant_id', 'user_id']).doNothing()).returning('user_id').executeTakeFirst()
  return made !== undefined
}

export const updateUser = ({ db, tenantId, now }: TenantTx, userId: string, set: Updateable<Users>): Promise<UserRow> =>
  db.updateTable('users').set({ ...set, version: sql`version + 1`, updated_at: now })
    .where('tenant_id', '=', tenantId).where('user_id', '=', userId).returningAll().executeTakeFirstOrThrow()

/** By the server's own clock, and never backwards. The user resource does not show it: its version stays. */
export function endSessions ({ db, tenantId }: TenantTx, userId: string, { sessions, devices }: { sessions: boolean, devices: boolean }): Promise<UserRow> {
  const now = (column: 'sessions_valid_from' | 'devices_valid_from') => sql<Date>`greatest(${sql.ref(column)}, date_trunc('milliseconds', statement_timestamp()))`
  const kept = (column: 'sessions_valid_from' | 'devices_valid_from') => sql<Date>`${sql.ref(column)}`
  return db.updateTable('users').set({ sessions_valid_from: (sessions ? now : kept)('sessions_valid_from'), devices_valid_from: (devices ? now : kept)('devices_valid_from') })
    .where('tenant_id', '=', tenantId).where('user_id', '=', userId).returningAll().executeTakeFirstOrThrow()
}

/** Gives the epoch as it is now. The user resource does not show it: its version stays. */
export async function incrementEpoch ({ db, tenantId }: TenantTx, userId: string): Promise<number> {
  const { mfa_epoch: epoch } = await db.updateTable('users').set({ mfa_epoch: sql`mfa_epoch + 1` })
    .where('tenant_id', '=', tenantId).where('user_id', '=', userId).returning('mfa_epoch').executeTakeFirstOrThrow()
  return epoch
}

export async function setReregistration ({ db, tenantId }: TenantTx, userId: string, since: Date | null, reason: string | null): Promise<void> {
  await db.updateTable('users').set({ reregistration_since: since, reregistration_reason: reason }).where('tenant_id', '=', tenantId).where('user_id', '=', userId).execute()
}

/** The user resource does not show it: its version stays. */
export async function setFrozen ({ db, tenantId }: TenantTx, userId: string, until: Date): Promise<void> {
  await db.updateTable('users').set({ frozen_until: until }).where('tenant_id', '=', tenantId).where('user_id', '=', userId).execute()
}

/** True if the user was frozen. */
export async function endFreeze ({ db, tenantId, now }: TenantTx, userId: string): Promise<boolean> {
  const ended = await db.updateTable('users').set({ frozen_until: null }).where('tenant_id', '=', tenantId).where('user_id', '=', userId).where('frozen_until', '>', now).returning('user_id').executeTakeFirst()
  return ended !== undefined
}

/** True for the one of several at once that tells the user of a lock; false where they were told within the last day. */
export async function noteLockTold ({ db, tenantId, now }: TenantTx, userId: string): Promise<boolean> {
  const dayAgo = new Date(now.getTime() - 86_400_000)
  const noted = await db.updateTable('users').set({ lock_told_at: now }).where('tenant_id', '=', tenantId).where('user_id', '=', userId)
    .where((row) => row.or([row('lock_told_at', 'is', null), row('lock_told_at', '<=', dayAgo), row('lock_told_at', '>', now)])) // of the future: before a sandbox's clock was moved back
    .returning('user_id').executeTakeFirst()
  return noted !== undefined
}

/** True if the user was not privileged before. */
export async function setPrivileged ({ db, tenantId, now }: TenantTx, userId: string): Promise<boolean> {
  const changed = await db.updateTable('users').set({ privileged: true, version: sql`version + 1`, updated_at: now })
    .where('tenant_id', '=', tenantId).where('user_id', '=', userId).where('privileged', '=', false).returning('user_id').executeTakeFirst()
  return changed !== undefined
}

export async function setFirstRegistered ({ db, tenantId }: TenantTx, userId: string, at: Date): Promise<void> {
  await db.updateTable('users').set({ first_registered_at: at })
    .where('tenant_id', '=', tenantId).where('user_id', '=', userId).where('first_registered_at', 'is', null).execute()
}

const likePrefix = (text: string) => `${text.replace(/[\\%_]/g, '\\$&')}%`

/** By id, or by the start of id or name; in the order of ids, after `after`. */
export function selectUsers ({ db, tenantId }: TenantTx, search: string | undefined, after: string | undefined, limit: number): Promise<UserRow[]> {
  let query = db.selectFrom('users').selectAll().where('tenant_id', '=', tenantId)
  if (search !== undefined) {
    query = query.where((where) => where.or([
      where('user_id', 'like', likePrefix(search)),
      where(sql<string>`lower(display_name)`, 'like', likePrefix(search.toLowerCase())),
    ]))
  }
  if (after !== undefined) query = query.where('user_id', '>', after)
  return query.orderBy('user_id').limit(limit).execute()
}

/** Users who have the number or address as a method, or sign in with it. */
export function selectUsersByValue ({ db, tenantId, now }: TenantTx, indexes: Buffer[], limit: number): Promise<UserRow[]> {
  return db.selectFrom('users').selectAll().where('tenant_id', '=', tenantId)
    .where((where) => where.or([
      where('sign_in_email_index', 'in', indexes),
      where('user_id', 'in', db.selectFrom('contact_methods').select('user_id')
        .where('tenant_id', '=', tenantId).where('status', 'in', ['pending', 'active', 'disabled']).where('value_index', 'in', indexes)
        .where((method) => method.or([method('status', '<>', 'pending'), method('pending_expires_at', '>', now)]))),
    ]))
    .orderBy('user_id').limit(limit).execute()
}

/** Whether an alternate e-mail of the user, or one that waits to be, leads to this mailbox. */
export async function hasAlternateEmail ({ db, tenantId, now }: TenantTx, userId: string, destinations: Buffer[]): Promise<boolean> {
  const found = await db.selectFrom('contact_methods').select('id').where('tenant_id', '=', tenantId).where('user_id', '=', userId)
    .where('kind', '=', 'alternateEmail')
    .where((where) => where.or([where('status', '=', 'active'), where.and([where('status', '=', 'pending'), where('pending_expires_at', '>', now)])]))
    .where((where) => where.or([where('destination_index', 'in', destinations), where('pending_destination_index', 'in', destinations)]))
    .limit(1).executeTakeFirst()
  return found !== undefined
}

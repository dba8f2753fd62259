import type { Insertable, Selectable } from 'kysely'
import type { TenantTx } from '../../platform/db/index.ts'
import type { MfaResets } from '../../platform/db/schema.ts'

export type ResetRow = Selectable<MfaResets>

export async function insertReset ({ db, tenantId, now }: TenantTx, row: Omit<Insertable<MfaResets>, 'tenant_id' | 'created_at'>): Promise<void> {
  await db.insertInto('mfa_resets').values({ ...row, tenant_id: tenantId, created_at: now }).execute()
}

/** Ends one that waited for its approval. */
export async function completeReset ({ db, tenantId, now }: TenantTx, resetId: string, set: { outcome: Buffer, mfa_epoch: number }): Promise<void> {
  await db.updateTable('mfa_resets').set({ ...set, status: 'completed', completed_at: now }).where('tenant_id', '=', tenantId).where('id', '=', resetId).execute()
}

export async function rejectReset ({ db, tenantId }: TenantTx, resetId: string): Promise<void> {
  await db.updateTable('mfa_resets').set({ status: 'rejected' }).where('tenant_id', '=', tenantId).where('id', '=', resetId).where('status', '=', 'pendingApproval').execute()
}

export const selectReset = ({ db, tenantId }: TenantTx, resetId: string): Promise<ResetRow | undefined> =>
  db.selectFrom('mfa_resets').selectAll().where('tenant_id', '=', tenantId).where('id', '=', resetId).executeTakeFirst()

/** The newest one that was done after this time. */
export const selectNewestSince = ({ db, tenantId }: TenantTx, userId: string, since: Date): Promise<Pick<ResetRow, 'id' | 'completed_at'> | undefined> =>
  db.selectFrom('mfa_resets').select(['id', 'completed_at']).where('tenant_id', '=', tenantId).where('user_id', '=', userId)
    .where('completed_at', '>', since).orderBy('completed_at', 'desc').limit(1).executeTakeFirst()

/** Newest first, after this position. */
export function selectResetsOf ({ db, tenantId }: TenantTx, userId: string, since: Date, after: { createdAt: Date, id: string } | undefined, limit: number): Promise<ResetRow[]> {
  let query = db.selectFrom('mfa_resets').selectAll().where('tenant_id', '=', tenantId).where('user_id', '=', userId).where('created_at', '>=', since)
  if (after) {
    query = query.where((where) => where.or([
      where('created_at', '<', after.createdAt), where.and([where('created_at', '=', after.createdAt), where('id', '<', after.id)]),
    ]))
  }
  return query.orderBy('created_at', 'desc').orderBy('id', 'desc').limit(limit).execute()
}

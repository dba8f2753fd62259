import { sql, type Insertable, type Selectable } from 'kysely'
import type { TenantTx } from '../../platform/db/index.ts'
import type { Approvals } from '../../platform/db/schema.ts'
import type { ApprovalStatus } from '../../vocabulary.ts'

export type ApprovalRow = Selectable<Approvals>

export async function insertApproval ({ db }: TenantTx, row: Insertable<Approvals>): Promise<void> {
  await db.insertInto('approvals').values(row).execute()
}

export const selectApproval = ({ db, tenantId }: TenantTx, approvalId: string): Promise<ApprovalRow | undefined> =>
  db.selectFrom('approvals').selectAll().where('tenant_id', '=', tenantId).where('id', '=', approvalId).executeTakeFirst()

/** Newest first, after `before`; of one requester, or of all. */
export function selectApprovals ({ db, tenantId, now }: TenantTx, requester: string | undefined, status: ApprovalStatus | undefined, before: string | undefined, limit: number): Promise<ApprovalRow[]> {
  let query = db.selectFrom('approvals').selectAll().where('tenant_id', '=', tenantId)
  if (requester !== undefined) query = query.where('requester', '=', requester)
  if (status === 'pending') query = query.where('status', '=', 'pending').where('expires_at', '>', now)
  else if (status === 'expired') query = query.where('status', '=', 'pending').where('expires_at', '<=', now)
  else if (status !== undefined) query = query.where('status', '=', status)
  if (before !== undefined) query = query.where('id', '<', before)
  return query.orderBy('id', 'desc').limit(limit).execute()
}

/** Decides what still waits; undefined for all but the first of those who decide at once, and for what is over. */
export async function decideOnce ({ db }: TenantTx, approvalId: string, verdict: 'completed' | 'rejected', decider: string): Promise<ApprovalRow | undefined> {
  const { rows: [row] } = await sql<ApprovalRow>`select * from decide_approval(${approvalId}, ${verdict}, ${decider})`.execute(db)
  return row
}

/** Takes what an approval has left for its requester; undefined for all but the first, and when its time is over. */
export async function collectOnce ({ db }: TenantTx, approvalId: string, collector: string): Promise<ApprovalRow | undefined> {
  const { rows: [row] } = await sql<ApprovalRow>`select * from collect_approval(${approvalId}, ${collector})`.execute(db)
  return row
}

/** Erases the request, of which nothing can come any more. */
export const eraseRequest = ({ db, tenantId }: TenantTx, approvalId: string): Promise<ApprovalRow> =>
  db.updateTable('approvals').set({ request: null }).where('tenant_id', '=', tenantId).where('id', '=', approvalId).returningAll().executeTakeFirstOrThrow()

/** Gives the requester until then to collect. */
export const openCollection = ({ db, tenantId }: TenantTx, approvalId: string, until: Date): Promise<ApprovalRow> =>
  db.updateTable('approvals').set({ collect_until: until }).where('tenant_id', '=', tenantId).where('id', '=', approvalId).returningAll().executeTakeFirstOrThrow()

/** True once in 24 hours for each administrator. */
export async function takeBreakGlassOnce ({ db }: TenantTx, administrator: string): Promise<boolean> {
  const { rows: [row] } = await sql<{ taken: boolean }>`select take_break_glass(${administrator}) as taken`.execute(db)
  return row!.taken
}

/** Who has used a role lately, in the order of their ids. */
export async function selectUsersOfRole ({ db, tenantId, now }: TenantTx, role: string, days: number): Promise<string[]> {
  const since = new Date(now.getTime() - days * 86_400_000)
  const rows = await db.selectFrom('role_uses').select('user_id').where('tenant_id', '=', tenantId).where('role', '=', role).where('last_used_at', '>', since)
    .orderBy('user_id').execute()
  return rows.map((row) => row.user_id)
}

import type { TenantTx } from '../../platform/db/index.ts'
import type { Actor, Deps } from '../../platform/deps.ts'
import { cursorOf, pageOf, positionOf } from '../../platform/http/paging.ts'
import { notFound } from '../../platform/refusal.ts'
import { toApproval, type Executors } from './approvals.ts'
import { selectApproval, selectApprovals, type ApprovalRow } from './queries.ts'
import type { Approval, ApprovalsQuery } from './schema.ts'

/** A privileged administrator sees all of the tenant, everyone else what they asked for themself. */
const seesAll = ({ roles }: Actor) => roles.includes('privilegedAdmin')

/** Newest first. */
export async function listApprovals ({ db, keys }: Deps, actor: Actor, executors: Executors, { status, limit = 50, cursor }: ApprovalsQuery): Promise<{ items: Approval[], nextCursor?: string }> {
  const { tenantId } = actor
  const requester = seesAll(actor) ? undefined : actor.subject
  const scope = ['approvals', status, requester]
  const before = cursor === undefined ? undefined : positionOf(keys, tenantId, scope, cursor)
  return db.inTenant(tenantId, async (tx) =>
    pageOf(await selectApprovals(tx, requester, status, before, limit + 1), limit, (row) => toApproval(keys, executors, row, tx.now), (row) => cursorOf(keys, tenantId, scope, row.id)))
}

/** One that the caller may see. */
export async function readApproval ({ db, keys }: Deps, actor: Actor, executors: Executors, approvalId: string): Promise<Approval> {
  return db.inTenant(actor.tenantId, async (tx) => toApproval(keys, executors, await visibleApproval(tx, actor, approvalId), tx.now))
}

/** The row, or 404 for whoever may not see it. */
export async function visibleApproval (tx: TenantTx, actor: Actor, approvalId: string): Promise<ApprovalRow> {
  const row = await selectApproval(tx, approvalId)
  if (!row || !(seesAll(actor) || row.requester === actor.subject)) throw notFound()
  return row
}

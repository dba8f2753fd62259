import type { TenantTx } from '../../platform/db/index.ts'
import type { Actor, Authority, Deps } from '../../platform/deps.ts'
import { notFound, Refusal } from '../../platform/refusal.ts'
import { record, withoutPersonalData } from '../audit/audit.ts'
import { requestOf, toApproval, type Executor, type Executors, type Readmit } from './approvals.ts'
import { collectOnce, decideOnce, eraseRequest, openCollection, type ApprovalRow } from './queries.ts'
import { visibleApproval } from './read.ts'
import type { Approval, CollectedApproval, Decision } from './schema.ts'

const collectMinutes = 30

/** What approvals are handed instead of importing it. */
export interface Powers { authority: Authority, readmit: Readmit, executors: Executors }

/**
 * Approves and carries out, in one transaction: the request is what was asked for, the requester may still ask, and
 * everything is judged as it is now. What is refused then changes nothing; the approval waits on until it expires. Of
 * two who approve at once one does.
 */
export async function approve (deps: Deps, tx: TenantTx, { authority, readmit, executors }: Powers, actor: Actor, approvalId: string, { note }: Decision): Promise<Approval> {
  const { requester, user_id: userId } = await visibleApproval(tx, actor, approvalId)
  if (requester === actor.subject) throw authority.refused('approvals.approve', userId, 'own_request')
  if (userId === actor.subject) throw authority.refused('approvals.approve', userId, 'self_administration')
  authority.requireStepUp(actor, 'approvals.approve')
  const row = await decided(tx, approvalId, 'completed', actor)
  const executor = executorOf(executors, row)
  const { principal, request } = requestOf(deps.keys, row)
  const approved = { ...await readmit(tx, principal, actor), approvedBy: { approvalId, approver: actor.subject } }
  await record(deps, tx, actor, { action: 'approval.approved', userId, details: { approvalId, action: row.action, requester, ...noted(note) } })
  await executor.execute(deps, tx, approved, request, approvalId)
  const leaves = executor.collect !== undefined && (executor.collects?.(request) ?? true)
  const after = leaves ? await openCollection(tx, approvalId, new Date(row.decided_at!.getTime() + collectMinutes * 60_000)) : await eraseRequest(tx, approvalId)
  return toApproval(deps.keys, executors, after, tx.now)
}

/** Rejects, or withdraws what one has asked for oneself. The user whom it is about does not decide. */
export async function reject (deps: Deps, tx: TenantTx, { authority, executors }: Powers, actor: Actor, approvalId: string, { note }: Decision): Promise<Approval> {
  const { requester, user_id: userId } = await visibleApproval(tx, actor, approvalId)
  if (userId === actor.subject) throw authority.refused('approvals.reject', userId, 'self_administration')
  authority.requireStepUp(actor, 'approvals.reject')
  const row = await decided(tx, approvalId, 'rejected', actor)
  const executor = executors[row.action]
  if (executor?.rejected) await executor.rejected(deps, tx, actor, requestOf(deps.keys, row).request, approvalId)
  await record(deps, tx, actor, { action: 'approval.rejected', userId, details: { approvalId, action: row.action, requester, ...noted(note) } })
  return toApproval(deps.keys, executors, await eraseRequest(tx, approvalId), tx.now)
}

/** Gives the requester, once and within 30 minutes, what only they may see. */
export async function collect (deps: Deps, tx: TenantTx, { authority, executors }: Powers, actor: Actor, approvalId: string): Promise<CollectedApproval> {
  const { requester } = await visibleApproval(tx, actor, approvalId)
  if (requester !== actor.subject) throw notFound()
  authority.requireStepUp(actor, 'approvals.collect')
  const row = await collectOnce(tx, approvalId, actor.subject)
  if (!row) throw new Refusal('approval_closed', 'There is nothing to collect: it was not approved, was collected, or its time is over.')
  const executor = executorOf(executors, row)
  const { request } = requestOf(deps.keys, row)
  const collected = await executor.collect!(deps, tx, { ...actor, approvedBy: { approvalId, approver: row.decided_by! } }, request, approvalId)
  await record(deps, tx, actor, { action: 'approval.collected', userId: row.user_id, details: { approvalId, action: row.action } })
  return { ...toApproval(deps.keys, executors, await eraseRequest(tx, approvalId), tx.now), ...collected }
}

async function decided (tx: TenantTx, approvalId: string, verdict: 'completed' | 'rejected', { subject }: Actor): Promise<ApprovalRow> {
  const row = await decideOnce(tx, approvalId, verdict, subject)
  if (!row) throw new Refusal('approval_closed', 'The approval was decided before, or has expired.')
  return row
}

function executorOf (executors: Executors, { action }: ApprovalRow): Executor {
  const executor = executors[action]
  if (!executor) throw new Error(`nothing carries out ${action}`)
  return executor
}

const noted = (note: string | undefined) => note === undefined ? {} : { note: withoutPersonalData(note) }

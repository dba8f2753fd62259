import type { TenantTx } from '../../platform/db/index.ts'
import type { Actor, Deps, Precondition, Principal, Waiting } from '../../platform/deps.ts'
import type { Keys } from '../../platform/keys.ts'
import { RecordedRefusal } from '../../platform/refusal.ts'
import type { ApprovalStatus } from '../../vocabulary.ts'
import { record } from '../audit/audit.ts'
import { insertApproval, type ApprovalRow } from './queries.ts'
import type { Approval } from './schema.ts'

const decideMinutes = 30

/**
 * How an action is carried out once it is approved. It comes from the feature that asked, by way of `app.ts`: approvals
 * call nothing. `actor` is the requester as they are now, with `approvedBy`, so that the function that was asked first
 * judges and does the same again. What it refuses leaves the approval pending.
 */
export interface Executor<Request = never> {
  /** What would be done, in plain words and without personal data. */
  summary: string
  execute (deps: Deps, tx: TenantTx, actor: Actor, request: Request, approvalId: string): Promise<void>
  /** What only the requester may see, once; it is made when they fetch it. */
  collect? (deps: Deps, tx: TenantTx, actor: Actor, request: Request, approvalId: string): Promise<object>
  /** Whether this request leaves something to fetch; yes unless told. */
  collects? (request: Request): boolean
  /** Where something else waits with it. `actor` is who rejected it. */
  rejected? (deps: Deps, tx: TenantTx, actor: Actor, request: Request, approvalId: string): Promise<void>
}

/** The executor of each action. */
export type Executors = Readonly<Record<string, Executor>>

/** The requester as they are now, in the transaction that carries out what they asked for; throws if they may not ask any more. */
export type Readmit = (tx: TenantTx, principal: Principal, approver: Actor) => Promise<Actor>

export interface Wish {
  /** Names the executor. */
  action: string
  /** Whom it is about; null where it is about the tenant. */
  userId: string | null
  resourceId?: string
  /** What the executor needs, as JSON. It is sealed. */
  request: object
  /** What the approver and the audit log are shown: ids, names of fields, values that are no personal data. */
  details?: Record<string, unknown>
  /** What the approver is shown beside that, masked, while it waits. It is sealed with the request and gets into no log. */
  shown?: Record<string, unknown>
}

/** What of a precondition goes into the request, to be judged again when it is carried out. */
export const ifMatchOf = ({ wanted }: Precondition) => wanted === undefined ? {} : { ifMatch: wanted }

/** Keeps what someone asks for until a second person decides, for 30 minutes. Call it once everything else was judged. */
export async function askForApproval (deps: Deps, tx: TenantTx, actor: Actor, { action, userId, resourceId, request, details = {}, shown = {} }: Wish): Promise<Waiting> {
  const { tenantId, tenantSlug, subject, kind, roles, scopes, authTime, issuedAt, amr, sandbox } = actor
  const principal: Principal = { tenantId, tenantSlug, subject, kind, roles, scopes, authTime, issuedAt, amr, sandbox }
  const id = deps.random.uuid()
  const text = JSON.stringify({ principal, request, shown })
  const row = {
    tenant_id: tx.tenantId, id, action, requester: subject, user_id: userId, resource_id: resourceId ?? null, details: JSON.stringify(details),
    created_at: tx.now, expires_at: new Date(tx.now.getTime() + decideMinutes * 60_000),
  }
  await insertApproval(tx, {
    ...row, request: deps.keys.seal('approval', tx.tenantId, [id], text),
    request_mac: deps.keys.mac('approval', tx.tenantId, boundParts(row, text)), mac_key_version: deps.keys.newest,
  })
  await record(deps, tx, actor, { action: 'approval.requested', userId, details: { ...details, approvalId: id, action } })
  return { approvalId: id }
}

type Bound = Pick<ApprovalRow, 'tenant_id' | 'id' | 'action' | 'requester' | 'user_id' | 'resource_id' | 'details' | 'created_at' | 'expires_at'>

/** What the hash covers: nothing of it may be another when it is carried out. */
const boundParts = (row: Bound, text: string): string[] =>
  [row.tenant_id, row.id, row.action, row.requester, row.user_id, row.resource_id, row.details, String(row.created_at.valueOf()), String(row.expires_at.valueOf()), text]
    .map((part) => part === null ? '-' : `=${part}`)

/** What was asked for, and by whom, if it is still exactly that; else `approval_closed`, which is written down. */
export function requestOf (keys: Keys, row: ApprovalRow): { principal: Principal, request: never, shown: Record<string, unknown> } {
  const text = intact(keys, row)
  if (text === undefined) {
    throw new RecordedRefusal('approval_closed', 'What is stored is not what was asked for.', { action: 'approval.altered', userId: row.user_id }, { rule: 'altered_request' })
  }
  const { principal, ...rest } = JSON.parse(text) as { principal: Principal & { authTime: string | null, issuedAt: string }, request: never, shown: Record<string, unknown> }
  const { authTime, issuedAt } = principal
  return { ...rest, principal: { ...principal, authTime: authTime === null ? null : new Date(authTime), issuedAt: new Date(issuedAt) } }
}

function intact (keys: Keys, row: ApprovalRow): string | undefined {
  try {
    if (row.request === null) return undefined
    const text = keys.open('approval', row.tenant_id, [row.id], row.request)
    return keys.macMatches('approval', row.tenant_id, boundParts(row, text), row.mac_key_version, row.request_mac) ? text : undefined
  } catch {
    return undefined
  }
}

/** What waited too long is expired, written down or not. */
const statusOf = ({ status, expires_at: expiresAt }: ApprovalRow, now: Date): ApprovalStatus =>
  status === 'pending' && expiresAt <= now ? 'expired' : status as ApprovalStatus

/** What was asked for, masked, while it waits; nothing of what is not as it was stored. */
function shownOf (keys: Keys, row: ApprovalRow, now: Date): Record<string, unknown> {
  if (statusOf(row, now) !== 'pending') return {}
  const text = intact(keys, row)
  return text === undefined ? {} : (JSON.parse(text) as { shown: Record<string, unknown> }).shown
}

/** The approval as it is at `now`. */
export const toApproval = (keys: Keys, executors: Executors, row: ApprovalRow, now: Date): Approval => ({
  id: row.id, status: statusOf(row, now), action: row.action, summary: executors[row.action]?.summary ?? row.action,
  userId: row.user_id, resourceId: row.resource_id, details: { ...JSON.parse(row.details) as Record<string, unknown>, ...shownOf(keys, row, now) },
  requestedBy: row.requester, requestedAt: row.created_at.toISOString(), expiresAt: row.expires_at.toISOString(),
  decidedBy: row.decided_by, decidedAt: row.decided_at?.toISOString() ?? null,
  collectable: row.collect_until !== null && row.collected_at === null && row.collect_until > now,
  collectUntil: row.collect_until?.toISOString() ?? null, collectedAt: row.collected_at?.toISOString() ?? null,
})

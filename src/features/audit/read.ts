import type { Actor, Deps } from '../../platform/deps.ts'
import { cursorOf, pageOf, positionOf, type CursorScope } from '../../platform/http/paging.ts'
import { selectNewestFirst, type EventFilter, type SealedRow } from './queries.ts'
import type { AuditEvent, AuditFilter, AuditQuery, AuditRange } from './schema.ts'
import { verifyChain, type ChainReport } from './verification.ts'

/** Numbered rows, newest first; with `done` only those of these actions that were done. What has committed before the call is numbered first, so that callers read their own writes. */
export async function listAuditEvents (deps: Deps, actor: Actor, { userId, actor: by, action, from, to, limit = 50, cursor }: AuditQuery, done?: readonly string[]): Promise<{ items: AuditEvent[], nextCursor?: string }> {
  const scope: CursorScope = [done ? 'timeline' : 'audit-events', userId, by, action, from, to]
  const before = cursor === undefined ? undefined : positionOf(deps.keys, actor.tenantId, scope, cursor)
  if (before === undefined) await deps.sealAudit(actor.tenantId)
  const filter = { userId, actor: by, action, done, from: dateOf(from), to: dateOf(to) }
  const rows = await deps.db.inTenant(actor.tenantId, (tx) => selectNewestFirst(tx, filter, before, limit + 1))
  return pageOf(rows, limit, toAuditEvent, (row) => cursorOf(deps.keys, actor.tenantId, scope, row.sequence))
}

/** Checks the chain over a time. */
export async function verifyAuditEvents (deps: Deps, actor: Actor, { from, to }: AuditRange): Promise<ChainReport> {
  await deps.sealAudit(actor.tenantId)
  return deps.db.inTenant(actor.tenantId, (tx) => verifyChain(deps, tx, dateOf(from), dateOf(to)))
}

/** What a caller asks for, as it is looked for. */
export const filterOf = ({ userId, actor, action, from, to }: AuditFilter): EventFilter => ({ userId, actor, action, from: dateOf(from), to: dateOf(to) })

/** RFC 3339 knows a leap second; a Date does not. */
const dateOf = (text: string | undefined) => text === undefined ? undefined : new Date(text.replace(/:60(?=[.Z+-])/i, ':59'))

/** A row as callers see it. */
export const toAuditEvent = (row: SealedRow): AuditEvent => ({
  sequence: Number(row.sequence), id: row.id, at: row.at.toISOString(), actor: { kind: row.actor_kind as AuditEvent['actor']['kind'], id: row.actor },
  action: row.action, outcome: row.outcome as AuditEvent['outcome'], userId: row.user_id, requestId: row.request_id,
  details: JSON.parse(row.details) as Record<string, unknown>,
})

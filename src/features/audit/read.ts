import type { Actor, Deps } from '../../platform/deps.ts'
import { cursorOf, pageOf, positionOf, type CursorScope } from '../../platform/http/paging.ts'
import { selectNewestFirst, type EventFilter, type SealedRow } from './queries.ts'
import { stretchOf } from './range.ts'
import type { AuditEvent, AuditFilter, AuditQuery, AuditRange } from './schema.ts'
import { verifyChain, type ChainReport } from './verification.ts'

/** Numbered rows, newest first; with `done` only those of these actions that were done. What has committed before the call is numbered first, so that callers read their own writes. */
export async function listAuditEvents (deps: Deps, actor: Actor, { limit = 50, cursor, ...query }: AuditQuery, done?: readonly string[]): Promise<{ items: AuditEvent[], nextCursor?: string }> {
  const scope: CursorScope = [done ? 'timeline' : 'audit-events', query.userId, query.actor, query.action, query.from, query.to]
  const before = cursor === undefined ? undefined : positionOf(deps.keys, actor.tenantId, scope, cursor)
  if (before === undefined) await deps.sealAudit(actor.tenantId)
  const filter = { ...filterOf(query), done }
  const rows = await deps.db.inTenant(actor.tenantId, async (tx) =>
    selectNewestFirst(tx, filter, await stretchOf(tx, filter.from, filter.to, 0n), before, limit + 1)) // an old time is not looked for from the newest row on
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

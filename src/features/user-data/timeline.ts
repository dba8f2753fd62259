import type { Actor, Deps } from '../../platform/deps.ts'
import { knownUser } from '../users/users.ts'
import { listAuditEvents } from '../audit/read.ts'
import type { AuditEvent } from '../audit/schema.ts'
import type { TimelineEntry } from './schema.ts'
import { sentenceOf, toldActions } from './texts.ts'

interface PageQuery { limit?: number, cursor?: string }

/**
 * What was done about a user, newest first, in plain words. Refusals, and what is nobody's but the administrators', are
 * not in it, nor what was done about someone who had the id before.
 */
export async function readTimeline (deps: Deps, actor: Actor, userId: string, { limit, cursor }: PageQuery): Promise<{ items: TimelineEntry[], nextCursor?: string }> {
  const { created_at: since } = await deps.db.inTenant(actor.tenantId, (tx) => knownUser(tx, userId))
  const { items, ...next } = await listAuditEvents(deps, actor, { userId, from: since.toISOString(), ...(limit !== undefined && { limit }), ...(cursor !== undefined && { cursor }) }, toldActions)
  return { items: items.map((event) => toEntry(userId, event)), ...next }
}

const toEntry = (userId: string, { id, at, action, details, actor }: AuditEvent): TimelineEntry => ({
  id, at, action, text: sentenceOf(action, details),
  by: actor.kind === 'app' ? 'app' : actor.kind !== 'person' ? 'service' : actor.id === userId ? 'self' : 'administrator',
})

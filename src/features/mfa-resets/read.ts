import type { TenantTx } from '../../platform/db/index.ts'
import type { Actor, Deps } from '../../platform/deps.ts'
import { cursorOf, pageOf, positionOf } from '../../platform/http/paging.ts'
import { notFound } from '../../platform/refusal.ts'
import { isSelf, mayOnOthers } from '../authority/may.ts'
import { knownUser } from '../users/users.ts'
import { selectReset, selectResetsOf, type ResetRow } from './queries.ts'
import type { NewReset, Reset } from './schema.ts'
import { openOutcome, openRequest } from './stored.ts'

/** One reset, for whoever may read its user; to the user, one of their own and not of someone who had the id before. */
export async function readReset (deps: Deps, actor: Actor, resetId: string): Promise<Reset> {
  return deps.db.inTenant(actor.tenantId, async (tx) => {
    const row = await selectReset(tx, resetId)
    if (!row) throw notFound()
    if (isSelf(actor, row.user_id) ? row.created_at < (await knownUser(tx, row.user_id)).created_at : !mayOnOthers(actor, 'mfaResets.read')) throw notFound()
    return toReset(deps, tx, actor, row)
  })
}

/** The resets of a user, newest first; not those of someone who had the id before. */
export async function listResets (deps: Deps, actor: Actor, userId: string, { limit = 50, cursor }: { limit?: number, cursor?: string }): Promise<{ items: Reset[], nextCursor?: string }> {
  const scope = ['mfa-resets', userId]
  const after = cursor === undefined ? undefined : positionOf(deps.keys, actor.tenantId, scope, cursor).split(' ')
  return deps.db.inTenant(actor.tenantId, async (tx) => {
    const { created_at: since } = await knownUser(tx, userId)
    const rows = await selectResetsOf(tx, userId, since, after && { createdAt: new Date(after[0]!), id: after[1]! }, limit + 1)
    return pageOf(rows, limit, (row) => toReset(deps, tx, actor, row), (row) => cursorOf(deps.keys, actor.tenantId, scope, `${row.created_at.toISOString()} ${row.id}`))
  })
}

/** What administrators wrote to each other is not for the person. */
function toReset ({ keys }: Deps, { tenantId, now }: TenantTx, actor: Actor, row: ResetRow): Reset {
  const { kinds, methodIds, note, ticket }: Partial<NewReset> = openRequest(keys, tenantId, row) ?? {}
  const self = isSelf(actor, row.user_id)
  const overdue = row.status === 'pendingApproval' && row.expires_at! <= now
  return {
    id: row.id, userId: row.user_id, status: overdue ? 'expired' : row.status as Reset['status'], scope: row.scope as Reset['scope'], kinds: kinds ?? null, methodIds: methodIds ?? null, reason: row.reason as Reset['reason'],
    note: self ? null : note ?? null, ticket: self ? null : ticket ?? null, requestedBy: { kind: row.requested_kind as 'person' | 'app', id: row.requested_by }, approvalId: row.approval_id,
    ...openOutcome(keys, tenantId, row), createdAt: row.created_at.toISOString(), completedAt: row.completed_at?.toISOString() ?? null,
  }
}

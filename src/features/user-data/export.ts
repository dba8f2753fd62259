import type { Selectable } from 'kysely'
import type { Actor, Deps } from '../../platform/deps.ts'
import type { ContactMethods } from '../../platform/db/schema.ts'
import type { Keys } from '../../platform/keys.ts'
import { record } from '../audit/audit.ts'
import { isSelf } from '../authority/may.ts'
import { requireStepUp } from '../authority/step-up.ts'
import { openExtension, openValue } from '../contact-methods/value.ts'
import { limitCaller } from '../limits/callers.ts'
import { listResets } from '../mfa-resets/read.ts'
import { knownUser, signInEmailOf } from '../users/users.ts'
import { selectEveryMethod, selectRecords } from './queries.ts'
import type { UserExport } from './schema.ts'
import { readTimeline } from './timeline.ts'

const timelineMax = 1_000
const pageMax = 200

/**
 * Everything that is held about a user, in full (GDPR, Article 15), for themself with a fresh second factor and for a
 * privileged administrator. Audited; an administrator's counts as a reveal.
 */
export async function exportUser (deps: Deps, actor: Actor, userId: string): Promise<UserExport> {
  const { keys } = deps
  const held = await deps.db.inTenant(actor.tenantId, async (tx) => {
    const user = await knownUser(tx, userId)
    requireStepUp(actor, 'users.export')
    if (!isSelf(actor, userId)) await limitCaller(tx, actor, 'reveal')
    await record(deps, tx, actor, { action: 'user.exported', userId })
    return { user, methods: await selectEveryMethod(tx, userId, user.created_at), ...await selectRecords(tx, userId, user.created_at), at: tx.now }
  })
  const { user, lockout } = held
  return {
    userId, exportedAt: held.at.toISOString(),
    user: {
      displayName: user.display_name, signInEmail: signInEmailOf(keys, user), locale: user.locale, privileged: user.privileged, status: user.status, mfaEpoch: user.mfa_epoch,
      firstRegisteredAt: user.first_registered_at, sessionsValidFrom: user.sessions_valid_from, devicesValidFrom: user.devices_valid_from,
      reregistrationSince: user.reregistration_since, reregistrationReason: user.reregistration_reason, createdAt: user.created_at, updatedAt: user.updated_at,
    },
    contactMethods: held.methods.map((row) => methodOf(keys, row)),
    authenticators: held.passes.map((row) => ({
      id: row.id, kind: 'temporaryAccessPass', startsAt: row.starts_at, expiresAt: row.expires_at, oneTime: row.one_time, uses: row.uses, usedAt: row.used_at, voidAt: row.void_at, basis: row.basis, createdAt: row.created_at,
    })),
    challenges: held.challenges.map((row) => ({
      id: row.id, purpose: row.purpose, channel: row.channel, destination: row.destination, status: row.status, startedBy: { kind: row.starter_kind, id: row.starter_id },
      attempts: row.attempts, createdAt: row.created_at, expiresAt: row.expires_at, endedAt: row.ended_at,
    })),
    messages: held.messages.map((row) => ({ id: row.id, challengeId: row.challenge_id, channel: row.channel, kind: row.kind, state: row.state, createdAt: row.created_at, endedAt: row.ended_at })),
    resets: await everyPage((cursor) => listResets(deps, actor, userId, { limit: pageMax, ...cursor })),
    lockout: lockout ? { wrongCodesInARow: lockout.in_a_row, lockedUntil: lockout.locked_until } : null,
    timeline: await everyPage((cursor) => readTimeline(deps, actor, userId, { limit: pageMax, ...cursor })),
  }
}

async function everyPage<Item> (read: (cursor: { cursor?: string }) => Promise<{ items: Item[], nextCursor?: string }>): Promise<Item[]> {
  const all: Item[] = []
  for (let cursor: { cursor?: string } = {}; all.length < timelineMax;) {
    const { items, nextCursor } = await read(cursor)
    all.push(...items)
    if (nextCursor === undefined) break
    cursor = { cursor: nextCursor }
  }
  return all.slice(0, timelineMax)
}

const methodOf = (keys: Keys, row: Selectable<ContactMethods>) => ({
  id: row.id, kind: row.kind, label: row.label, status: row.status, value: row.value && openValue(keys, row.tenant_id, row.user_id, row.id, row.value),
  extension: openExtension(keys, row.tenant_id, row.user_id, row.id, row.extension), country: row.country, lineType: row.line_type, isDefault: row.is_default, addedBy: row.added_by,
  pendingValue: row.pending_value && openValue(keys, row.tenant_id, row.user_id, row.id, row.pending_value),
  createdAt: row.created_at, verifiedAt: row.verified_at, lastUsedAt: row.last_used_at, disabledAt: row.disabled_at, removedAt: row.removed_at, removedBy: row.removed_by,
})

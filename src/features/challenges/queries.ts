import type { Selectable } from 'kysely'
import type { HotStatement, TenantCall, TenantTx } from '../../platform/db/index.ts'
import { jsonRow } from '../../platform/db/json.ts'
import type { AuditEvents, Challenges, DB, Messages } from '../../platform/db/schema.ts'

export type ChallengeRow = Selectable<Challenges>
export type ReadRow = ChallengeRow & { overdue: boolean, delivery: string | null, unjudged: boolean }
export interface Starter { kind: 'person' | 'app', id: string }

/** How long what a caller sees who may not know more stays `queued`; a real message takes as long or less. */
const shownQueuedSeconds = 1

/** So long after the last attempt nobody judges it any more: `approve_challenge` would not let them. */
const unjudgedSeconds = 30

/**
 * The starter's own challenge, with whether its time is over, whether its last attempt was counted and never judged
 * (whoever did so is gone), and how its newest message fares. To a starter who may not
 * know whether there is a user, a message is on its way and then sent, whatever there is.
 */
export const readOwn = (challengeId: string, starter: Starter): TenantCall<ReadRow> =>
  ({ statement: readOwnStatement, values: [challengeId, starter.kind, starter.id, unjudgedSeconds, shownQueuedSeconds] })

/** What is read hangs on where the tenant was entered, so that it cannot come before. */
const readOwnStatement: HotStatement = {
  name: 'read_own_challenge', text: `
    select own.* from enter_tenant($1) as e (at) cross join lateral (
      select c.*, c.status = 'pending' and c.expires_at <= tenant_now() as overdue,
             c.status = 'pending' and c.attempts >= c.attempts_max and c.attempted_at + make_interval(secs => $5) <= least(tenant_now(), c.expires_at) as unjudged,
             case when c.channel = 'temporaryAccessPass' then null
                  when not c.blind then (select m.state from messages m where m.tenant_id = c.tenant_id and m.challenge_id = c.id order by m.created_at desc limit 1)
                  when c.status = 'failed' then 'failed'
                  when tenant_now() < c.created_at + make_interval(secs => $6) then 'queued' else 'sent' end as delivery
        from challenges c
       where c.tenant_id = $1 and c.id = case when e.at is not null then $2::uuid end and c.starter_kind = $3 and c.starter_id = $4 offset 0) as own`,
}

/** What a user's challenges depend on: read at once, before anything is judged. Everything of the user is null where there is none. */
export interface SettingRow {
  at: Date
  server_now: Date
  tenant_created_at: Date
  policy_version: number
  policy: Selectable<DB['policies']>['document']
  organization: string | null
  default_country: string | null
  status: string | null
  privileged: boolean | null
  mfa_epoch: number | null
  first_registered_at: Date | null
  locked_until: Date | null
  by_method: Record<string, number> | null
  methods: Array<Record<string, unknown>> | null
  former: Record<string, unknown> | null
  /** Null where nothing is frozen now. */
  frozen_until: Date | null
  reregistration_since: Date | null
}

export const readSetting: HotStatement = { name: 'read_challenge_setting', text: 'select * from read_challenge_setting($1, $2, $3)' }

/** What must still hold when a challenge is written: of the method, or of the pass. Null for a decoy that is for nobody. */
export type Guard = { epoch: number, policyVersion: number } & ({ methodId: string, methodVersion: number, methodStatus: string } | { passId: string })

export type NewRow = Pick<ChallengeRow, 'tenant_id' | 'id' | 'user_id' | 'method_id' | 'purpose' | 'channel' | 'starter_kind' | 'starter_id' | 'status' | 'code_mac' |
  'code_key_version' | 'code_length' | 'attempts' | 'attempts_max' | 'destination_index' | 'destination' | 'mfa_epoch' | 'decoy' | 'blind' | 'prefix_index' | 'address_bucket' | 'context_hash' | 'context_display' | 'shown_method_id'>

/** What is written together with a code that goes out. Without a message nothing is sent. */
export interface Outgoing {
  message: Pick<Selectable<Messages>, 'tenant_id' | 'id' | 'user_id' | 'challenge_id' | 'channel' | 'kind' | 'recipient' | 'content'> | null
  event: Selectable<AuditEvents>
  guard: Guard | null
  /** For `take_send`; null where there is nothing to send. */
  sends: string | null
  lifetimeSeconds: number
}

export interface StartedRow { outcome: 'started' | 'stale' | 'refused', refused_by: string | null, available_at: Date | null, pending_id: string | null, remaining: number | null, created_at: Date | null, expires_at: Date | null }

/** Takes the sends, cancels what it supersedes and writes challenge, message and audit row; or does none of it and says why. */
export const startUnlessRefused = (row: NewRow, { message, event, guard, sends, lifetimeSeconds }: Outgoing): TenantCall<StartedRow> => ({
  statement: startStatement, values: [jsonRow(row), lifetimeSeconds, message && jsonRow(message), jsonRow(event), guard && JSON.stringify(guard), sends],
})

/** Enters the tenant, and then calls: the call takes its first argument from where the tenant was entered. */
const entering = (name: string, firstType: string, others: number): HotStatement => ({
  name, text: `select f.* from enter_tenant($1) as e (at) cross join lateral ${name}(${[`case when e.at is not null then $2::${firstType} end`, ...Array.from({ length: others }, (_none, index) => `$${index + 3}`)].join(', ')}) as f`,
})
const startStatement = entering('start_challenge', 'jsonb', 5)
const resendStatement = entering('resend_challenge', 'uuid', 8)
const attemptStatement = entering('take_attempt', 'uuid', 2)
const approveStatement = entering('approve_challenge', 'uuid', 2)

export interface NewCode { mac: Buffer, keyVersion: number, length: number }
export interface ResentRow { outcome: 'sent' | 'stale' | 'ended' | 'refused', refused_by: string | null, available_at: Date | null }

/** Sends a new code for a challenge that is pending; the old one is wrong from then on. */
export const resendUnlessRefused = (challengeId: string, code: NewCode, { message, event, guard, sends, lifetimeSeconds }: Outgoing): TenantCall<ResentRow> => ({
  statement: resendStatement,
  values: [challengeId, code.mac, code.keyVersion, code.length, lifetimeSeconds, message && jsonRow(message), jsonRow(event), guard && JSON.stringify(guard), sends],
})

/** An attempt that was counted, or that was not because the user is locked. */
export interface AttemptRow extends Pick<ChallengeRow, 'id' | 'user_id' | 'method_id' | 'purpose' | 'channel' | 'code_mac' | 'code_key_version' | 'attempts' | 'attempts_max' | 'destination_index' |
  'mfa_epoch' | 'context_hash' | 'decoy' | 'blind'> {
  outcome: 'judge' | 'locked'
  /** The tenant's time. */
  at: Date
  locked_until: Date | null
  /** Wrong codes in a row, this attempt among them until it proves right; null where they do not count. */
  in_a_row: number | null
  /** On the method; of a pass, over all its challenges. */
  on_method: number | null
}

/**
 * Counts an attempt before anything is compared, and commits it whatever comes out. A challenge that ended, is overdue
 * or belongs to an older epoch gives no row.
 */
export const takeAttempt = (challengeId: string, starter: Starter): TenantCall<AttemptRow> =>
  ({ statement: attemptStatement, values: [challengeId, starter.kind, starter.id] })

export interface ApprovedRow { outcome: 'approved' | 'gone' | 'replaced' | 'ended', issued_at: Date | null }

/**
 * Exactly one of several right codes is told `approved`, and none whose code was `replaced` after it was judged. `gone`
 * cancels: the user or the method is not what it was. Writes the audit row, if it is given.
 */
export const approveOnce = (challengeId: string, judgedMac: Buffer, event: Selectable<AuditEvents> | null): TenantCall<ApprovedRow> =>
  ({ statement: approveStatement, values: [challengeId, judgedMac, event && jsonRow(event)] })

/** Ends a challenge whose last attempt was wrong; false if it ended otherwise meanwhile. */
export async function exhaust ({ db, tenantId, now }: TenantTx, challengeId: string): Promise<boolean> {
  const ended = await db.updateTable('challenges').set({ status: 'exhausted', ended_at: now })
    .where('tenant_id', '=', tenantId).where('id', '=', challengeId).where('status', '=', 'pending').whereRef('attempts', '>=', 'attempts_max').returning('id').executeTakeFirst()
  return ended !== undefined
}

/** Ends a challenge whose last attempt was counted and never judged; false if it ended otherwise meanwhile. */
export async function exhaustUnjudged ({ db, tenantId }: TenantTx, challengeId: string): Promise<boolean> {
  const ended = await db.updateTable('challenges').set((row) => ({ status: 'exhausted', ended_at: row.ref('attempted_at') }))
    .where('tenant_id', '=', tenantId).where('id', '=', challengeId).where('status', '=', 'pending').whereRef('attempts', '>=', 'attempts_max').returning('id').executeTakeFirst()
  return ended !== undefined
}

/** Cancels those of them that are still pending; answers which. */
export async function cancel ({ db, tenantId, now }: TenantTx, challengeIds: string[]): Promise<string[]> {
  if (challengeIds.length === 0) return []
  const rows = await db.updateTable('challenges').set({ status: 'canceled', ended_at: now })
    .where('tenant_id', '=', tenantId).where('id', 'in', challengeIds).where('status', '=', 'pending').where('expires_at', '>', now).returning('id').execute()
  return rows.map((row) => row.id)
}

/**
 * Cancels the pending challenges for a method of its own user, or of those only whose starters may know; answers which.
 * A decoy for someone else may bear the same id.
 */
export async function cancelOfMethod ({ db, tenantId, now }: TenantTx, methodId: string, whose: 'all' | 'seeing'): Promise<string[]> {
  const rows = await db.updateTable('challenges').set({ status: 'canceled', ended_at: now })
    .where('tenant_id', '=', tenantId).where('method_id', '=', methodId).where('status', '=', 'pending').where('expires_at', '>', now)
    .where('user_id', '=', (of) => of.selectFrom('contact_methods').select('user_id').where('tenant_id', '=', tenantId).where('id', '=', methodId))
    .$if(whose === 'seeing', (query) => query.where('blind', '=', false)).returning('id').execute()
  return rows.map((row) => row.id)
}

/** Cancels everything of a user that is pending; answers which. The user must be locked. */
export async function cancelOfUser ({ db, tenantId, now }: TenantTx, userId: string): Promise<string[]> {
  const rows = await db.updateTable('challenges').set({ status: 'canceled', ended_at: now })
    .where('tenant_id', '=', tenantId).where('user_id', '=', userId).where('status', '=', 'pending').where('expires_at', '>', now).where('decoy', '=', false).returning('id').execute()
  return rows.map((row) => row.id)
}

/** True for the first of those who use this administrator's approved caller check of the user, if it ended no earlier than that. */
export async function spendOnce ({ db, tenantId, now }: TenantTx, challengeId: string, administrator: string, userId: string, notBefore: Date): Promise<boolean> {
  const spent = await db.updateTable('challenges').set({ spent_at: now })
    .where('tenant_id', '=', tenantId).where('id', '=', challengeId).where('user_id', '=', userId).where('purpose', '=', 'callerCheck').where('status', '=', 'approved')
    .where('starter_kind', '=', 'person').where('starter_id', '=', administrator).where('ended_at', '>=', notBefore).where('spent_at', 'is', null).returning('id').executeTakeFirst()
  return spent !== undefined
}

/** Those of these challenges of which a code could still be used. Found by id alone: the index of what is pending would be gone through where nobody has analysed the table yet. */
export async function whichWait ({ db, tenantId, now }: TenantTx, challengeIds: string[]): Promise<string[]> {
  const rows = await db.selectFrom('challenges').select(['id', 'status', 'expires_at']).where('tenant_id', '=', tenantId).where('id', 'in', challengeIds).execute()
  return rows.filter((row) => row.status === 'pending' && row.expires_at > now).map((row) => row.id)
}

/**
 * Fails a challenge whose newest message no carrier took: one that came after it may yet arrive. Answers what it was,
 * or nothing if it has ended or goes on.
 */
export async function fail ({ db, tenantId, now }: TenantTx, challengeId: string): Promise<Pick<ChallengeRow, 'id' | 'user_id' | 'destination_index'> | undefined> {
  return db.updateTable('challenges').set({ status: 'failed', ended_at: now })
    .where('tenant_id', '=', tenantId).where('id', '=', challengeId).where('status', '=', 'pending').where('expires_at', '>', now)
    .where((where) => where.selectFrom('messages').select('state').where('tenant_id', '=', tenantId).where('challenge_id', '=', challengeId)
      .orderBy('queued_at', 'desc').limit(1), '=', 'failed')
    .returning(['id', 'user_id', 'destination_index']).executeTakeFirst()
}

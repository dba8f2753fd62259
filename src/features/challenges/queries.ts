import { sql, type CompiledQuery, type Insertable, type Selectable } from 'kysely'
import { DummyDriver, Kysely, PostgresAdapter, PostgresIntrospector, PostgresQueryCompiler } from 'kysely'
import type { TenantTx } from '../../platform/db/index.ts'
import type { Challenges, DB } from '../../platform/db/schema.ts'

export type ChallengeRow = Selectable<Challenges>
export type ReadRow = ChallengeRow & { overdue: boolean, delivery: string | null }

/** Compiles statements for the batch door, which has no Kysely of its own. */
const compiler = new Kysely<DB>({ dialect: { createAdapter: () => new PostgresAdapter(), createDriver: () => new DummyDriver(), createIntrospector: (db) => new PostgresIntrospector(db), createQueryCompiler: () => new PostgresQueryCompiler() } })

/** The starter's own challenge, with whether its time is over and how its newest message fares. */
export const readOwn = (challengeId: string, starter: { kind: string, id: string }): CompiledQuery<ReadRow> => sql<ReadRow>`
  select c.*, c.status = 'pending' and c.expires_at <= tenant_now() as overdue,
         (select m.state from messages m where m.tenant_id = c.tenant_id and m.challenge_id = c.id order by m.created_at desc limit 1) as delivery
    from challenges c
   where c.tenant_id = current_tenant() and c.id = ${challengeId} and c.starter_kind = ${starter.kind} and c.starter_id = ${starter.id}`.compile(compiler)

/**
 * Counts an attempt before anything is compared, and commits it whatever comes out: of any number of parallel checks
 * at most `attempts_max` get a row back. A challenge that ended, is overdue or belongs to an older epoch gives none.
 */
export const takeAttempt = (challengeId: string, starter: { kind: string, id: string }): CompiledQuery<ChallengeRow> => sql<ChallengeRow>`
  update challenges c set attempts = c.attempts + 1
   where c.tenant_id = current_tenant() and c.id = ${challengeId} and c.starter_kind = ${starter.kind} and c.starter_id = ${starter.id}
     and c.status = 'pending' and c.attempts < c.attempts_max and c.used_at is null and c.expires_at > tenant_now()
     and c.mfa_epoch = (select u.mfa_epoch from users u where u.tenant_id = c.tenant_id and u.user_id = c.user_id)
  returning c.*`.compile(compiler)

/** Exactly one of several right codes gets a row back. */
export async function approveOnce ({ db, tenantId, now }: TenantTx, challenge: ChallengeRow): Promise<boolean> {
  const won = await db.updateTable('challenges').set({ status: 'approved', used_at: now, ended_at: now })
    .where('tenant_id', '=', tenantId).where('id', '=', challenge.id).where('status', '=', 'pending').where('used_at', 'is', null)
    .where('mfa_epoch', '=', (query) => query.selectFrom('users').select('mfa_epoch').where('tenant_id', '=', tenantId).where('user_id', '=', challenge.user_id))
    .returning('id').executeTakeFirst()
  return won !== undefined
}

/** Ends a challenge whose last attempt was wrong; false if it ended otherwise meanwhile. */
export async function exhaust ({ db, tenantId, now }: TenantTx, challengeId: string): Promise<boolean> {
  const ended = await db.updateTable('challenges').set({ status: 'exhausted', ended_at: now })
    .where('tenant_id', '=', tenantId).where('id', '=', challengeId).where('status', '=', 'pending').whereRef('attempts', '>=', 'attempts_max').returning('id').executeTakeFirst()
  return ended !== undefined
}

/**
 * The user's challenges that still wait for a code, oldest first; those whose time is over are written down as expired.
 * All are locked, and before any destination is: everyone takes user, challenges and destination in this order, or
 * one who ends a challenge and one who starts its successor would wait for each other.
 */
export async function lockPending ({ db, tenantId, now }: TenantTx, userId: string): Promise<ChallengeRow[]> {
  const rows = await db.selectFrom('challenges').selectAll()
    .where('tenant_id', '=', tenantId).where('user_id', '=', userId).where('status', '=', 'pending').orderBy('id').forNoKeyUpdate().execute()
  const overdue = rows.filter((row) => row.expires_at <= now).map((row) => row.id)
  if (overdue.length > 0) {
    await db.updateTable('challenges').set({ status: 'expired', ended_at: sql`expires_at` }).where('tenant_id', '=', tenantId).where('id', 'in', overdue).execute()
  }
  return rows.filter((row) => row.expires_at > now)
}

export async function insertChallenge ({ db }: TenantTx, row: Insertable<Challenges>): Promise<ChallengeRow> {
  return db.insertInto('challenges').values(row).returningAll().executeTakeFirstOrThrow()
}

/** Cancels those of them that are still pending; answers which. */
export async function cancel ({ db, tenantId, now }: TenantTx, challengeIds: string[]): Promise<string[]> {
  if (challengeIds.length === 0) return []
  const rows = await db.updateTable('challenges').set({ status: 'canceled', ended_at: now })
    .where('tenant_id', '=', tenantId).where('id', 'in', challengeIds).where('status', '=', 'pending').returning('id').execute()
  return rows.map((row) => row.id)
}

/** Cancels every pending challenge for a method; answers which. */
export async function cancelOfMethod ({ db, tenantId, now }: TenantTx, methodId: string): Promise<string[]> {
  const rows = await db.updateTable('challenges').set({ status: 'canceled', ended_at: now })
    .where('tenant_id', '=', tenantId).where('method_id', '=', methodId).where('status', '=', 'pending').where('expires_at', '>', now).returning('id').execute()
  return rows.map((row) => row.id)
}

/** Whether a code of this challenge could still be used. */
export async function isWaiting ({ db, tenantId, now }: TenantTx, challengeId: string): Promise<boolean> {
  const row = await db.selectFrom('challenges').select('id')
    .where('tenant_id', '=', tenantId).where('id', '=', challengeId).where('status', '=', 'pending').where('expires_at', '>', now).executeTakeFirst()
  return row !== undefined
}

/** No carrier took the message: the challenge has failed. Answers its destination, or nothing if it had ended. */
export async function fail ({ db, tenantId, now }: TenantTx, challengeId: string): Promise<Buffer | undefined> {
  const row = await db.updateTable('challenges').set({ status: 'failed', ended_at: now })
    .where('tenant_id', '=', tenantId).where('id', '=', challengeId).where('status', '=', 'pending').where('expires_at', '>', now).returning('destination_index').executeTakeFirst()
  return row?.destination_index
}

import { sql, type Selectable } from 'kysely'
import type { TenantTx } from '../../platform/db/index.ts'
import type { PrefixBlocks } from '../../platform/db/schema.ts'

/** Wrong codes of a user; `locked_methods` are those that have this many on themselves, are there still and are not disabled. */
export interface FailureRow { in_a_row: number, locked_until: Date | null, counted: boolean, locked_methods: string[] }

/** With `lock` nothing more is counted until the transaction ends. */
export async function selectFailures ({ db, tenantId, now }: TenantTx, userId: string, methodFailuresMax: number, lock = false): Promise<FailureRow | undefined> {
  const { rows: [row] } = await sql<FailureRow>`
    select f.in_a_row, f.locked_until,
           exists (select from jsonb_each_text(f.by_method) as m (id, failures) where m.failures::integer > 0) as counted,
           array(select m.id from jsonb_each_text(f.by_method) as m (id, failures)
                  where m.failures::integer >= ${methodFailuresMax}
                    and not exists (select from contact_methods c
                                     where c.tenant_id = ${tenantId} and c.id = m.id::uuid
                                       and (c.status in ('disabled', 'removed') or (c.status = 'pending' and c.pending_expires_at <= ${now})))
                  order by m.id collate "C") as locked_methods
      from code_failures f where f.tenant_id = ${tenantId} and f.user_id = ${userId} ${lock ? sql`for no key update` : sql``}`.execute(db)
  return row
}

/** Nothing is counted against the user any more, and nothing is locked. */
export async function clearFailures ({ db, tenantId }: TenantTx, userId: string): Promise<void> {
  await db.updateTable('code_failures').set({ in_a_row: 0, locked_until: null, by_method: '{}' }).where('tenant_id', '=', tenantId).where('user_id', '=', userId).execute()
}

/** A block of a prefix, in force or over. */
export type PrefixBlockRow = Selectable<PrefixBlocks>

/** Blocks in force, in the order of their prefixes, after `after`. */
export function selectBlocks ({ db, tenantId, now }: TenantTx, after: string | undefined, limit: number): Promise<PrefixBlockRow[]> {
  let query = db.selectFrom('prefix_blocks').selectAll().where('tenant_id', '=', tenantId).where('blocked_until', '>', now)
  if (after !== undefined) query = query.where(sql<string>`prefix collate "C"`, '>', after)
  return query.orderBy(sql`prefix collate "C"`).limit(limit).execute()
}

/** True for the one of several at once that began the block; false where it is in force already. */
export async function beginBlock ({ db, tenantId, now }: TenantTx, prefix: string, until: Date): Promise<boolean> {
  const begun = await db.insertInto('prefix_blocks').values({ tenant_id: tenantId, prefix, blocked_at: now, blocked_until: until })
    .onConflict((conflict) => conflict.columns(['tenant_id', 'prefix']).doUpdateSet({ blocked_at: now, blocked_until: until }).where('prefix_blocks.blocked_until', '<=', now))
    .returning('prefix').executeTakeFirst()
  return begun !== undefined
}

/** Never shortens it. */
export async function prolongBlock ({ db, tenantId }: TenantTx, prefix: string, until: Date): Promise<void> {
  await db.updateTable('prefix_blocks').set({ blocked_until: until })
    .where('tenant_id', '=', tenantId).where('prefix', '=', prefix).where('blocked_until', '<', until).execute()
}

/** True if it was in force. */
export async function endBlock ({ db, tenantId, now }: TenantTx, prefix: string): Promise<boolean> {
  const ended = await db.deleteFrom('prefix_blocks').where('tenant_id', '=', tenantId).where('prefix', '=', prefix).where('blocked_until', '>', now).returning('prefix').executeTakeFirst()
  return ended !== undefined
}

/** Sends to the prefix count anew from here on. */
export async function forgetPrefixSends ({ db, tenantId }: TenantTx, prefixIndexes: Buffer[]): Promise<void> {
  await db.updateTable('prefix_sends').set({ seconds: [], counts: [], recent: [], verified: [] })
    .where('tenant_id', '=', tenantId).where('prefix_index', 'in', prefixIndexes).execute()
}

/** Takes one of a sliding window; null, or in how many seconds there is room again. */
export async function takeWindow ({ db }: TenantTx, bucket: string, takenMax: number, windowSeconds: number): Promise<number | null> {
  const { rows: [row] } = await sql<{ wait: number | null }>`select take_window(${bucket}, ${takenMax}, make_interval(secs => ${windowSeconds})) as wait`.execute(db)
  return row!.wait
}

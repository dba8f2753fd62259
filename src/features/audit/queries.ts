import { sql, type Selectable, type Transaction } from 'kysely'
import type { TenantTx } from '../../platform/db/index.ts'
import type { AuditEvents, DB } from '../../platform/db/schema.ts'

export type EventRow = Selectable<AuditEvents>
export type SealedRow = EventRow & { sequence: string }

/** Inserts the row and queues it for its number, in one statement. */
export async function insertEvent (db: Transaction<DB>, row: EventRow): Promise<void> {
  await db.with('event', (query) => query.insertInto('audit_events').values(row).returning(['tenant_id', 'id']))
    .insertInto('audit_unsealed').columns(['tenant_id', 'event_id'])
    .expression((query) => query.selectFrom('event').select(['tenant_id', 'id']))
    .execute()
}

export interface EventFilter { userId?: string | undefined, actor?: string | undefined, action?: string | undefined, from?: Date | undefined, to?: Date | undefined }

/** Numbered rows, newest first, below `before` where there is one. */
export async function selectNewestFirst ({ db, tenantId }: TenantTx, filter: EventFilter, before: string | undefined, limit: number): Promise<SealedRow[]> {
  let query = db.selectFrom('audit_seals as s')
    .innerJoin('audit_events as e', (join) => join.onRef('e.tenant_id', '=', 's.tenant_id').onRef('e.id', '=', 's.event_id'))
    .selectAll('e').select('s.sequence').where('s.tenant_id', '=', tenantId)
  if (filter.userId !== undefined) query = query.where('e.user_id', '=', filter.userId)
  if (filter.actor !== undefined) query = query.where('e.actor', '=', filter.actor)
  if (filter.action !== undefined) query = query.where('e.action', '=', filter.action)
  if (filter.from !== undefined) query = query.where('e.at', '>=', filter.from)
  if (filter.to !== undefined) query = query.where('e.at', '<', filter.to)
  if (before !== undefined) query = query.where('s.sequence', '<', before)
  return query.orderBy('s.sequence', 'desc').limit(limit).execute()
}

export interface ChainRow {
  sequence: string
  event_id: string
  seal_key_version: number
  sealed_at: Date
  chain_mac: Buffer
  event: EventRow | null
}

/** A stretch of the chain in order; a seal whose row is gone has no event. */
export async function selectChain ({ db, tenantId }: TenantTx, above: string, upTo: string, limit: number): Promise<ChainRow[]> {
  const rows = await db.selectFrom('audit_seals as s')
    .leftJoin('audit_events as e', (join) => join.onRef('e.tenant_id', '=', 's.tenant_id').onRef('e.id', '=', 's.event_id'))
    .select(['s.sequence', 's.event_id', 's.mac_key_version as seal_key_version', 's.sealed_at', 's.chain_mac', 'e.id', 'e.at', 'e.actor_kind', 'e.actor', 'e.action',
      'e.outcome', 'e.user_id', 'e.request_id', 'e.details', 'e.mac_key_version', 'e.row_mac'])
    .where('s.tenant_id', '=', tenantId).where('s.sequence', '>', above).where('s.sequence', '<=', upTo)
    .orderBy('s.sequence').limit(limit).execute()
  return rows.map(({ sequence, event_id, seal_key_version, sealed_at, chain_mac, ...event }) => ({
    sequence, event_id, seal_key_version, sealed_at, chain_mac,
    event: event.id === null ? null : { ...event, tenant_id: tenantId } as EventRow,
  }))
}

/**
 * The numbers that a time takes: from its first row to its last, and the gaps on both sides, since a row that is gone
 * has no time any more. Empty (`first` above `last`) where nothing can have been.
 */
export async function sequenceRange ({ db, tenantId }: TenantTx, from: Date | undefined, to: Date | undefined): Promise<{ first: bigint, last: bigint }> {
  const { rows: [range] } = await sql<{ first: string, last: string }>`
    with present as materialized (
           select s.sequence, e.at from audit_seals s join audit_events e on e.tenant_id = s.tenant_id and e.id = s.event_id where s.tenant_id = ${tenantId}),
         wanted as (
           select min(sequence) filter (where at >= coalesce(${from ?? null}::timestamptz, '-infinity')) as first,
                  max(sequence) filter (where at < coalesce(${to ?? null}::timestamptz, 'infinity')) as last from present),
         head as (select coalesce(max(sequence), 0) as sequence from audit_seals where tenant_id = ${tenantId})
    select coalesce(max(p.sequence) filter (where w.first is null or p.sequence < w.first), 0) + 1 as first,
           coalesce(min(p.sequence) filter (where w.last is null or p.sequence > w.last) - 1, h.sequence) as last
      from head h cross join wanted w left join present p on true group by h.sequence`.execute(db)
  return { first: BigInt(range!.first), last: BigInt(range!.last) }
}

export async function sealAt ({ db, tenantId }: TenantTx, sequence: string) {
  return db.selectFrom('audit_seals').selectAll().where('tenant_id', '=', tenantId).where('sequence', '=', sequence).executeTakeFirst()
}

/** Rows that neither have a number nor wait for one: somebody put them in, or took their seal away. */
export async function selectUnsealed ({ db, tenantId }: TenantTx, limit: number): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    select e.id from audit_events e
     where e.tenant_id = ${tenantId}
       and not exists (select 1 from audit_seals s where s.tenant_id = e.tenant_id and s.event_id = e.id)
       and not exists (select 1 from audit_unsealed u where u.tenant_id = e.tenant_id and u.event_id = e.id)
     order by e.id limit ${limit}`.execute(db)
  return rows.map((row) => row.id)
}

export async function countUnsealed ({ db, tenantId }: TenantTx): Promise<number> {
  const row = await db.selectFrom('audit_unsealed').select((expression) => expression.fn.countAll<string>().as('count')).where('tenant_id', '=', tenantId).executeTakeFirstOrThrow()
  return Number(row.count)
}

/** True for the first refusal of its kind; `more` came with it. */
export async function startCounting ({ db, tenantId }: TenantTx, fingerprint: Buffer, event: string, more: number): Promise<boolean> {
  const { rows } = await sql`
    insert into audit_refusals (tenant_id, fingerprint, last_written_at, event, uncounted) values (${tenantId}, ${fingerprint}, now(), ${event}, ${more})
    on conflict (tenant_id, fingerprint) do nothing returning 1`.execute(db)
  return rows.length === 1
}

/** Counts so many more, or says that a row is due with as many as were held back; undefined if it is not counted any more. */
export async function countRefusal ({ db, tenantId }: TenantTx, fingerprint: Buffer, seconds: number, times: number): Promise<{ due: boolean, uncounted: number } | undefined> {
  const { rows: [known] } = await sql<{ due: boolean, uncounted: number }>`
    select last_written_at <= now() - make_interval(secs => ${seconds}) as due, uncounted
      from audit_refusals where tenant_id = ${tenantId} and fingerprint = ${fingerprint} for update`.execute(db)
  if (!known) return undefined
  await sql`
    update audit_refusals set uncounted = ${known.due ? 0 : known.uncounted + times}, last_written_at = case when ${known.due} then now() else last_written_at end
     where tenant_id = ${tenantId} and fingerprint = ${fingerprint}`.execute(db)
  return known
}

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

/** Numbers of the chain, both ends included; empty where `first` lies above `last`. */
export interface Stretch { first: bigint, last: bigint }

/** `done`: only these actions, and only where they were done. */
export interface EventFilter { userId?: string | undefined, actor?: string | undefined, action?: string | undefined, done?: readonly string[] | undefined, from?: Date | undefined, to?: Date | undefined }

/** Numbered rows that fit a filter. The seal tells the month of its row; one that says another time than its row is a fault that the verification names. */
function numberedRows ({ db, tenantId }: TenantTx, filter: EventFilter) {
  let query = db.selectFrom('audit_seals as s')
    .innerJoin('audit_events as e', (join) => join.onRef('e.tenant_id', '=', 's.tenant_id').onRef('e.id', '=', 's.event_id').onRef('e.at', '=', 's.event_at'))
    .selectAll('e').select('s.sequence').where('s.tenant_id', '=', tenantId)
  if (filter.userId !== undefined) query = query.where('e.user_id', '=', filter.userId)
  if (filter.actor !== undefined) query = query.where('e.actor', '=', filter.actor)
  if (filter.action !== undefined) query = query.where('e.action', '=', filter.action)
  if (filter.done !== undefined) query = query.where('e.outcome', '=', 'done').where('e.action', 'in', [...filter.done])
  if (filter.from !== undefined) query = query.where('e.at', '>=', filter.from)
  if (filter.to !== undefined) query = query.where('e.at', '<', filter.to)
  return query
}

/** Those among a stretch of numbers, newest first, below `before` where there is one. */
export async function selectNewestFirst (tx: TenantTx, filter: EventFilter, stretch: Stretch, before: string | undefined, limit: number): Promise<SealedRow[]> {
  const query = within(numberedRows(tx, filter), stretch)
  return (before === undefined ? query : query.where('s.sequence', '<', before)).orderBy('s.sequence', 'desc').limit(limit).execute()
}

/** Those among a stretch of numbers, in their order. */
export async function selectStretch (tx: TenantTx, filter: EventFilter, stretch: Stretch): Promise<SealedRow[]> {
  return within(numberedRows(tx, filter), stretch).orderBy('s.sequence').execute()
}

const within = (query: ReturnType<typeof numberedRows>, { first, last }: Stretch) => query.where('s.sequence', '>=', String(first)).where('s.sequence', '<=', String(last))

export interface ChainRow {
  sequence: string
  event_id: string
  /** When its row was written, as the seal has it. */
  event_at: Date
  seal_key_version: number
  sealed_at: Date
  chain_mac: Buffer
  event: EventRow | null
}

/** A stretch of the chain in order; a seal whose row is gone has no event. A row that is not where its seal says is looked for everywhere. */
export async function selectChain (tx: TenantTx, above: string, upTo: string, limit: number): Promise<ChainRow[]> {
  const { db, tenantId } = tx
  const found = await db.selectFrom('audit_seals as s')
    .leftJoin('audit_events as e', (join) => join.onRef('e.tenant_id', '=', 's.tenant_id').onRef('e.id', '=', 's.event_id').onRef('e.at', '=', 's.event_at'))
    .select(['s.sequence', 's.event_id', 's.event_at', 's.mac_key_version as seal_key_version', 's.sealed_at', 's.chain_mac', 'e.id', 'e.at', 'e.actor_kind', 'e.actor', 'e.action',
      'e.outcome', 'e.user_id', 'e.request_id', 'e.details', 'e.mac_key_version', 'e.row_mac'])
    .where('s.tenant_id', '=', tenantId).where('s.sequence', '>', above).where('s.sequence', '<=', upTo)
    .orderBy('s.sequence').limit(limit).execute()
  const rows = found.map(({ sequence, event_id, event_at, seal_key_version, sealed_at, chain_mac, ...event }): ChainRow => ({
    sequence, event_id, event_at, seal_key_version, sealed_at, chain_mac,
    event: event.id === null ? null : { ...event, tenant_id: tenantId } as EventRow,
  }))
  const lost = rows.filter(({ event }) => event === null)
  if (lost.length === 0) return rows
  const elsewhere = await db.selectFrom('audit_events').selectAll().where('tenant_id', '=', tenantId).where('id', 'in', lost.map(({ event_id }) => event_id)).orderBy('at', 'desc').execute()
  const byId = new Map(elsewhere.map((row) => [row.id, row]))
  for (const row of lost) row.event = byId.get(row.event_id) ?? null
  return rows
}

/** The lowest and the highest number of the rows of a time, and what stands around them; null where there is none. */
export async function numbersOf ({ db, tenantId }: TenantTx, from: Date | undefined, to: Date | undefined): Promise<{ first: bigint, last: bigint } | null> {
  const { rows: [found] } = await sql<{ first: string | null, last: string | null }>`
    select min(n.sequence) as first, max(n.sequence) as last from (
      select s.sequence from audit_seals s where s.tenant_id = ${tenantId}
         and s.event_at >= coalesce(${from ?? null}::timestamptz, '-infinity') and s.event_at < coalesce(${to ?? null}::timestamptz, 'infinity') offset 0) as n`.execute(db)
  return found!.first === null ? null : { first: BigInt(found!.first), last: BigInt(found!.last!) }
}

/** The seal next to a number, below or above it, and not the number itself. */
export async function neighbour ({ db, tenantId }: TenantTx, sequence: bigint, side: 'below' | 'above'): Promise<{ sequence: bigint, event_at: Date } | undefined> {
  const row = await db.selectFrom('audit_seals').select(['sequence', 'event_at']).where('tenant_id', '=', tenantId)
    .where('sequence', side === 'below' ? '<' : '>', String(sequence)).orderBy('sequence', side === 'below' ? 'desc' : 'asc').limit(1).executeTakeFirst()
  return row && { sequence: BigInt(row.sequence), event_at: row.event_at }
}

export async function headOf ({ db, tenantId }: TenantTx): Promise<bigint | undefined> {
  const row = await db.selectFrom('audit_seals').select('sequence').where('tenant_id', '=', tenantId).orderBy('sequence', 'desc').limit(1).executeTakeFirst()
  return row && BigInt(row.sequence)
}

export async function sealAt ({ db, tenantId }: TenantTx, sequence: string) {
  return db.selectFrom('audit_seals').selectAll().where('tenant_id', '=', tenantId).where('sequence', '=', sequence).executeTakeFirst()
}

/** Rows of a time that neither have a number nor wait for one: somebody put them in, or took their seal away. */
export async function selectUnsealed ({ db, tenantId }: TenantTx, from: Date | undefined, to: Date | undefined, limit: number): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    with loose as materialized (
      select e.id from audit_events e
       where e.tenant_id = ${tenantId} and e.at >= coalesce(${from ?? null}::timestamptz, '-infinity') and e.at <= coalesce(${to ?? null}::timestamptz, 'infinity')
         and not exists (select from audit_seals s where s.tenant_id = e.tenant_id and s.event_id = e.id and s.event_at = e.at)
         and not exists (select from audit_unsealed u where u.tenant_id = e.tenant_id and u.event_id = e.id))
    select distinct l.id from loose l
     -- One whose seal finds nothing at its own time is a row that was altered, and has its number.
     where not exists (
       select from audit_seals s where s.tenant_id = ${tenantId} and s.event_id = l.id
          and not exists (select from audit_events o where o.tenant_id = ${tenantId} and o.id = s.event_id and o.at = s.event_at))
     order by l.id limit ${limit}`.execute(db)
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

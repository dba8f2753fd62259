import { sql, type Selectable } from 'kysely'
import type { TenantTx } from '../../platform/db/index.ts'
import type { AuditCheckpoints } from '../../platform/db/schema.ts'
import type { Keys } from '../../platform/keys.ts'
import { chainStart } from './audit.ts'
import { walk } from './chain.ts'

export type Checkpoint = Selectable<AuditCheckpoints>

/** How many of the newest checkpoints are looked at. */
const lookedAtMax = 100
/** How many numbers one checkpoint takes in at most: they are all checked in its transaction. */
const cutRows = 20_000

/** What `mac` covers. */
const checkpointParts = ({ sequence, head, events, faults, made_at }: Omit<Checkpoint, 'tenant_id' | 'mac' | 'mac_key_version'>): string[] =>
  ['checkpoint', sequence, head.toString('hex'), String(events), String(faults), String(made_at.valueOf())]

/** The newest checkpoint of a tenant that was made by us, and the numbers of those above it that were not. */
export async function checkpointsOf (keys: Keys, { db, tenantId }: TenantTx): Promise<{ newest: Checkpoint | undefined, foreign: bigint[] }> {
  const rows = await db.selectFrom('audit_checkpoints').selectAll().where('tenant_id', '=', tenantId).orderBy('sequence', 'desc').limit(lookedAtMax).execute()
  const own = (row: Checkpoint) => keys.macMatches('audit', tenantId, checkpointParts(row), row.mac_key_version, row.mac)
  const newest = rows.find(own)
  return { newest, foreign: rows.slice(0, newest ? rows.indexOf(newest) : rows.length).map(({ sequence }) => BigInt(sequence)) }
}

/**
 * Checks what may be dropped of a tenant's log, and writes down where the chain goes on and whether it was whole. True
 * if there was something. `at` stands for the server's clock; nobody drops anything of the tenant meanwhile.
 */
export async function makeCheckpoint (keys: Keys, tx: TenantTx, at: Date | null): Promise<boolean> {
  const { db, tenantId } = tx
  const { rows: [found] } = await sql<{ free: boolean, cut: string | null, now: Date }>`
    select pg_try_advisory_xact_lock(hashtextextended('forget audit ' || ${tenantId}, 0)) as free, date_trunc('milliseconds', clock_timestamp()) as now,
           latchkey_internal.audit_cut(coalesce(${at}::timestamptz, now()), ${cutRows}) as cut`.execute(db)
  const { free, cut, now } = found!
  if (!free || cut === null) return false
  const { newest } = await checkpointsOf(keys, tx)
  const above = BigInt(newest?.sequence ?? 0)
  if (BigInt(cut) <= above) return false
  const { checked, altered, missing, head } = await walk(keys, tx, { first: above + 1n, last: BigInt(cut) }, [newest?.head ?? chainStart])
  const checkpoint = { sequence: cut, head: head!, events: checked, faults: altered.length + missing.length, made_at: now }
  await db.insertInto('audit_checkpoints').values({
    ...checkpoint, tenant_id: tenantId, mac_key_version: keys.newest, mac: keys.mac('audit', tenantId, checkpointParts(checkpoint)),
  }).execute()
  return true
}

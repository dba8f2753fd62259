import { sql } from 'kysely'
import type { TenantTx } from '../../platform/db/index.ts'
import type { WorkerDb } from '../../platform/db/worker.ts'
import type { Deps } from '../../platform/deps.ts'
import type { Keys } from '../../platform/keys.ts'
import { chainStart, record, sealedParts } from './audit.ts'

const batchRows = 500

/**
 * Numbers the rows of a tenant that have committed, and chains them. One sealer per tenant at a time (advisory lock),
 * so that numbers have no gap and a reader's cursor never passes a row that is still to come; writers never wait.
 */
export async function sealTenant (db: WorkerDb, keys: Keys, tenantId: string): Promise<number> {
  let sealed = 0
  for (let more = true; more;) {
    const rows = await db.inTenant(tenantId, (tx) => sealBatch(tx, keys))
    sealed += rows
    more = rows === batchRows
  }
  return sealed
}

async function sealBatch ({ db, tenantId }: TenantTx, keys: Keys): Promise<number> {
  await sql`select pg_advisory_xact_lock(hashtextextended(${`seal ${tenantId}`}, 0))`.execute(db)
  const { rows: waiting } = await sql<{ id: string, at: Date, row_mac: Buffer, sealed_at: Date }>`
    with taken as (
      delete from audit_unsealed u where u.tenant_id = ${tenantId}
         and u.event_id in (select event_id from audit_unsealed where tenant_id = ${tenantId} order by event_id limit ${batchRows})
      returning event_id)
    select e.id, e.at, e.row_mac, date_trunc('milliseconds', statement_timestamp()) as sealed_at
      from taken t join audit_events e on e.tenant_id = ${tenantId} and e.id = t.event_id
     where not exists (select 1 from audit_seals s where s.tenant_id = ${tenantId} and s.event_id = t.event_id)
     order by e.id`.execute(db)
  if (waiting.length === 0) return 0

  // Where everything was dropped, the chain goes on from the checkpoint.
  const { rows: [head] } = await sql<{ sequence: string, chain_mac: Buffer }>`
    select sequence, chain_mac from (
      (select sequence, chain_mac, 1 as turn from audit_seals where tenant_id = ${tenantId} order by sequence desc limit 1) union all
      (select sequence, head, 2 from audit_checkpoints where tenant_id = ${tenantId} order by sequence desc limit 1)) as ends
     order by turn limit 1`.execute(db)
  let sequence = BigInt(head?.sequence ?? 0)
  let before = head?.chain_mac ?? chainStart
  const seals = waiting.map((event) => {
    sequence += 1n
    const seal = { sequence: String(sequence), sealed_at: event.sealed_at }
    before = keys.mac('audit', tenantId, sealedParts(seal, before, event))
    return { tenant_id: tenantId, ...seal, event_id: event.id, event_at: event.at, mac_key_version: keys.newest, chain_mac: before }
  })
  await db.insertInto('audit_seals').values(seals).execute()
  return waiting.length
}

/** Seals every tenant that has rows waiting. One that cannot be sealed keeps no other waiting. */
export async function sealAll (db: WorkerDb, keys: Keys): Promise<void> {
  const { rows } = await db.acrossTenants((all) => sql<{ tenant_id: string }>`select distinct tenant_id from audit_unsealed`.execute(all))
  const failures: unknown[] = []
  for (const { tenant_id } of rows) await sealTenant(db, keys, tenant_id).catch((error: unknown) => failures.push(error))
  if (failures.length > 0) throw failures[0]
}

/** Writes the counts of refusals that were held back and have been quiet for a minute. */
export async function writeCountedRefusals (db: WorkerDb, deps: Pick<Deps, 'keys' | 'random'>): Promise<void> {
  const { rows } = await db.acrossTenants((all) => sql<{ tenant_id: string, fingerprint: Buffer }>`
    select tenant_id, fingerprint from audit_refusals where last_written_at <= now() - interval '60 s' limit 200`.execute(all))
  for (const { tenant_id, fingerprint } of rows) {
    await db.inTenant(tenant_id, async (tx) => {
      const { rows: [held] } = await sql<{ event: string, uncounted: number }>`
        delete from audit_refusals where tenant_id = ${tenant_id} and fingerprint = ${fingerprint} and last_written_at <= now() - interval '60 s'
        returning event, uncounted`.execute(tx.db)
      if (!held || held.uncounted === 0) return
      const { actor, entry } = JSON.parse(held.event) as { actor: { kind: 'person' | 'app', subject: string }, entry: { action: string, userId?: string | null, details?: object } }
      await record(deps, tx, { ...actor, requestId: '-' }, { ...entry, outcome: 'refused', details: { ...entry.details, count: held.uncounted } })
    })
  }
}

import { sql } from 'kysely'
import type { WorkerDb } from '../db/worker.ts'

const rowsMax = 1_000
const roundsMax = 100

/** Forgets what a tenant keeps no longer (`forget_what_is_over`), in small transactions. */
export async function forgetOld (db: WorkerDb, tenantId: string): Promise<void> {
  for (let round = 0; round < roundsMax; round++) {
    const more = await db.inTenant(tenantId, async (tx) => {
      const { rows: [row] } = await sql<{ more: boolean }>`select forget_what_is_over(${rowsMax}) as more`.execute(tx.db)
      return row!.more
    })
    if (!more) return
  }
}

/** The same for every tenant, one after the other. */
export async function forgetOldOfAll (db: WorkerDb): Promise<void> {
  const { rows } = await db.acrossTenants((all) => sql<{ tenant_id: string }>`select tenant_id from tenants order by tenant_id`.execute(all))
  for (const { tenant_id: tenantId } of rows) await forgetOld(db, tenantId)
}

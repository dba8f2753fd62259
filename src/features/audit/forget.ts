import { sql } from 'kysely'
import type { WorkerDb } from '../../platform/db/worker.ts'
import type { Stopping } from '../../platform/jobs/retention.ts'
import type { Keys } from '../../platform/keys.ts'
import { makeCheckpoint } from './checkpoints.ts'

const rowsMax = 1_000
const checkpointsMax = 1_000

/**
 * Drops what a tenant's log keeps no longer: a checkpoint first, then what lies below it, a batch in each transaction.
 * What was interrupted is gone on with. `at` stands for the server's clock; only the owner of the database may say another.
 */
export async function forgetAudit (db: Pick<WorkerDb, 'inTenant'>, keys: Keys, tenantId: string, stopping: Stopping, at: Date | null = null): Promise<void> {
  const batch = at === null ? sql<{ gone: number }>`select latchkey_internal.forget_audit(${rowsMax}) as gone` : sql<{ gone: number }>`select latchkey_internal.forget_audit_at(${rowsMax}, ${at}) as gone`
  for (let made = 0; made < checkpointsMax && !stopping(); made++) {
    const more = await db.inTenant(tenantId, (tx) => makeCheckpoint(keys, tx, at))
    while (!stopping() && (await db.inTenant(tenantId, (tx) => batch.execute(tx.db))).rows[0]!.gone > 0) { /* until nothing is left */ }
    if (!more) return
  }
}

/** Makes the months to come and drops those of which nothing is left. */
export async function tendAuditMonths (db: WorkerDb): Promise<void> {
  await db.acrossTenants((all) => sql`select latchkey_internal.tend_audit_months()`.execute(all))
}

import { sql, type RawBuilder } from 'kysely'
import type { WorkerDb } from '../db/worker.ts'

const rowsMax = 1_000
/** Bounds a turn, not what is forgotten: the next turn goes on. */
const batchesMax = 2_000

/** Each forgets a batch of what is over of a tenant, and says whether there may be more. */
const forgetful = ['forget_what_is_over', 'forget_notices', 'forget_approvals']
/** Each looks through so many rows of a tenant, beginning here, and says where to go on. */
const sweeping: Array<[name: string, start: RawBuilder<unknown>]> = [['forget_windows', sql`''::text`], ['forget_destinations', sql`''::bytea`]]

/** Whether the process is being stopped: then a job ends after the batch it is at, and the next start goes on. */
export type Stopping = () => boolean

/** Forgets what a tenant keeps no longer: a batch in each transaction, which waits for nobody and holds nobody up. */
export async function forgetOld (db: WorkerDb, tenantId: string, stopping: Stopping): Promise<void> {
  const call = <T>(name: string, ...values: unknown[]) => db.inTenant(tenantId, async (tx) =>
    (await sql<{ answer: T }>`select ${sql.ref(name)}(${sql.join(values)}) as answer`.execute(tx.db)).rows[0]!.answer)
  for (const name of forgetful) {
    for (let batch = 0; batch < batchesMax && !stopping() && await call<boolean>(name, rowsMax); batch++) { /* one more */ }
  }
  for (const [name, start] of sweeping) {
    for (let after: unknown = start; after !== null && !stopping();) after = await call(name, after, rowsMax)
  }
}

/** Forgets answers that are kept for their `Idempotency-Key` no longer. */
export async function forgetExpiredKeys (db: WorkerDb): Promise<void> {
  for (let gone = rowsMax; gone === rowsMax;) {
    const { numAffectedRows = 0n } = await db.acrossTenants((all) => sql`
      delete from idempotency_keys where (tenant_id, caller, key_mac) in (
        select tenant_id, caller, key_mac from idempotency_keys where expires_at <= now() order by expires_at limit ${rowsMax} for update skip locked)`.execute(all))
    gone = Number(numAffectedRows)
  }
}

/** Does some work for every tenant, one after the other. One whose work fails keeps no other waiting. */
export async function forEachTenant (db: WorkerDb, work: (tenantId: string) => Promise<void>, stopping: Stopping): Promise<void> {
  const { rows } = await db.acrossTenants((all) => sql<{ tenant_id: string }>`select tenant_id from tenants order by tenant_id`.execute(all))
  const failures: unknown[] = []
  for (const { tenant_id: tenantId } of rows) if (!stopping()) await work(tenantId).catch((error: unknown) => failures.push(error))
  if (failures.length > 0) throw failures[0]
}

import type { WorkerDb } from '../../platform/db/worker.ts'
import type { Stopping } from '../../platform/jobs/retention.ts'
import type { Deps } from '../../platform/deps.ts'
import { record } from '../audit/audit.ts'
import { eraseOneUser } from './queries.ts'

/** Erases whoever of a tenant was off-boarded and is due, each in a transaction of their own with its audit row. */
export async function eraseDue (db: WorkerDb, deps: Pick<Deps, 'keys' | 'random'>, tenantId: string, stopping: Stopping): Promise<void> {
  while (!stopping()) {
    const userId = await db.inTenant(tenantId, async (tx) => {
      const erased = await eraseOneUser(tx)
      if (erased !== null) await record(deps, tx, { kind: 'system', subject: 'retention', requestId: null }, { action: 'user.erased', userId: erased })
      return erased
    })
    if (userId === null) return
  }
}

import { Kysely, PostgresDialect } from 'kysely'
import { connectionSettings, openDb, type Db } from './index.ts'
import { FailoverPool } from './failover-pool.ts'
import type { DB } from './schema.ts'

/**
 * The workers' doors, under the workers' own role. Its policies open the queues (messages, unsealed audit rows,
 * counts, expired keys) across tenants and nothing else; whatever touches more goes through `inTenant`.
 */
export interface WorkerDb extends Pick<Db, 'inTenant' | 'close'> {
  acrossTenants: <T>(work: (db: Kysely<DB>) => Promise<T>) => Promise<T>
}

const queueConnectionsMax = 2
/** The entries of what has left a queue stay in its index until a vacuum. A plain scan of it marks them, and the next one skips them; any other goes through all of them each time. */
const queueOptions = '-c enable_bitmapscan=off -c enable_seqscan=off'
const tenantConnectionsMax = 4
/** Nobody waits for a worker with a request in hand, and a message given up for want of a connection would be lost. */
const acquireTimeoutMs = 5_000

export function openWorkerDb ({ url, onError }: { url: string, onError: (error: Error) => void }): WorkerDb {
  const pool = new FailoverPool({ ...connectionSettings(url, 'latchkey-worker'), options: queueOptions, max: queueConnectionsMax, acquireTimeoutMs, connectionTimeoutMillis: acquireTimeoutMs })
  pool.on('error', onError)
  const queues = new Kysely<DB>({ dialect: new PostgresDialect({ pool }) })
  const db = openDb({ url, applicationName: 'latchkey-worker', connectionsMax: tenantConnectionsMax, acquireTimeoutMs, onError })
  return {
    inTenant: db.inTenant,
    acrossTenants: (work) => work(queues),
    async close () { await Promise.all([queues.destroy(), db.close()]) },
  }
}

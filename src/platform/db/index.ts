import { Kysely, PostgresDialect, sql, type Transaction } from 'kysely'
import pg from 'pg'
import { FailoverPool } from './failover-pool.ts'
import { gatherWrites, isOutdated, PipelinedClient } from './pipelined-client.ts'
import type { DB } from './schema.ts'

/** An open transaction that sees one tenant. */
export interface TenantTx {
  db: Transaction<DB>
  tenantId: string
  /** The tenant's time when the transaction began, in whole milliseconds. */
  now: Date
  /** Runs once the transaction has committed, and not if it rolls back. */
  afterCommit: (work: () => void) => void
}

/** A prepared statement whose first parameter is the tenant. */
export interface HotStatement { name: string, text: string }

/** A call of a database function that enters the tenant by itself: its first parameter, which comes before `values`. */
export interface TenantCall<Row> {
  statement: HotStatement
  values: readonly unknown[]
  /** Never there: it says what the rows are. */
  row?: Row
}

/** The doors to the database. Each sets the tenant. */
export interface Db {
  /** A transaction; rolled back if `work` throws. A deadlock or serialisation failure is tried again, at most twice. */
  inTenant: <T>(tenantId: string, work: (tx: TenantTx) => Promise<T>) => Promise<T>
  /** The hot read: one prepared statement in one round trip on a shared pipelined connection. */
  readInTenant: <R>(tenantId: string, statement: HotStatement, values?: readonly unknown[]) => Promise<R[]>
  /** One call that may write, in a transaction and a round trip of its own, on a connection of its own. */
  call: <Row>(tenantId: string, call: TenantCall<Row>) => Promise<Row[]>
  /** The tenant of a slug: the one read that comes before a tenant is known. */
  tenantBySlug: (slug: string) => Promise<{ tenant_id: string, slug: string, country: string | null, sandbox: boolean } | undefined>
  /** The server's own clock; also proves that it answers. */
  serverTime: () => Promise<Date>
  close: () => Promise<void>
}

export interface DbOptions {
  url: string
  applicationName: string
  connectionsMax?: number
  /** How long a caller waits for a free connection before it hears that the database is busy. */
  acquireTimeoutMs?: number
  onError: (error: Error) => void
}

const statementTimeoutMs = 4_000
const lockTimeoutMs = 2_000
/** Less than the 2 s within which a caller hears that the database is away; more than a busy machine needs. */
const connectTimeoutMs = 1_500
const retriesMax = 2

export const connectionSettings = (url: string, applicationName: string): pg.ClientConfig => ({
  connectionString: url,
  application_name: applicationName,
  keepAlive: true,
  statement_timeout: statementTimeoutMs,
  lock_timeout: lockTimeoutMs,
  idle_in_transaction_session_timeout: 10_000,
  query_timeout: statementTimeoutMs + 1_000,
  connectionTimeoutMillis: connectTimeoutMs,
})

/** Opens the doors. Nothing is connected until the first use. */
export function openDb ({ url, applicationName, connectionsMax = 10, acquireTimeoutMs = 400, onError }: DbOptions): Db {
  const settings = connectionSettings(url, applicationName)
  const limits = { max: connectionsMax, acquireTimeoutMs, connectionTimeoutMillis: Math.max(connectTimeoutMs, acquireTimeoutMs), maxLifetimeSeconds: 600, idleTimeoutMillis: 30_000 }
  const pool = new FailoverPool({ ...settings, ...limits })
  const pipelines = new FailoverPool({ ...settings, ...limits, pipeline: true })
  pool.on('error', onError)
  pipelines.on('error', onError)
  const hot = [new PipelinedClient(settings, onError), new PipelinedClient(settings, onError)]
  let turn = 0
  const db = new Kysely<DB>({ dialect: new PostgresDialect({ pool }) })

  const alone = async <R extends pg.QueryResultRow>(text: string, values: unknown[] = []) => {
    const client = await pool.connect()
    try {
      return await client.query<R>(text, values)
    } finally {
      client.release()
    }
  }

  const inTenantOnce = async <T>(tenantId: string, work: (tx: TenantTx) => Promise<T>) => {
    const committed: Array<() => void> = []
    const result = await db.transaction().execute(async (tx) => {
      const { rows } = await sql<{ now: Date }>`select enter_tenant(${tenantId}) as now`.execute(tx)
      return work({ db: tx, tenantId, now: rows[0]!.now, afterCommit: (next) => committed.push(next) })
    })
    for (const next of committed) next()
    return result
  }

  return {
    async inTenant (tenantId, work) {
      for (let retry = 0; ; retry++) {
        try {
          return await inTenantOnce(tenantId, work)
        } catch (error) {
          if (!gaveWay(error) || retry === retriesMax) throw error
        }
      }
    },

    async readInTenant<R> (tenantId: string, { name, text }: HotStatement, values: readonly unknown[] = []) {
      turn = (turn + 1) % hot.length
      const { rows } = await hot[turn]!.query({ name, text, values: [tenantId, ...values] })
      return rows as R[]
    },

    async call<Row> (tenantId: string, { statement: { name, text }, values }: TenantCall<Row>) {
      const client = await pipelines.connect()
      let outdated = false
      try {
        const given = { text, values: [tenantId, ...values] }
        gatherWrites(client)
        const { rows } = await client.query({ name, ...given }).catch((error: unknown) => {
          outdated = isOutdated(error)
          if (!outdated) throw error
          return client.query(given) // nothing was done yet, and without a name it is prepared anew
        })
        return rows as Row[]
      } finally {
        client.release(outdated)
      }
    },

    async tenantBySlug (slug) {
      const { rows } = await alone<{ tenant_id: string, slug: string, country: string | null, sandbox: boolean }>('select * from tenant_by_slug($1)', [slug])
      return rows[0]
    },

    async serverTime () {
      const { rows } = await alone<{ now: Date }>('select clock_timestamp() as now')
      return rows[0]!.now
    },

    async close () {
      await db.destroy() // ends the pool only where it was used through it
      await Promise.all([pool.ended ? undefined : pool.end(), pipelines.end(), ...hot.map((client) => client.close())])
    },
  }
}

const gaveWay = (error: unknown) => ['40001', '40P01'].includes((error as { code?: string }).code ?? '')

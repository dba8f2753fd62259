import pg from 'pg'
import { dropOldPlans } from './plans.ts'

/** A connection that answered so is on a demoted, stopping or dead server and must not be used again. */
const deadConnectionCodes = new Set(['25006', '57P01', '57P02', '57P03', '08003', '08006'])

type Connected = (error: Error | undefined, client: pg.PoolClient | undefined, done: (release?: Error | boolean) => void) => void

/**
 * A pool that drops a connection once it has met a server that cannot write. Without it pooled connections stay
 * pinned to a demoted primary for ever: a standby still answers `SELECT 1`.
 *
 * While every connection is in use a caller waits for `acquireTimeoutMs` only, so that an overloaded service says so at
 * once. To open a new connection takes longer on a busy machine, and may: up to `connectionTimeoutMillis`.
 */
export class FailoverPool extends pg.Pool {
  readonly #acquireTimeoutMs: number
  #inUse = 0

  constructor ({ acquireTimeoutMs, ...config }: pg.PoolConfig & { acquireTimeoutMs: number }) {
    super(config)
    this.#acquireTimeoutMs = acquireTimeoutMs
  }

  override connect (): Promise<pg.PoolClient>
  override connect (callback: Connected): void
  override connect (callback?: Connected): Promise<pg.PoolClient> | void {
    if (callback) return super.connect(callback)
    return this.#acquire().then((client) => {
      dropOldPlans(client)
      return watched(client, () => { this.#inUse-- })
    })
  }

  async #acquire (): Promise<pg.PoolClient> {
    const taken = this.#inUse >= this.options.max
    let late = false
    const acquiring = super.connect().then((client) => {
      if (late) client.release()
      else this.#inUse++
      return client
    })
    if (!taken) return acquiring
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        late = true
        reject(new Error('timeout exceeded when trying to connect'))
      }, this.#acquireTimeoutMs)
      acquiring.then(resolve, reject).finally(() => { clearTimeout(timer) }).catch(() => undefined)
    })
  }
}

function watched (client: pg.PoolClient, onRelease: () => void): pg.PoolClient {
  let dead = false
  const release = client.release.bind(client)
  const query = client.query.bind(client) as (...args: unknown[]) => unknown
  const onError = () => { dead = true }
  client.on('error', onError) // a checked-out client without a listener would end the process
  client.query = ((...args: unknown[]) => {
    const result = query(...args)
    if (result instanceof Promise) {
      result.catch((error: unknown) => {
        const code = (error as { code?: string }).code
        if (code === undefined || deadConnectionCodes.has(code)) dead = true
      })
    }
    return result
  }) as typeof client.query
  client.release = (error) => {
    client.off('error', onError)
    client.query = query as typeof client.query
    client.release = release
    onRelease()
    release(error || dead)
  }
  return client
}

import pg from 'pg'

/** A connection that answered so is on a demoted, stopping or dead server and must not be used again. */
const deadConnectionCodes = new Set(['25006', '57P01', '57P02', '57P03', '08003', '08006'])

/**
 * A pool that drops a connection once it has met a server that cannot write. Without it pooled connections stay
 * pinned to a demoted primary for ever: a standby still answers `SELECT 1`.
 */
export class FailoverPool extends pg.Pool {
  override connect (): Promise<pg.PoolClient>
  override connect (callback: (error: Error | undefined, client: pg.PoolClient | undefined, done: (release?: Error | boolean) => void) => void): void
  override connect (callback?: (error: Error | undefined, client: pg.PoolClient | undefined, done: (release?: Error | boolean) => void) => void): Promise<pg.PoolClient> | void {
    if (callback) return super.connect(callback)
    return super.connect().then(watched)
  }
}

function watched (client: pg.PoolClient): pg.PoolClient {
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
    release(error || dead)
  }
  return client
}

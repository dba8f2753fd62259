import type { Socket } from 'node:net'
import pg from 'pg'

const connectTimeoutMs = 1_000

/**
 * One shared connection in pipeline mode that opens at the first use and again after it was lost.
 * Only single prepared statements may go through it: with a transaction spread over awaits, callers would mix.
 */
export class PipelinedClient {
  readonly #settings: pg.ClientConfig
  readonly #onError: (error: Error) => void
  #client: Promise<pg.Client> | undefined
  #closed = false

  constructor (settings: pg.ClientConfig, onError: (error: Error) => void) {
    this.#settings = settings
    this.#onError = onError
  }

  async query (statement: pg.QueryConfig): Promise<pg.QueryResult> {
    const client = await (this.#client ??= this.#open())
    gatherWrites(client)
    return client.query(statement)
  }

  async close (): Promise<void> {
    this.#closed = true
    const client = await this.#client?.catch(() => undefined)
    await client?.end()
  }

  #open (): Promise<pg.Client> {
    if (this.#closed) return Promise.reject(new Error('Connection terminated: the service is stopping'))
    const client = new pg.Client({ ...this.#settings, pipeline: true, connectionTimeoutMillis: connectTimeoutMs })
    const opening = client.connect().then(() => client)
    const forget = () => { if (this.#client === opening) this.#client = undefined }
    client.on('error', (error) => { forget(); this.#onError(error) })
    client.on('end', forget)
    opening.catch(forget)
    return opening
  }
}

/** The statements of one turn of the event loop leave in one write; each on its own would be a system call of its own. */
function gatherWrites (client: pg.Client): void {
  const { stream } = (client as unknown as { connection: { stream: Socket } }).connection
  if (stream.writableCorked > 0) return
  stream.cork()
  setImmediate(() => stream.uncork())
}

import type { Socket } from 'node:net'
import pg from 'pg'
import { dropOldPlans } from './plans.ts'

/**
 * A statement that was prepared before a migration changed what it answers (0A000), or that the server forgot (26000):
 * it would fail for as long as the connection lives.
 */
const outdatedCodes = new Set(['0A000', '26000'])

/** Whether a prepared statement failed for its age alone, before anything was done. */
export const isOutdated = (error: unknown): boolean => outdatedCodes.has((error as { code?: string }).code ?? '')

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

  /** What comes here only reads, so that an outdated statement may be tried again, on a new connection. */
  async query (statement: pg.QueryConfig): Promise<pg.QueryResult> {
    const opening = this.#client ??= this.#open()
    try {
      return await send(await opening, statement)
    } catch (error) {
      if (!isOutdated(error)) throw error
      if (this.#client === opening) {
        this.#client = undefined
        opening.then((client) => client.end()).catch(() => undefined) // once it has answered the others
      }
      return send(await (this.#client ??= this.#open()), statement)
    }
  }

  async close (): Promise<void> {
    this.#closed = true
    const client = await this.#client?.catch(() => undefined)
    await client?.end()
  }

  #open (): Promise<pg.Client> {
    if (this.#closed) return Promise.reject(new Error('Connection terminated: the service is stopping'))
    const client = new pg.Client({ ...this.#settings, pipeline: true })
    const opening = client.connect().then(() => client)
    const forget = () => { if (this.#client === opening) this.#client = undefined }
    client.on('error', (error) => { forget(); this.#onError(error) })
    client.on('end', forget)
    opening.catch(forget)
    return opening
  }
}

function send (client: pg.Client, statement: pg.QueryConfig): Promise<pg.QueryResult> {
  gatherWrites(client)
  dropOldPlans(client)
  return client.query(statement)
}

/** The statements of one turn of the event loop leave in one write; each on its own would be a system call of its own. */
export function gatherWrites (client: pg.ClientBase): void {
  const { stream } = (client as unknown as { connection: { stream: Socket } }).connection
  if (stream.writableCorked > 0) return
  stream.cork()
  setImmediate(() => stream.uncork())
}

import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { unavailable } from './processes.ts'

export const host = '127.0.0.1'

/** True if a server could listen there now. */
export async function isFree (port: number): Promise<boolean> {
  const server = createServer()
  try {
    server.listen(port, host)
    await once(server, 'listening')
    return true
  } catch {
    return false
  } finally {
    server.close()
  }
}

/**
 * A free port below those that the system gives to outgoing connections: one of these could take the
 * port while the server is down, and its address would change.
 */
export async function findPort (): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = randomInt(20_000, 30_000)
    if (await isFree(port)) return port
  }
  throw unavailable('no port between 20000 and 29999 is free')
}

/** The wanted port if it is free, else another: an address that stays the same is a favour, not a need. */
export const preferPort = async (wanted: number | undefined) =>
  wanted !== undefined && await isFree(wanted) ? wanted : findPort()

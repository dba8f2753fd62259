import { join } from 'node:path'
import { ConfigurationError, type Config } from './config.ts'
import { startEmbeddedPostgres } from './platform/db/embedded/index.ts'
import { openWorkerDb } from './platform/db/worker.ts'
import { parseKeyRing, type KeyRing } from './platform/keys.ts'

/** The key ring of the environment; in development without one, that of the data directory, made at the first need. */
export async function keyRingOf (config: Config): Promise<KeyRing> {
  if (config.keyRingText === null && config.production) throw new ConfigurationError('There is no key ring: set KEY_RING.')
  return parseKeyRing(config.keyRingText ?? await (await import('./dev/keys.ts')).developmentKeyRing(config.dataDirectory))
}

/** The database as its owner: `DATABASE_URL`, or in development the embedded server, which `close` ends. */
export async function openOwned (config: Config, say: (line: string) => void): Promise<{ ownerUrl: string, close: () => Promise<void> }> {
  if (config.ownerUrl !== null) return { ownerUrl: config.ownerUrl, close: () => Promise.resolve() }
  if (config.production) throw new ConfigurationError('There is no database: set DATABASE_URL, as its owner.')
  const { url, stop } = await startEmbeddedPostgres({ directory: join(config.dataDirectory, 'postgres'), log: (message) => say(`postgres: ${message}`) })
  return { ownerUrl: url, close: stop }
}

/** Production without `SANDBOX=allowed` does not serve a database that holds sandbox tenants. */
export async function sandboxFaults (config: Config, workerUrl: string): Promise<string[]> {
  if (config.sandboxAllowed) return []
  const db = openWorkerDb({ url: workerUrl, onError: () => undefined })
  try {
    const found = await db.acrossTenants((all) => all.selectFrom('tenants').select('slug').where('sandbox', '=', true).limit(1).executeTakeFirst())
    return found ? ['the sandbox provider is not for production: the database holds sandbox tenants (set SANDBOX=allowed if this is a staging server)'] : []
  } finally {
    await db.close()
  }
}

import { chmodSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startEmbeddedPostgres } from '../../src/platform/db/embedded/index.ts'
import { lives } from '../../src/platform/db/embedded/processes.ts'
import { migrate } from '../../src/platform/db/migrate.ts'
import { parseKeyRing } from '../../src/platform/keys.ts'
import { asOwner, removeRun, savedRuns, saveRun, templateName, thisRunner } from './cluster.ts'
import { testKeyRingText } from './keys.ts'

const say = (message: string) => { process.stderr.write(`# ${message}\n`) }

for (const run of savedRuns()) if (!lives(run.runner)) await removeRun(run)

const serverUrl = process.env.TEST_DATABASE_URL ?? await startOwnServer()
await makeTemplate(serverUrl)
saveRun({ ...savedRuns().find(({ runner }) => runner === thisRunner()), runner: thisRunner(), ownerUrl: serverUrl })

/** As durable as in production, so that what a test sees there holds; only what nobody replicates is left out. */
async function startOwnServer (): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), 'latchkey-test-'))
  // Noted first, so that even a run that is killed while it starts leaves nothing behind for good.
  saveRun({ runner: thisRunner(), directory })
  // The server may run as another user, who has to get through.
  chmodSync(directory, 0o711)
  const { url } = await startEmbeddedPostgres({
    directory: join(directory, 'postgres'),
    log: say,
    supervise: false,
    settings: { max_connections: '300', wal_level: 'minimal', max_wal_senders: '0', max_wal_size: '4GB', checkpoint_timeout: '30min' },
  })
  return url
}

/** Migrated once; each test file then clones it. Closed to everyone, since a template in use cannot be cloned. */
async function makeTemplate (ownerUrl: string): Promise<void> {
  const url = new URL(ownerUrl)
  url.pathname = `/${templateName}`
  await asOwner(ownerUrl, async (client) => {
    await client.query(`drop database if exists ${templateName} with (force)`)
    await client.query(`create database ${templateName} encoding 'UTF8' template template0`)
  })
  await migrate({ ownerUrl: url.href, keyRing: parseKeyRing(testKeyRingText), log: () => { /* Only failures matter here. */ } })
  await asOwner(ownerUrl, (client) => client.query(`alter database ${templateName} allow_connections false`))
}

import { chmodSync, mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import { startEmbeddedPostgres } from '../../src/platform/db/embedded/index.ts'
import { lives } from '../../src/platform/db/embedded/processes.ts'
import { migrate } from '../../src/platform/db/migrate.ts'
import { loginUrl } from '../../src/platform/db/roles.ts'
import { parseKeyRing } from '../../src/platform/keys.ts'
import { asOwner, removeRun, savedRuns, saveRun, templateName, thisRunner } from './cluster.ts'
import { testKeyRingText } from './keys.ts'
import { scratchFolder, sweepScratch } from './scratch.ts'

const keyRing = parseKeyRing(testKeyRingText)
const say = (message: string) => { process.stderr.write(`# ${message}\n`) }

for (const run of savedRuns()) if (!lives(run.runner)) await removeRun(run)
await sweepScratch()

const serverUrl = process.env.TEST_DATABASE_URL ?? await startOwnServer()
await makeTemplate(serverUrl)
if (process.env.TEST_DATABASE_URL === undefined) await easeSignIn(serverUrl)
saveRun({ ...savedRuns().find(({ runner }) => runner === thisRunner()), runner: thisRunner(), ownerUrl: serverUrl })

/**
 * With the settings of production, so that what a test sees there holds. Left out is what nobody replicates, and the
 * upkeep of databases that live for seconds.
 */
async function startOwnServer (): Promise<string> {
  const directory = mkdtempSync(join(scratchFolder, 'latchkey-test-'))
  // Noted first, so that even a run that is killed while it starts leaves nothing behind for good.
  saveRun({ runner: thisRunner(), directory })
  // The server may run as another user, who has to get through.
  chmodSync(directory, 0o711)
  const { url } = await startEmbeddedPostgres({
    directory: join(directory, 'postgres'),
    log: say,
    supervise: false,
    settings: { max_connections: '300', wal_level: 'minimal', max_wal_senders: '0', max_wal_size: '4GB', checkpoint_timeout: '30min', autovacuum: 'off' },
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
  await migrate({ ownerUrl: url.href, keyRing, log: () => { /* Only failures matter here. */ } })
  await asOwner(ownerUrl, (client) => client.query(`alter database ${templateName} allow_connections false`))
}

/** A sign-in by password costs thousands of hashes at either end, and the tests sign in thousands of times. */
async function easeSignIn (ownerUrl: string): Promise<void> {
  const template = new URL(ownerUrl)
  template.pathname = `/${templateName}`
  const logins = [ownerUrl, ...(['service', 'worker'] as const).map((kind) => loginUrl(template.href, keyRing, kind))]
  await asOwner(ownerUrl, async (client) => {
    await client.query('set scram_iterations = 1')
    for (const { username, password } of logins.map((login) => new URL(login))) await client.query(`alter role ${username} password '${password}'`)
  })
}

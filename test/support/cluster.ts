import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { stopEmbeddedPostgres } from '../../src/platform/db/embedded/index.ts'
import { identityOf, lives } from '../../src/platform/db/embedded/processes.ts'

/** What one run of the tests leaves for its test processes, and for the next run in case it is killed. */
export interface TestRun {
  runner: string
  /** Where its own server is; undefined when it uses that of TEST_DATABASE_URL. */
  directory?: string | undefined
  /** Undefined until the server is up. */
  ownerUrl?: string
}

export interface TestDatabase {
  name: string
  ownerUrl: string
  drop: () => Promise<void>
}

export const templateName = 'latchkey_template'

const runsFolder = join(import.meta.dirname, '../../node_modules/.cache/latchkey-test')
/** What Postgres says while someone is connected to the template, if only its own maintenance. */
const inUse = '55006'
const patienceMilliseconds = 20_000

/** A fresh database with all migrations applied: one per test file, so that files can run side by side. */
export const cloneDatabase = (): Promise<TestDatabase> => createDatabase(templateName)

/** A database without a single table. */
export const emptyDatabase = (): Promise<TestDatabase> => createDatabase('template0')

async function createDatabase (template: string): Promise<TestDatabase> {
  const serverUrl = findServer()
  const name = `t_${randomBytes(8).toString('hex')}`
  await asOwner(serverUrl, async (client) => {
    for (const deadline = Date.now() + patienceMilliseconds; ;) {
      try {
        return await client.query(`create database ${name} template ${template} strategy wal_log`)
      } catch (error) {
        if ((error as { code?: string }).code !== inUse || Date.now() > deadline) throw error
        await sleep(50 + Math.random() * 100)
      }
    }
  })
  const url = new URL(serverUrl)
  url.pathname = `/${name}`
  const drop = async () => {
    await asOwner(serverUrl, (client) => client.query(`drop database if exists ${name} with (force)`))
  }
  return { name, ownerUrl: url.href, drop }
}

export async function asOwner<T> (serverUrl: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: serverUrl })
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

/** tap starts `before`, each test file and `after` itself, so their parent names the run: two runs do not meet. */
export const thisRunner = () => identityOf(process.ppid) ?? `${process.ppid}.0`

export function saveRun (run: TestRun): void {
  mkdirSync(runsFolder, { recursive: true })
  const draft = `${fileOf(run.runner)}.part`
  writeFileSync(draft, JSON.stringify(run), { mode: 0o600 })
  renameSync(draft, fileOf(run.runner))
}

export function savedRuns (): TestRun[] {
  mkdirSync(runsFolder, { recursive: true })
  return readdirSync(runsFolder).filter((name) => name.endsWith('.json')).flatMap((name) => {
    try {
      return [JSON.parse(readFileSync(join(runsFolder, name), 'utf8')) as TestRun]
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      return []
    }
  })
}

/** Stops the run's server and removes its files; safe to repeat, and after a kill at any moment. */
export async function removeRun ({ runner, directory }: TestRun): Promise<void> {
  const cluster = directory && join(directory, 'postgres')
  if (cluster && existsSync(cluster)) {
    await stopEmbeddedPostgres({ directory: cluster, log: () => { /* Nothing to say. */ } })
    // Under a closed folder the files are elsewhere, behind a link.
    rmSync(realpathSync(cluster), { recursive: true, force: true, maxRetries: 3 })
  }
  if (directory) rmSync(directory, { recursive: true, force: true, maxRetries: 3 })
  rmSync(fileOf(runner), { force: true })
}

const fileOf = (runner: string) => join(runsFolder, `${runner}.json`)

function findServer (): string {
  const ready = savedRuns().filter((run) => run.ownerUrl !== undefined && lives(run.runner))
  const run = ready.find(({ runner }) => runner === thisRunner()) ?? ready[0]
  const ownerUrl = run?.ownerUrl ?? process.env.TEST_DATABASE_URL
  if (!ownerUrl) throw new Error('No test server: run the tests through tap, which starts one')
  return ownerUrl
}

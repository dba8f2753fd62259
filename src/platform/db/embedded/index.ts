import { existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { serverAccount } from './account.ts'
import { openCluster, urlOf, type Cluster } from './cluster.ts'
import { makeFolders, settle } from './home.ts'
import { newToken, withLock } from './lock.ts'
import { isFree, preferPort } from './ports.ts'
import { createDatabase, ensureServer, stopServer, type Server } from './postmaster.ts'
import { isPostmaster, lives, unavailable } from './processes.ts'
import { installRuntime } from './runtime.ts'
import { supervise } from './supervise.ts'

export interface EmbeddedPostgres {
  /** Of the database `latchkey`, as its owner. The port stays the same over restarts as long as it is free. */
  url: string
  /** Ends the supervision, and the server too unless another living process still uses it. May be called twice. */
  stop: () => Promise<void>
}

export interface EmbeddedOptions {
  /** Everything is kept here, or behind a link from here. */
  directory: string
  log: (message: string) => void
  settings?: Record<string, string>
  /** Taken if it is free and the server does not run yet. */
  port?: number
  supervise?: boolean
}

/**
 * A real Postgres for a machine that has none. It outlives this process if that is killed, and the next start
 * adopts it. Of several processes on one directory one starts it, the others adopt it, the last to stop ends it.
 */
export async function startEmbeddedPostgres (options: EmbeddedOptions): Promise<EmbeddedPostgres> {
  const { log, settings = {} } = options
  const directory = resolve(options.directory)
  const exclusively = <T>(work: () => Promise<T>) => withLock(`${directory}.lock`, work)

  makeFolders(dirname(directory))
  const { cluster, first, leave } = await exclusively(async () => {
    const found = await prepare(directory, log)
    const wanted = options.port ?? rememberedPort(found)
    const { adopted, ...running } = await ensureServer(found, { settings, choosePort: () => preferPort(wanted) })
    await createDatabase(found, running.port)
    writeFileSync(portFileOf(found), String(running.port))
    log(`Postgres ${adopted ? 'was already running' : 'started'} on port ${running.port} with its files in ${found.home}`)
    return { cluster: found, first: running, leave: enter(found) }
  })

  let server: Server = first
  /** Those who hold the url cannot follow to another port, so this one is waited for. */
  const sameOrNone = async () => {
    if (await isFree(first.port)) return first.port
    throw unavailable(`another program has taken its port ${first.port}`)
  }
  const restart = () => exclusively(async () => {
    server = await ensureServer(cluster, { settings, choosePort: sameOrNone })
    log(server.port === first.port ? 'Postgres is up again' : `Postgres moved to port ${server.port}: restart this process`)
  })
  const endSupervision = options.supervise === false
    ? () => Promise.resolve()
    : supervise({ isUp: () => isPostmaster(server.pid), restart, log })

  let stopping: Promise<void> | undefined
  const stop = () => stopping ??= endSupervision().then(() => exclusively(async () => {
    if (leave()) await stopServer(cluster)
    else log('Postgres stays up for another process')
  }))
  return { url: urlOf(cluster, first.port), stop }
}

/** Ends the server of this directory, whoever started or uses it. Nothing happens where there is none. */
export async function stopEmbeddedPostgres ({ directory, log }: Pick<EmbeddedOptions, 'directory' | 'log'>): Promise<void> {
  const path = resolve(directory)
  if (!existsSync(join(path, 'data'))) return
  await withLock(`${path}.lock`, async () => {
    await vacate(realpathSync(path))
    log(`No Postgres runs in ${path} any more`)
  })
}

async function prepare (directory: string, log: (message: string) => void): Promise<Cluster> {
  const account = serverAccount(join(directory, 'data'))
  const home = await settle({ directory, account, log, vacate })
  return openCluster(home, account, installRuntime(home))
}

async function vacate (home: string): Promise<void> {
  const data = join(home, 'data')
  await stopServer({ data, account: serverAccount(data), runtime: installRuntime(home) })
}

const portFileOf = ({ home }: Cluster) => join(home, 'port')

function rememberedPort (cluster: Cluster): number | undefined {
  if (!existsSync(portFileOf(cluster))) return undefined
  const port = Number(readFileSync(portFileOf(cluster), 'utf8'))
  return Number.isInteger(port) && port > 0 && port < 65_536 ? port : undefined
}

/** Notes that this call uses the server. The answer takes the note back, and says whether it was the last living one. */
function enter ({ home }: Cluster): () => boolean {
  const users = join(home, 'users')
  const token = newToken()
  mkdirSync(users, { recursive: true })
  writeFileSync(join(users, token), '')
  return () => {
    rmSync(join(users, token), { force: true })
    const left = readdirSync(users)
    for (const user of left) if (!lives(user)) rmSync(join(users, user), { force: true })
    return !left.some((user) => lives(user))
  }
}

import { readFileSync, renameSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { database, lastLines, urlOf, type Cluster } from './cluster.ts'
import { host } from './ports.ts'
import { answersSignals, isPostmaster, run, unavailable } from './processes.ts'

export interface Server { pid: number, port: number }

export interface StartOptions {
  settings: Record<string, string>
  /** Decides where to listen, anew before each attempt. */
  choosePort: () => Promise<number>
}

/** Long enough for the backends of a killed postmaster to notice, and to let go of its memory. */
const attempts = 40
const pauseMilliseconds = 150
/** Recovery after a crash takes time with a large log; a server that is busy with it is waited for. */
const patienceMilliseconds = 60_000
const logLimitBytes = 10_000_000

/** Parameters of a statement and keys of a refused row are personal data: neither belongs into the log. */
const defaults = {
  listen_addresses: host,
  unix_socket_directories: '',
  max_connections: '100',
  log_statement: 'none',
  log_parameter_max_length_on_error: '0',
  log_error_verbosity: 'terse',
}

/** Adopts the server that runs on this data directory, or starts one. What it answers has just answered a query. */
export async function ensureServer (cluster: Cluster, options: StartOptions): Promise<Server & { adopted: boolean }> {
  const running = await findServer(cluster)
  if (running) return { ...running, adopted: true }
  const deadline = Date.now() + patienceMilliseconds
  for (let attempt = 0; attempt < attempts && Date.now() < deadline; attempt++) {
    forgetDeadServer(cluster)
    await startServer(cluster, await options.choosePort(), options.settings)
    const server = await findServer(cluster)
    if (server) return { ...server, adopted: false }
    await sleep(pauseMilliseconds)
  }
  throw unavailable(`it did not start: ${lastLines(logFileOf(cluster))}`)
}

/** The running server of this data directory, once it answers; undefined if there is none. */
export async function findServer (cluster: Cluster): Promise<Server | undefined> {
  const deadline = Date.now() + patienceMilliseconds
  let refusals = 0
  while (Date.now() < deadline) {
    const server = readPidFile(cluster)
    if (!server || !isPostmaster(server.pid)) return undefined
    const answer = await ask(urlOf(cluster, server.port, 'postgres'))
    if (answer === 'ready') return server
    // Another cluster's server may by chance have the pid, or the port, that our stale file names.
    if (answer === 'stranger') {
      if (!isPostmaster(server.pid, cluster.data)) return undefined
      throw unavailable(`the server on port ${server.port} does not accept the password in ${cluster.home}`)
    }
    if (answer === 'silent' && ++refusals > 20) return undefined
    await sleep(pauseMilliseconds)
  }
  return undefined
}

/** Stops the server if it runs, whoever started it: connections end, what is committed stays. */
export async function stopServer (cluster: Pick<Cluster, 'data' | 'account' | 'runtime'>): Promise<void> {
  const { data, account, runtime } = cluster
  const server = readPidFile(cluster)
  if (!server || !isPostmaster(server.pid)) return
  const code = await run(runtime.program('pg_ctl'), ['-D', data, '-m', 'fast', '-w', '-t', '60', 'stop'], { account, detached: true })
  // It may have died by itself just before; what counts is that it is gone.
  if (code !== 0 && isPostmaster(server.pid, data)) throw new Error(`Postgres did not stop: ${lastLines(logFileOf(cluster))}`)
}

export async function createDatabase (cluster: Cluster, port: number): Promise<void> {
  await withClient(urlOf(cluster, port, 'postgres'), async (client) => {
    const { rowCount } = await client.query('select 1 from pg_database where datname = $1', [database])
    if (rowCount === 0) await client.query(`create database ${database} encoding 'UTF8' template template0`)
  })
}

/** Detached, and pg_ctl detaches the server once more: Ctrl-C reaches the application, which still needs it. */
async function startServer (cluster: Cluster, port: number, settings: Record<string, string>): Promise<void> {
  const logFile = logFileOf(cluster)
  if ((statSync(logFile, { throwIfNoEntry: false })?.size ?? 0) > logLimitBytes) renameSync(logFile, `${logFile}.old`)
  const flags = Object.entries({ ...defaults, ...settings, port: String(port) }).map(([name, value]) => `-c ${quote(`${name}=${value}`)}`)
  await run(cluster.runtime.program('pg_ctl'), [
    '-D', cluster.data, '-w', '-t', '60', '-l', logFile, '-o', flags.join(' '), 'start',
  ], { account: cluster.account, detached: true })
}

/** For the shell that pg_ctl hands the options to. */
const quote = (text: string) => `'${text.replaceAll("'", String.raw`'\''`)}'`

const logFileOf = ({ data }: Pick<Cluster, 'data'>) => join(data, 'server.log')

/**
 * Postgres clears up after a crash by itself, but not where its old pid now belongs to another process or to a
 * zombie, nor where its pid file stayed empty. Backends that are left over still keep it from starting.
 */
function forgetDeadServer ({ data }: Cluster): void {
  const file = join(data, 'postmaster.pid')
  const found = statSync(file, { throwIfNoEntry: false })
  if (!found) return
  const server = readPidFile({ data })
  const isStale = server ? answersSignals(server.pid) && !isPostmaster(server.pid, data) : Date.now() - found.mtimeMs > 2_000
  if (isStale) rmSync(file, { force: true })
}

function readPidFile ({ data }: Pick<Cluster, 'data'>): Server | undefined {
  try {
    const [pid, , , port] = readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n')
    return Number(pid) > 0 && Number(port) > 0 ? { pid: Number(pid), port: Number(port) } : undefined
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** A pid file and an exit code prove nothing for some milliseconds around a crash; an answer does. */
async function ask (url: string): Promise<'ready' | 'busy' | 'silent' | 'stranger'> {
  try {
    await withClient(url, (client) => client.query('select 1'))
    return 'ready'
  } catch (error) {
    const { code } = error as { code?: string }
    if (code === '53300') return 'ready'
    if (code === '28P01' || code === '28000') return 'stranger'
    return code?.startsWith('57P') ? 'busy' : 'silent'
  }
}

async function withClient (url: string, work: (client: Client) => Promise<unknown>): Promise<void> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 5_000, query_timeout: 60_000 })
  client.on('error', () => { /* The query fails too, and says more. */ })
  try {
    await client.connect()
    await work(client)
  } finally {
    await client.end().catch(() => { /* It never connected, or is gone. */ })
  }
}

import { randomBytes } from 'node:crypto'
import { chownSync, closeSync, existsSync, fsyncSync, mkdirSync, openSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Account } from './account.ts'
import { host } from './ports.ts'
import { run, unavailable } from './processes.ts'
import type { Runtime } from './runtime.ts'

export const owner = 'latchkey_owner'
export const database = 'latchkey'

/** One data directory, and what it takes to run a server on it. */
export interface Cluster {
  home: string
  data: string
  account: Account | undefined
  runtime: Runtime
  password: string
}

/** Makes the data directory unless it is there; a kill at any moment leaves a whole one or none. */
export async function openCluster (home: string, account: Account | undefined, runtime: Runtime): Promise<Cluster> {
  const data = join(home, 'data')
  const passwordFile = join(home, 'password')
  const isNew = !existsSync(join(data, 'PG_VERSION'))
  if (isNew) {
    makePassword(passwordFile, account)
    await initialise(home, data, passwordFile, account, runtime)
  }
  const major = readFileSync(join(data, 'PG_VERSION'), 'utf8').trim()
  if (major !== runtime.version.split('.')[0]) {
    throw unavailable(`${data} was made by Postgres ${major} and the installed one is ${runtime.version}`)
  }
  if (!existsSync(passwordFile)) throw unavailable(`${passwordFile} is gone, and nobody can sign in without it`)
  return { home, data, account, runtime, password: readFileSync(passwordFile, 'utf8').trim() }
}

export const urlOf = ({ password }: Cluster, port: number, name = database) =>
  `postgres://${owner}:${password}@${host}:${port}/${name}`

async function initialise (home: string, data: string, passwordFile: string, account: Account | undefined, runtime: Runtime): Promise<void> {
  removeDrafts(home)
  const draft = join(home, `initdb-${randomBytes(4).toString('hex')}`)
  mkdirSync(draft, { mode: 0o700 })
  own(draft, account)

  const logFile = join(home, 'initdb.log')
  const output = openSync(logFile, 'w')
  try {
    const code = await run(runtime.program('initdb'), [
      '-D', draft, '-U', owner, '-A', 'scram-sha-256', `--pwfile=${passwordFile}`,
      '-E', 'UTF8', '--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--locale=C.UTF-8',
    ], { account, output })
    if (code !== 0) throw unavailable(`initdb failed: ${lastLines(logFile)}`)
  } finally {
    closeSync(output)
  }
  renameSync(draft, data)
  syncFolder(home)
}

function removeDrafts (home: string): void {
  for (const name of readdirSync(home)) {
    if (!name.startsWith('initdb-')) continue
    try {
      rmSync(join(home, name), { recursive: true, force: true })
    } catch {
      // Its initdb outlived the process that started it and still writes: a later start will remove it.
    }
  }
}

/** Only the owner and the server's account can read it. A new data directory gets a new password. */
function makePassword (file: string, account: Account | undefined): void {
  const draft = `${file}.part`
  rmSync(draft, { force: true })
  writeFileSync(draft, randomBytes(24).toString('hex'), { flag: 'wx', mode: 0o600 })
  own(draft, account)
  renameSync(draft, file)
}

function own (path: string, account: Account | undefined): void {
  if (account) chownSync(path, account.uid, account.gid)
}

/** Postgres syncs what is inside its folder; the folder's own name is ours to keep. */
function syncFolder (folder: string): void {
  const handle = openSync(folder, 'r')
  try {
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}

export function lastLines (file: string): string {
  try {
    return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-5).join(' | ')
  } catch {
    return `there is no ${file}`
  }
}

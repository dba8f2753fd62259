import { randomBytes } from 'node:crypto'
import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { identityOf, lives, unavailable } from './processes.ts'

const pollMilliseconds = 50
const patienceMilliseconds = 180_000
/** A file still empty after this long was left by a process that died between creating and writing it. */
const writingMilliseconds = 2_000

/** A name of this process for one purpose: dead holders are told by it, and two calls of one process apart. */
export const newToken = () => `${identityOf(process.pid)}.${randomBytes(6).toString('hex')}`

/** Does the work while no other process, nor another call in this one, holds the file. A dead holder does not block. */
export async function withLock<T> (file: string, work: () => Promise<T>): Promise<T> {
  const token = newToken()
  const deadline = Date.now() + patienceMilliseconds
  while (!take(file, token)) {
    const holder = read(file)
    if (holder !== undefined && isAbandoned(file, holder)) evict(file, holder)
    else if (Date.now() > deadline) throw unavailable(`process ${holder?.split('.')[0]} has held ${file} for minutes`)
    else await sleep(pollMilliseconds)
  }
  try {
    return await work()
  } finally {
    if (read(file) === token) rmSync(file, { force: true })
  }
}

function take (file: string, token: string): boolean {
  try {
    writeFileSync(file, token, { flag: 'wx', mode: 0o600 })
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

function read (file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function isAbandoned (file: string, holder: string): boolean {
  if (holder !== '') return !lives(holder)
  const { mtimeMs = Infinity } = statSync(file, { throwIfNoEntry: false }) ?? {}
  return Date.now() - mtimeMs > writingMilliseconds
}

/** Moves first and looks then: of several that evict at once, none may throw away the lock of the one that was faster. */
function evict (file: string, holder: string): void {
  const aside = `${file}.${randomBytes(6).toString('hex')}`
  try {
    renameSync(file, aside)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
    throw error
  }
  if (read(aside) === holder) rmSync(aside, { force: true })
  else renameSync(aside, file)
}

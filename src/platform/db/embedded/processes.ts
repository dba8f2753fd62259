import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'
import type { Account } from './account.ts'

const hasProc = existsSync('/proc/self/stat')

/** What goes wrong here is the machine's, and a Postgres of one's own always helps. */
export const unavailable = (reason: string, cause?: unknown) =>
  new Error(`The embedded Postgres cannot run: ${reason}. Set DATABASE_URL to use a Postgres of your own.`, { cause })

/**
 * Names a living process for good; undefined once it is dead.
 * A pid alone is not enough: after a restart a container often hands out the same ones.
 */
export function identityOf (pid: number): string | undefined {
  if (!hasProc) return answersSignals(pid) ? `${pid}.0` : undefined
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const [state, ...rest] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return state === 'Z' || state === 'X' ? undefined : `${pid}.${rest[18]}`
  } catch {
    return undefined
  }
}

/** True while the process that gave itself this identity (anything may follow it) still lives. */
export function lives (identity: string): boolean {
  const [pid, startedAt] = identity.split('.')
  return identityOf(Number(pid)) === `${pid}.${startedAt}`
}

/** True for a living postmaster, of this data directory if one is given. A zombie has no command line any more. */
export function isPostmaster (pid: number, data?: string): boolean {
  if (!hasProc) return answersSignals(pid)
  try {
    const [program, ...args] = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
    return basename(program ?? '') === 'postgres' && (data === undefined || args.includes(data))
  } catch {
    return false
  }
}

/** True for zombies too, which is how Postgres itself judges the pid in its lock file. */
export function answersSignals (pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/**
 * Runs a program of the server to its end and answers its exit code; null means that a signal ended it.
 * Never through pipes: they close with Node, and the SIGPIPE that follows looks like a success.
 */
export function run (program: string, args: string[], how: { account?: Account | undefined, output?: number, detached?: boolean }): Promise<number | null> {
  const output = how.output ?? 'ignore'
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: '/',
      env: { PATH: '/usr/local/bin:/usr/bin:/bin', LC_ALL: 'C.UTF-8', TZ: 'UTC' },
      stdio: ['ignore', output, output],
      detached: how.detached ?? false,
      ...how.account,
    })
    child.once('error', (error) => { reject(unavailable(`${basename(program)} could not be run (${error.message})`, error)) })
    child.once('exit', (code) => { resolve(code) })
  })
}

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Test } from 'tap'
import { stopEmbeddedPostgres } from '../../src/platform/db/embedded/index.ts'
import { findPort } from '../../src/platform/db/embedded/ports.ts'

export type Environment = Record<string, string>

const project = join(import.meta.dirname, '../..')
const readyWithinMs = 90_000

export interface ServiceProcess {
  origin: string
  port: number
  pid: number
  output: () => string
  /** The exit code, once it has ended; the name of the signal if one ended it. */
  ended: Promise<number | string>
  signal: (name: NodeJS.Signals) => void
  /** SIGTERM, and the exit code. */
  stop: () => Promise<number | string>
}

export interface SpawnOptions {
  env: Environment
  /** `npm start`, as the README says, instead of the program itself. */
  npm?: boolean
  umask?: number
  /** Answers as soon as this was printed, ready or not. */
  until?: RegExp
}

/** Nothing of the surroundings gets in, least of all a KEY_RING or a DATABASE_URL. */
const clean = (env: Environment): Environment => ({ PATH: process.env.PATH!, HOME: process.env.HOME ?? '/', ...env })

function launch (t: Test, program: string, args: string[], env: Environment, umask?: number): { child: ChildProcess, ended: Promise<number | string>, output: () => string, answer: () => string } {
  // In a group of its own, so that nothing is left behind, and so that a terminal's Ctrl-C can be played.
  const words = umask === undefined ? [program, ...args] : ['sh', '-c', `umask ${umask.toString(8)}; exec "$@"`, 'sh', program, ...args]
  const child = spawn(words[0]!, words.slice(1), { cwd: project, env: clean(env), stdio: ['ignore', 'pipe', 'pipe'], detached: true })
  let [output, answer] = ['', '']
  child.stdout.on('data', (chunk) => { output += String(chunk); answer += String(chunk) })
  child.stderr.on('data', (chunk) => { output += String(chunk) })
  const ended = once(child, 'close').then(([code, signal]) => (code ?? signal) as number | string)
  const kill = () => { try { process.kill(-child.pid!, 'SIGKILL') } catch { /* it has ended */ } }
  process.prependOnceListener('exit', kill) // also if the test itself breaks, and before its database is taken away
  t.teardown(async () => {
    kill()
    await ended
    process.off('exit', kill)
  })
  return { child, ended, output: () => output, answer: () => answer }
}

/** Starts the real process and answers when it is ready; fails with what it printed if it ends before that. */
export async function startService (t: Test, { env, npm = false, umask, until }: SpawnOptions): Promise<ServiceProcess> {
  const port = Number(env.PORT ?? await findPort())
  const issuerPort = env.DEV_ISSUER_PORT ?? String(await findPort())
  const [program, ...args] = npm ? ['npm', 'start'] : [process.execPath, 'src/main.ts']
  const { child, ended, output } = launch(t, program, args, { PORT: String(port), DEV_ISSUER_PORT: issuerPort, ...env }, umask)
  const origin = `http://127.0.0.1:${port}`
  let over = false
  ended.finally(() => { over = true })
  const says = () => (until ?? /Latchkey is ready|"msg":"ready/).test(output())
  await eventually(async () => over || (says() && (until !== undefined || await isReady(origin))), readyWithinMs)
  if (over) throw new Error(`The service did not become ready:\n${output()}`)
  const signal = (name: NodeJS.Signals) => { process.kill(child.pid!, name) }
  return { origin, port, pid: child.pid!, output, ended, signal, stop: () => { signal('SIGTERM'); return ended } }
}

/** Runs the service where it must refuse, or an operator's command, to the end. `answer` is what went to standard output. */
export async function run (t: Test, args: string[], env: Environment): Promise<{ code: number | string, output: string, answer: string }> {
  const { ended, output, answer } = launch(t, process.execPath, args, env)
  const code = await ended
  return { code, output: output(), answer: answer() }
}

/** Asks again and again, and fails if it never holds. */
export async function eventually (holds: () => boolean | Promise<boolean>, withinMs = 30_000): Promise<void> {
  for (const deadline = Date.now() + withinMs; !await holds();) {
    if (Date.now() > deadline) throw new Error('It never came true')
    await pause(50)
  }
}

export async function isReady (origin: string): Promise<boolean> {
  try {
    const answer = await fetch(`${origin}/health/ready`, { signal: AbortSignal.timeout(2_000) })
    await answer.arrayBuffer()
    return answer.status === 200
  } catch {
    return false
  }
}

/** A data directory, below a folder that only its owner may enter if `closed`. It goes at the end, with what runs in it. */
export function dataDirectory (t: Test, { closed = false } = {}): string {
  // Other than the folder for temporary files, which its owner may have closed, anyone can pass through this one.
  const parent = mkdtempSync('/var/tmp/latchkey-start-')
  chmodSync(parent, closed ? 0o700 : 0o711)
  const directory = join(parent, 'data')
  const postgres = join(directory, 'postgres')
  const remove = () => {
    if (existsSync(postgres)) rmSync(realpathSync(postgres), { recursive: true, force: true, maxRetries: 3 })
    rmSync(parent, { recursive: true, force: true, maxRetries: 3 })
  }
  const abandon = () => {
    try { process.kill(postmasterOf(directory), 'SIGQUIT') } catch { /* there is none */ }
    remove()
  }
  process.once('exit', abandon)
  t.teardown(async () => {
    await stopEmbeddedPostgres({ directory: postgres, log: () => { /* nothing to say */ } })
    remove()
    process.off('exit', abandon)
  })
  return directory
}

export const postmasterOf = (directory: string): number => Number.parseInt(readFileSync(join(directory, 'postgres/data/postmaster.pid'), 'utf8'), 10)

export interface Answer { status: number, body: any, headers: Headers, ms: number } // eslint-disable-line @typescript-eslint/no-explicit-any

/** A request with a token. `body` is sent as JSON. */
export async function call (url: string, { token, method, body, headers = {} }: { token?: string, method?: string, body?: unknown, headers?: Environment } = {}): Promise<Answer> {
  const startedAt = performance.now()
  const reply = await fetch(url, {
    method: method ?? (body === undefined ? 'GET' : 'POST'),
    headers: { ...(token !== undefined && { authorization: `Bearer ${token}` }), ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  const text = await reply.text()
  const json = reply.headers.get('content-type')?.includes('json') === true && text !== ''
  return { status: reply.status, body: json ? JSON.parse(text) : text, headers: reply.headers, ms: performance.now() - startedAt }
}

/** A token of the development issuer, found where the service said it is. */
export async function developmentToken (service: ServiceProcess, request: { tenant?: string, subject?: string, roles?: string[] } = {}): Promise<string> {
  const address = /Tokens +(http\S+)/.exec(service.output())![1]!
  const { status, body } = await call(address, { body: { tenant: 'demo', subject: 'demo-user', kind: 'person', ...request } })
  if (status !== 200) throw new Error(`The issuer answered ${status}`)
  return body.accessToken
}

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Test } from 'tap'
import { isPostmaster } from '../../src/platform/db/embedded/processes.ts'
import { newScratch, removeCluster } from './scratch.ts'

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
  /** What runs instead, where, and as whom: an image in a folder. */
  image?: Image
}

/** A program in a folder of its own, as another account if one is named. */
export interface Image { folder: string, command: string[], uid?: number }

/** Nothing of the surroundings gets in, least of all a KEY_RING or a DATABASE_URL. What was compiled once need not be again. */
const clean = (env: Environment): Environment => ({
  PATH: process.env.PATH!, HOME: process.env.HOME ?? '/', ...(process.env.NODE_COMPILE_CACHE && { NODE_COMPILE_CACHE: resolve(project, process.env.NODE_COMPILE_CACHE) }), ...env,
})

function launch (t: Test, program: string, args: string[], env: Environment, umask?: number, { folder = project, uid }: Partial<Image> = {}): { child: ChildProcess, ended: Promise<number | string>, output: () => string, answer: () => string } {
  // tap puts a loader of its own into NODE_OPTIONS of whatever a test starts: the service is to run as it does elsewhere.
  const script = `unset NODE_OPTIONS; ${umask === undefined ? '' : `umask ${umask.toString(8)}; `}exec "$@"`
  // In a group of its own, so that nothing is left behind, and so that a terminal's Ctrl-C can be played.
  const child = spawn('sh', ['-c', script, 'sh', program, ...args], { cwd: folder, env: clean(env), stdio: ['ignore', 'pipe', 'pipe'], detached: true, ...(uid !== undefined && { uid, gid: uid }) })
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

/** In development the service prints its address once it is ready, in production it logs its port. */
const portIn = (output: string) => Number(/^ +API +http:\/\/[^:]+:(\d+)/m.exec(output)?.[1] ?? /"port":(\d+).*"msg":"ready/.exec(output)?.[1] ?? 0)

/** Starts the real process and answers when it is ready; fails with what it printed if it ends before that. It takes any free ports unless told. */
export async function startService (t: Test, { env, npm = false, umask, until, image }: SpawnOptions): Promise<ServiceProcess> {
  const [program, ...args] = image?.command ?? (npm ? ['npm', 'start'] : [process.execPath, 'src/main.ts'])
  const { child, ended, output } = launch(t, program!, args, { PORT: '0', DEV_ISSUER_PORT: '0', ...env }, umask, image)
  let over = false
  ended.finally(() => { over = true })
  const originIn = (text: string) => `http://127.0.0.1:${portIn(text)}`
  await eventually(async () => over || (until ? until.test(output()) : portIn(output()) > 0 && await isReady(originIn(output()))), readyWithinMs)
  if (over) throw new Error(`The service did not become ready:\n${output()}`)
  const signal = (name: NodeJS.Signals) => { process.kill(child.pid!, name) }
  return { origin: originIn(output()), port: portIn(output()), pid: child.pid!, output, ended, signal, stop: () => { signal('SIGTERM'); return ended } }
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
    await pause(20)
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
  const parent = newScratch('latchkey-start', closed ? 0o700 : 0o711)
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
    await removeCluster(postgres)
    remove()
    process.off('exit', abandon)
  })
  return directory
}

export const postmasterOf = (directory: string): number => Number.parseInt(readFileSync(join(directory, 'postgres/data/postmaster.pid'), 'utf8'), 10)

/** Waits until the service is ready on another postmaster than the killed one, whose sessions may still say "ready" for a moment. */
export async function readyAfterKill ({ origin }: ServiceProcess, directory: string, killed: number): Promise<void> {
  const runsAnother = () => {
    try {
      const postmaster = postmasterOf(directory)
      return postmaster !== killed && isPostmaster(postmaster)
    } catch {
      return false // the file with its number is missing, or empty, for a moment while a server starts
    }
  }
  await eventually(async () => runsAnother() && await isReady(origin))
}

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

import { spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { readConfig } from '../src/config.ts'
import { stopEmbeddedPostgres } from '../src/platform/db/embedded/index.ts'

const readyWithinMs = 120_000
const stopWithinMs = 30_000

/** A service that answers, with its development issuer. `proofIssuer` is the `iss` of what it signs, `errors` the lines that it logged of its own errors, where they can be seen. */
export interface Running { origin: string, issuerOrigin: string, proofIssuer: string, errors: () => string[], stop: () => Promise<void> }

/** The service that runs where `PORT` and `DEV_ISSUER_PORT` say; where nothing runs, one of its own that `stop` ends. */
export async function findOrStart (): Promise<Running> {
  const { host, port, issuerPort, publicUrl } = readConfig()
  const origin = `http://${host}:${port}`
  if (port === 0 || !await answers(`${origin}/health/live`)) return startOwn()
  const issuerOrigin = `http://${host}:${issuerPort}`
  if (!await answers(`${issuerOrigin}/.well-known/openid-configuration`)) {
    throw new Error(`Something runs at ${origin}, but at ${issuerOrigin} there is no development issuer. Set PORT and DEV_ISSUER_PORT as the service has them, or PORT to a free port.`)
  }
  return { origin, issuerOrigin, proofIssuer: publicUrl ?? 'latchkey', errors: () => [], stop: () => Promise.resolve() }
}

/** On free ports, with a database that is thrown away. Nothing of the surroundings gets in. */
async function startOwn (): Promise<Running> {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-tour-'))
  chmodSync(folder, 0o711) // the database may run as another user
  const [port, issuerPort] = [await freePort(), await freePort()]
  const env = { PATH: process.env.PATH!, HOME: process.env.HOME ?? '/', PORT: String(port), DEV_ISSUER_PORT: String(issuerPort), DATA_DIR: join(folder, 'data') }
  const child = spawn(process.execPath, ['src/main.ts'], { cwd: join(import.meta.dirname, '..'), env, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => { output += String(chunk) })
  const ended = once(child, 'close')

  async function stop () {
    child.kill('SIGTERM')
    await Promise.race([ended, pause(stopWithinMs, undefined, { ref: false })])
    child.kill('SIGKILL')
    const postgres = join(folder, 'data/postgres')
    await stopEmbeddedPostgres({ directory: postgres, log: () => undefined }) // where the service could not
    if (existsSync(postgres)) rmSync(realpathSync(postgres), { recursive: true, force: true, maxRetries: 5 }) // it may be a link
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }
  const origin = `http://127.0.0.1:${port}`
  for (const deadline = Date.now() + readyWithinMs; !await answers(`${origin}/health/ready`);) {
    if (child.exitCode === null && Date.now() < deadline) await pause(100)
    else {
      await stop()
      throw new Error(`The service did not become ready:\n${output}`)
    }
  }
  return { origin, issuerOrigin: `http://127.0.0.1:${issuerPort}`, proofIssuer: 'latchkey', errors: () => output.split('\n').filter((line) => /"level":"(?:error|fatal)"/.test(line)), stop }
}

const answers = (url: string): Promise<boolean> => fetch(url, { signal: AbortSignal.timeout(2_000) }).then((reply) => reply.ok, () => false)

/** Below the ports that the system gives to whoever asks for any: it must stay free until the service listens there. */
async function freePort (): Promise<number> {
  for (;;) {
    const server = createServer()
    const port = randomInt(20_000, 30_000)
    const free = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false))
      server.listen(port, '127.0.0.1', () => resolve(true))
    })
    if (!free) continue
    server.close()
    await once(server, 'close')
    return port
  }
}

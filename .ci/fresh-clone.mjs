// Clones what is committed into a new closed folder, starts the service there with the README's command on free ports,
// runs the README's first call and compares the answer, and asks the service to stop. With the name of a user, as that
// user; with `--tour`, walks the tour instead of the first call, and once more when nothing runs. Runs on whatever Node is
// there; ends with 0 if all of it went well.
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual } from 'node:util'

const readyWithinMs = 200_000
const stopWithinMs = 25_000
const tourWithinMs = 120_000
/** What differs from one run to the next. */
const changing = ['id', 'createdAt', 'updatedAt']

process.umask(0o077)
const repository = dirname(dirname(fileURLToPath(import.meta.url)))
const touring = process.argv[2] === '--tour'
const [user] = process.argv.slice(touring ? 3 : 2)
const folder = mkdtempSync(join(tmpdir(), 'latchkey-clone-'))
const clone = join(folder, 'latchkey')
const home = join(folder, 'home')
const fail = (message) => { throw new Error(message) }

const [port, issuerPort] = [await freePort(), await freePort()]
const env = { ...process.env, PORT: String(port), DEV_ISSUER_PORT: String(issuerPort) }

makeClone()
const account = become(user)
let service
try {
  service = start()
  await until(async () => service.over || await isReady(), readyWithinMs)
  if (service.over) fail(`It ended with ${service.code} before it was ready.`)
  if (touring) tour()
  else firstCall()
  await stop()
  if (touring) tour()
} finally {
  process.stdout.write(service?.output ?? '')
  removeAll()
}
console.log('All as the README says.')

/** Below the ports that the system gives to outgoing connections and to whoever asks for any: it must stay free for minutes. */
async function freePort () {
  for (;;) {
    const server = createServer()
    const free = await new Promise((resolve) => {
      server.once('error', () => resolve(false))
      server.listen(randomInt(20_000, 30_000), '127.0.0.1', () => resolve(true))
    })
    if (!free) continue
    const { port: found } = server.address()
    server.close()
    await once(server, 'close')
    return found
  }
}

function makeClone () {
  mkdirSync(home)
  // The repository may belong to someone else; git wants to be told that this is meant.
  const config = join(home, 'gitconfig')
  writeFileSync(config, '[safe]\n\tdirectory = *\n')
  execFileSync('git', ['clone', '--quiet', repository, clone], { env: { ...process.env, GIT_CONFIG_GLOBAL: config }, stdio: 'inherit' })
}

/** The folder becomes that of another user, with a home of their own; where npm gets its packages stays the same. */
function become (name) {
  if (name === undefined) return {}
  env.npm_config_registry = execFileSync('npm', ['config', 'get', 'registry'], { encoding: 'utf8' }).trim()
  env.HOME = home
  const [uid, gid] = ['-u', '-g'].map((flag) => Number(execFileSync('id', [flag, name])))
  execFileSync('chown', ['-R', `${uid}:${gid}`, folder])
  return { uid, gid }
}

/** In a group of its own, so that nothing is left behind. `exec`: the signal is for npm, as with any service manager. */
function start () {
  const child = spawn('bash', ['-c', 'npm ci && exec npm start'], { cwd: clone, env, ...account, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
  const state = { pid: child.pid, output: '', over: false, code: null }
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => { state.output += chunk })
  child.on('close', (code, signal) => { Object.assign(state, { over: true, code: code ?? signal }) })
  return state
}

async function isReady () {
  try {
    const answer = await fetch(`http://127.0.0.1:${port}/health/ready`, { signal: AbortSignal.timeout(2_000) })
    return answer.status === 200 && (await answer.json()).status === 'ok'
  } catch {
    return false
  }
}

async function until (holds, withinMs) {
  for (const deadline = Date.now() + withinMs; !await holds();) {
    if (Date.now() > deadline) fail(`It did not come true within ${withinMs / 1000} s: ${holds}`)
    await pause(100)
  }
}

/** Runs the README's own lines, but for the ports, and compares what comes back with what the README shows. */
function firstCall () {
  const text = readFileSync(join(clone, 'README.md'), 'utf8')
  const section = text.split('\n## The first call\n')[1]?.split('\n## ')[0] ?? fail('The README has no first call.')
  const [lines, shown] = ['sh', 'json'].map((language) => new RegExp(`\`\`\`${language}\n([^]*?)\`\`\``).exec(section)?.[1] ?? fail(`The README's first call has no ${language}.`))
  const script = lines.replaceAll('localhost:3000', `localhost:${port}`).replaceAll('localhost:3001', `localhost:${issuerPort}`)
  const answer = JSON.parse(execFileSync('bash', ['-euc', script], { encoding: 'utf8', env: { ...process.env, PATH: `${curlFolder()}${process.env.PATH}` } }))
  const steady = (object) => Object.fromEntries(Object.entries(object).map(([name, value]) => [name, changing.includes(name) ? typeof value : value]))
  if (!isDeepStrictEqual(steady(answer), steady(JSON.parse(shown)))) fail(`The first call answered ${JSON.stringify(answer)}`)
}

/** Against the service that runs, or one that the tour starts for itself where none does. */
function tour () {
  const { status, stdout, stderr } = spawnSync('npm', ['run', '--silent', 'tour'], { cwd: clone, env, ...account, encoding: 'utf8', timeout: tourWithinMs })
  process.stdout.write(status === 0 ? stdout.split('\n').slice(-2).join('\n') : `${stdout}${stderr}\n`)
  if (status !== 0) fail(`The tour ended with ${status}.`)
}

/** Where there is no curl, a small one stands in. */
function curlFolder () {
  if (process.env.PATH.split(':').some((place) => existsSync(join(place, 'curl')))) return ''
  const place = join(folder, 'bin')
  mkdirSync(place)
  writeFileSync(join(place, 'curl'), `#!/bin/sh\nexec '${process.execPath}' '${join(repository, '.ci/curl.mjs')}' "$@"\n`)
  chmodSync(join(place, 'curl'), 0o755)
  return `${place}:`
}

async function stop () {
  process.kill(service.pid, 'SIGTERM')
  const toldAt = Date.now()
  await until(() => service.over, stopWithinMs)
  if (service.code !== 0) fail(`Told to stop, it ended with ${service.code}.`)
  if (await isReady()) fail('Something of it still answers.')
  console.log(`Stopped after ${Date.now() - toldAt} ms.`)
}

/** Nothing stays behind, whatever happened: no process, and no files behind the link of a closed folder. */
function removeAll () {
  const kill = (pid) => { try { process.kill(pid, 'SIGKILL') } catch { /* it has ended */ } }
  if (service) kill(-service.pid)
  const data = join(clone, '.data/postgres')
  try { kill(Number.parseInt(readFileSync(join(data, 'data/postmaster.pid'), 'utf8'), 10)) } catch { /* it has stopped */ }
  try { rmSync(readlinkSync(data), { recursive: true, force: true }) } catch { /* no link */ }
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
}

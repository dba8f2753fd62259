import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync, existsSync, lstatSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client, type QueryResultRow } from 'pg'
import t, { type Test } from 'tap'
import { startEmbeddedPostgres, type EmbeddedOptions } from '../../../src/platform/db/embedded/index.ts'
import { newScratch, removeCluster } from '../../support/scratch.ts'

const isRoot = process.geteuid?.() === 0
const nobody = readFileSync('/etc/passwd', 'utf8').split('\n').find((line) => line.startsWith('nobody:'))?.split(':')
const moduleUrl = new URL('../../../src/platform/db/embedded/index.ts', import.meta.url)
const log = () => { /* What happened is seen in the database. */ }

const postmasterOf = (directory: string) => Number.parseInt(readFileSync(join(directory, 'data/postmaster.pid'), 'utf8'), 10)
const portOf = (url: string) => Number(new URL(url).port)
const kill = (pid: number) => process.kill(pid, 'SIGKILL')
const sessionOf = (pid: number) => readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[3]
const rowsOf = async (url: string) => (await ask(url, 'select n from kept')).map(({ n }) => n as number)

t.test('the embedded Postgres', async (t) => {
  // A first start takes seconds, so those that need none share one cluster; each leaves it stopped.
  const directory = newDirectory(t)

  t.test('starts, stops, and starts again with its rows, on the same port', async (t) => {
    const first = await start({ directory })
    t.match(first.url, /^postgres:\/\/latchkey_owner:[0-9a-f]{48}@127\.0\.0\.1:\d+\/latchkey$/)
    t.equal(statSync(join(directory, 'password')).mode & 0o777, 0o600)
    t.equal(statSync(join(directory, 'data')).mode & 0o077, 0)
    const asked = ['server_encoding', 'fsync', 'full_page_writes', 'synchronous_commit', 'log_statement', 'log_parameter_max_length_on_error', 'max_connections']
    const answers = await ask(first.url, `select array[${asked.map((name) => `current_setting('${name}')`).join()}] as answers`)
    t.same(answers, [{ answers: ['UTF8', 'on', 'on', 'on', 'none', '0', '100'] }])
    t.not(sessionOf(postmasterOf(directory)), sessionOf(process.pid), 'Ctrl-C does not reach it')
    await insertRow(first.url)
    await first.stop()
    await t.resolves(first.stop(), 'stop may be called twice')
    await t.rejects(rowsOf(first.url), { code: 'ECONNREFUSED' })

    const second = await start({ directory, settings: { application_name: "it's 5 o'clock" } })
    t.equal(second.url, first.url)
    t.same(await rowsOf(second.url), [1])
    t.same(await ask(second.url, 'show application_name'), [{ application_name: "it's 5 o'clock" }], 'a setting survives the shell')
    await second.stop()
  })

  t.test('moves to another port when its own was taken meanwhile, and remembers that', async (t) => {
    const first = await start({ directory })
    await insertRow(first.url)
    await first.stop()
    const squatter = createServer().listen(portOf(first.url), '127.0.0.1')
    await once(squatter, 'listening')
    const second = await start({ directory })
    t.not(portOf(second.url), portOf(first.url))
    t.same(await rowsOf(second.url), [1])
    await second.stop()
    squatter.close()
    const third = await start({ directory })
    t.equal(third.url, second.url)
    await third.stop()
  })

  t.test('keeps the values of refused rows out of its log', async (t) => {
    const { url, stop } = await start({ directory })
    await ask(url, 'create table people (address text primary key)')
    const insert = () => ask(url, 'insert into people values ($1)', ['canary@example.com'])
    await insert()
    await t.rejects(insert(), { code: '23505' })
    await stop()
    const text = readFileSync(join(directory, 'data/server.log'), 'utf8')
    t.match(text, 'duplicate key value')
    t.notMatch(text, 'canary')
  })

  t.test('is up again soon after its postmaster was killed, with the same rows at the same address', async (t) => {
    const said: string[] = []
    const { url, stop } = await start({ directory, supervise: true, log: (line) => { said.push(line) } })
    await insertRow(url)
    said.length = 0
    const killedAt = Date.now()
    kill(postmasterOf(directory))
    await eventually(() => said.includes('Postgres is up again'))
    t.comment(`up again after ${Date.now() - killedAt} ms`)
    t.same(said, ['Postgres is down; starting it again', 'Postgres is up again'], 'at once, and at the first attempt')
    t.same(await rowsOf(url), [1])
    await stop()
    await sleep(600)
    await t.rejects(rowsOf(url), { code: 'ECONNREFUSED' }, 'a stopped one stays down')
  })

  t.test('outlives the process that started it; the next one adopts it and stops it', async (t) => {
    const child = await startInChild(t, directory)
    await insertRow(child.url)
    const postmaster = postmasterOf(directory)
    await child.kill()
    t.same(await rowsOf(child.url), [1])
    const next = await start({ directory })
    t.equal(next.url, child.url)
    t.equal(postmasterOf(directory), postmaster)
    await next.stop()
    await t.rejects(rowsOf(next.url), { code: 'ECONNREFUSED' })
  })

  t.test('recovers when both were killed', async (t) => {
    const child = await startInChild(t, directory)
    await insertRow(child.url)
    const postmaster = postmasterOf(directory)
    await Promise.all([child.kill(), Promise.resolve(kill(postmaster))])
    const next = await start({ directory })
    t.not(postmasterOf(directory), postmaster)
    t.same(await rowsOf(next.url), [1])
    await next.stop()
  })

  t.test('recovers when the pid of a killed postmaster now belongs to someone else', async (t) => {
    const first = await start({ directory })
    await insertRow(first.url)
    const pidFile = join(directory, 'data/postmaster.pid')
    const stale = readFileSync(pidFile, 'utf8').replace(/^\d+/, String(process.pid))
    kill(postmasterOf(directory))
    await eventually(() => rowsOf(first.url).then(() => false, () => true))
    writeFileSync(pidFile, stale)
    const next = await start({ directory })
    t.same(await rowsOf(next.url), [1])
    await next.stop()
  })

  t.test('is whole or absent after a kill in the middle of the first start', async (t) => {
    const fresh = newDirectory(t)
    const child = spawnChild(t, fresh)
    await eventually(() => existsSync(fresh) && readdirSync(fresh).some((name) => name.startsWith('initdb-')))
    child.kill('SIGKILL')
    await once(child, 'exit')
    t.notOk(existsSync(join(fresh, 'data')))
    t.ok(existsSync(`${fresh}.lock`), 'it died with the lock in its hands')
    const next = await start({ directory: fresh })
    await insertRow(next.url)
    t.same(await rowsOf(next.url), [1])
    await next.stop()
  })

  t.test('is shared by processes that start at once; the last to stop ends it', async (t) => {
    const fresh = newDirectory(t)
    const [one, two, three] = await Promise.all([startInChild(t, fresh), startInChild(t, fresh), start({ directory: fresh })])
    t.same([one.url, two.url], [three.url, three.url])
    await insertRow(one.url)
    await one.stop()
    t.same(await rowsOf(two.url), [1], 'the first to stop leaves it to the others')
    await three.stop()
    t.same(await rowsOf(two.url), [1])
    await two.stop()
    await t.rejects(rowsOf(three.url), { code: 'ECONNREFUSED' })
  })

  t.test('works for root in a closed folder and with a strict umask', { skip: !isRoot && 'needs root' }, async (t) => {
    const closed = mkdtempSync(join(tmpdir(), 'latchkey-closed-'))
    chmodSync(closed, 0o700)
    const hidden = join(closed, 'data', 'postgres')
    removeAtEnd(t, closed, hidden)
    const first = await startInChild(t, hidden, { umask: 0o077 })
    await insertRow(first.url)
    t.ok(lstatSync(hidden).isSymbolicLink())
    t.match(readlinkSync(hidden), /^\/var\/tmp\/latchkey-[0-9a-f]{16}$/)
    await first.stop()
    const second = await startInChild(t, hidden, { umask: 0o077 })
    t.same(await rowsOf(second.url), [1])

    // Whoever deletes the folder under a running server expects a new start, not the old rows.
    await second.kill()
    const home = realpathSync(hidden)
    rmSync(hidden)
    const third = await startInChild(t, hidden, { umask: 0o077 })
    await t.rejects(rowsOf(third.url), { code: '42P01' })
    await t.rejects(rowsOf(second.url), 'the old server is gone')
    await third.stop()
    for (const name of readdirSync('/var/tmp')) if (`/var/tmp/${name}`.startsWith(`${home}.old-`)) rmSync(`/var/tmp/${name}`, { recursive: true })
  })

  t.test('works for root with a strict umask where nothing is closed', { skip: !isRoot && 'needs root' }, async (t) => {
    const nested = join(newDirectory(t), 'made on the way', 'postgres')
    removeAtEnd(t, nested, nested)
    const child = await startInChild(t, nested, { umask: 0o077 })
    t.notOk(lstatSync(nested).isSymbolicLink(), 'the folders it makes let the server through')
    await insertRow(child.url)
    await child.stop()
  })

  t.test('works for another user', { skip: !isRoot || !nobody ? 'needs root, and a user nobody' : false }, async (t) => {
    const account = { uid: Number(nobody?.[2]), gid: Number(nobody?.[3]) }
    const canRead = spawn(process.execPath, ['-e', `require('node:fs').readFileSync(${JSON.stringify(moduleUrl.pathname)})`], { ...account, cwd: '/', stdio: 'ignore' })
    const [code] = await once(canRead, 'exit').catch(() => [1]) as [number]
    if (code !== 0) {
      t.comment('skipped: this user cannot read the project')
      return
    }
    const parent = newScratch('latchkey-nobody', 0o700)
    chownSync(parent, account.uid, account.gid)
    const theirs = join(parent, 'postgres')
    removeAtEnd(t, parent, theirs)
    const first = await startInChild(t, theirs, { umask: 0o077, account })
    await insertRow(first.url)
    t.equal(statSync(join(theirs, 'data')).uid, account.uid)
    await first.stop()
    const second = await startInChild(t, theirs, { account })
    t.same(await rowsOf(second.url), [1])
    await second.stop()

    const root = await start({ directory: theirs })
    t.same(await rowsOf(root.url), [1], 'root runs it as its owner')
    await root.stop()
  })

  t.test('says what to do when it cannot run', { skip: !isRoot && 'needs root' }, async (t) => {
    const parent = newScratch('latchkey-unknown', 0o700)
    chownSync(parent, 54_321, 54_321)
    removeAtEnd(t, parent, join(parent, 'postgres'))
    await t.rejects(startInChild(t, join(parent, 'postgres'), { account: { uid: 54_321, gid: 54_321 } }), /no passwd entry.*Set DATABASE_URL/s)
  })
})

/** In an open folder, so that no link is needed. There are blanks in its name, which must not matter. */
function newDirectory (t: Test): string {
  const parent = newScratch('latchkey-embedded')
  removeAtEnd(t, parent, join(parent, 'postgres'))
  return join(parent, 'postgres')
}

function removeAtEnd (t: Test, folder: string, directory: string): void {
  t.teardown(async () => {
    await removeCluster(directory)
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
  })
}

function start (options: Omit<EmbeddedOptions, 'log' | 'port'> & Partial<Pick<EmbeddedOptions, 'log'>>) {
  return startEmbeddedPostgres({ log, supervise: false, ...options })
}

interface ChildOptions { umask?: number, account?: { uid: number, gid: number } }

/** Another process that starts it, says where, and stops it when its standard input ends. */
function spawnChild (t: Test, directory: string, { umask = 0o022, account }: ChildOptions = {}): ChildProcess {
  const script = `
    process.umask(${umask})
    const { startEmbeddedPostgres } = await import(${JSON.stringify(moduleUrl.href)})
    const { url, stop } = await startEmbeddedPostgres({ directory: ${JSON.stringify(directory)}, log () {} })
    console.log(url)
    process.stdin.resume().on('end', stop)
  `
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { cwd: '/', ...account, env: {}, stdio: ['pipe', 'pipe', 'pipe'] })
  t.teardown(() => child.kill('SIGKILL'))
  return child
}

async function startInChild (t: Test, directory: string, options?: ChildOptions) {
  const child = spawnChild(t, directory, options)
  let errors = ''
  child.stderr?.on('data', (chunk) => { errors += String(chunk) })
  const exited = once(child, 'exit')
  const url = await Promise.race([
    once(child.stdout!, 'data').then(([chunk]) => String(chunk).trim()),
    exited.then(() => { throw new Error(errors) }),
  ])
  return {
    url,
    stop: async () => {
      child.stdin?.end()
      await exited
      if (child.exitCode !== 0) throw new Error(errors)
    },
    kill: async () => {
      child.kill('SIGKILL')
      await exited
    },
  }
}

async function ask (url: string, query: string, values: unknown[] = []): Promise<QueryResultRow[]> {
  const client = new Client({ connectionString: url })
  client.on('error', log)
  await client.connect()
  try {
    return (await client.query(query, values)).rows as QueryResultRow[]
  } finally {
    await client.end()
  }
}

async function insertRow (url: string): Promise<void> {
  await ask(url, 'drop table if exists kept; create table kept (n int)')
  await ask(url, 'insert into kept values (1)')
}

async function eventually (holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 15_000
  while (!await holds()) {
    if (Date.now() > deadline) throw new Error('It never came true')
    await sleep(20)
  }
}

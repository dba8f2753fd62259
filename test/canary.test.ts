import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { Client } from 'pg'
import t, { type Test } from 'tap'
import { loginRoleOf } from '../src/platform/db/roles.ts'
import { databasePasswordOf, parseKeyRing } from '../src/platform/keys.ts'
import { finder, needlesFor } from './support/canaries.ts'
import { tellStory } from './support/canary-story.ts'
import { dataDirectory, startService } from './support/process.ts'

interface Found { place: string, names: string[] }

/** The story against a service of its own; then everything that is left of it is searched. */
async function searchAfterStory (t: Test, env: Record<string, string> = {}): Promise<{ hits: Found[], searched: Record<string, number>, control: Found[] }> {
  const directory = dataDirectory(t)
  const service = await startService(t, { env: { DATA_DIR: directory, ...env } })
  const home = realpathSync(join(directory, 'postgres'))
  const [password, port] = ['password', 'port'].map((name) => readFileSync(join(home, name), 'utf8').trim())
  const ownerUrl = `postgres://latchkey_owner:${password}@127.0.0.1:${port}/latchkey`
  const { canaries, told } = await tellStory(service, ownerUrl)
  const ring = readFileSync(join(directory, 'key-ring'), 'utf8').trim()
  Object.assign(canaries, { 'key ring': ring.slice(2), 'owner\'s password': password })
  for (const kind of ['service', 'worker'] as const) canaries[`password of the ${kind}`] = databasePasswordOf(parseKeyRing(ring), loginRoleOf('latchkey', kind))

  const hits: Found[] = []
  const searched: Record<string, number> = {}
  const searchFor = (canaries: Record<string, string>, hits: Found[]) => {
    const found = finder(needlesFor(canaries))
    return (kind: string, place: string, bytes: Buffer | string) => {
      searched[kind] = (searched[kind] ?? 0) + bytes.length
      const names = found(bytes)
      if (names.length > 0) hits.push({ place: `${kind}: ${place}`, names })
    }
  }
  const search = searchFor(canaries, hits)
  const control: Found[] = []
  const owner = new Client({ connectionString: ownerUrl })
  await owner.connect()
  try {
    await searchDatabase(owner, home, search)
    // Planted where each search must see it: in a row, and through it in data files and write-ahead log, and in the server's log.
    const planted = { planted: 'zq7plantedcanary' }
    await owner.query('update users set display_name = $1', [planted.planted])
    await owner.query(`select '${planted.planted}'::int`).catch(() => undefined)
    await searchDatabase(owner, home, searchFor(planted, control))
  } finally {
    await owner.end()
    await service.stop() // it writes the last lines of its log
  }
  search('output', 'of the process', service.output())
  for (const [name, text] of Object.entries(told)) search('answers', `to ${name}`, text)
  return { hits, searched, control }
}

/** Every table as text, and after a checkpoint every file that the server keeps. */
async function searchDatabase (owner: Client, home: string, search: (kind: string, place: string, bytes: Buffer | string) => void): Promise<void> {
  const { rows: tables } = await owner.query<{ name: string }>(`
    select format('%I.%I', n.nspname, c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relkind = 'r' and n.nspname in ('public', 'latchkey_internal')`)
  for (const { name } of tables) {
    const { rows } = await owner.query<{ row: string }>(`select t::text as row from ${name} t`)
    search('tables', name, rows.map(({ row }) => row).join('\n'))
  }
  await owner.query('checkpoint')
  for (const file of filesIn(join(home, 'data'))) {
    search(file.includes('server.log') ? 'server log' : file.includes('pg_wal') ? 'write-ahead log' : 'data files', file.slice(home.length), readFileSync(file))
  }
}

function filesIn (folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name)).filter((path) => existsSync(path) && statSync(path).isFile())
}

t.jobs = 2 // each story has a service of its own, and waits for seconds

t.test('no number, address, code, token or key is left anywhere but sealed', async (t) => {
  const { hits, searched, control } = await searchAfterStory(t)
  t.same(hits, [])
  for (const [kind, bytes] of Object.entries(searched)) t.comment(`${kind}: ${(bytes / 1e6).toFixed(2)} MB`)
  t.same(Object.keys(searched).toSorted(), ['answers', 'data files', 'output', 'server log', 'tables', 'write-ahead log'])
  t.same([...new Set(control.map(({ place }) => place.replace(/:.*/, '')))].toSorted(), ['data files', 'server log', 'tables', 'write-ahead log'], 'what was planted was found in each')
})

t.test('with LATCHKEY_LEAK=1, which logs bodies, the same search finds them', async (t) => {
  const { hits } = await searchAfterStory(t, { LATCHKEY_LEAK: '1' })
  t.match(hits, [{ place: 'output: of the process' }])
  for (const name of ['mobile', 'alternate', 'extension', 'signIn', 'email', 'orgPhone', 'wrongCode', 'searched', 'code of']) {
    t.ok(hits[0]?.names.some((found) => found.startsWith(name)), name)
  }
})

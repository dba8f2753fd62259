import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import t from 'tap'
import { generateFiles } from '../../src/dev/generate/generate.ts'
import { asOwner, cloneDatabase } from '../support/cluster.ts'

const files = ['openapi/openapi.json', 'src/platform/db/schema.ts'] as const
const project = join(import.meta.dirname, '../..')

t.test('says what is stale and leaves it alone, or brings it up to date, and leaves nothing on the server', async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'latchkey-generate-test-'))
  t.teardown(() => rmSync(root, { recursive: true }))
  for (const file of files) {
    mkdirSync(join(root, file, '..'), { recursive: true })
    cpSync(join(project, file), join(root, file))
  }
  const database = await cloneDatabase()
  t.teardown(database.drop)
  const leftovers = () => asOwner(database.ownerUrl, async (client) => (await client.query(`
    select datname::text as name from pg_database where datname like 'latchkey_generate%' union all select rolname::text from pg_roles where rolname like 'latchkey_generate%'`)).rows)
  const run = async (checks: boolean) => {
    const said: string[] = []
    const fresh = await generateFiles({ root: pathToFileURL(`${root}/`), checks, serverUrl: database.ownerUrl, say: (line) => said.push(line) })
    return { fresh, said }
  }

  t.same(await run(true), { fresh: true, said: files.map((file) => `${file} is fresh`) })
  t.same(await leftovers(), [])

  writeFileSync(join(root, files[1]), '// not what the tables are\n')
  t.same(await run(true), { fresh: false, said: [`${files[0]} is fresh`, `${files[1]} is stale: run \`npm run generate\` and commit it`] })
  t.equal(readFileSync(join(root, files[1]), 'utf8'), '// not what the tables are\n', 'a check writes nothing')

  rmSync(join(root, files[0]))
  t.same(await run(false), { fresh: true, said: files.map((file) => `${file} written`) })
  for (const file of files) t.equal(readFileSync(join(root, file), 'utf8'), readFileSync(join(project, file), 'utf8'), file)
})

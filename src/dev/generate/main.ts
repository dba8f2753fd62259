import { readFile, writeFile } from 'node:fs/promises'
import { openApiText } from './openapi.ts'
import { tablesText } from './tables.ts'

/** `npm run generate` writes what is generated and committed; with `--check` it writes nothing, and fails naming what is stale. */
const root = new URL('../../../', import.meta.url)
const generated = { 'openapi/openapi.json': openApiText, 'src/platform/db/schema.ts': tablesText }

const say = (line: string) => { process.stdout.write(`${line}\n`) }
const checks = process.argv.includes('--check')

for (const [path, generate] of Object.entries(generated)) {
  const file = new URL(path, root)
  const fresh = await generate()
  const present = await readFile(file, 'utf8').catch(() => null)
  if (present === fresh) say(`${path} is fresh`)
  else if (checks) {
    say(`${path} is stale: run \`npm run generate\` and commit it`)
    process.exitCode = 1
  } else {
    await writeFile(file, fresh)
    say(`${path} written`)
  }
}

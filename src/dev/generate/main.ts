import { testServerUrl } from '../../config.ts'
import { generateFiles } from './generate.ts'

/** `npm run generate` writes what is generated and committed; with `--check` it writes nothing, and fails naming what is stale. */
const fresh = await generateFiles({
  root: new URL('../../../', import.meta.url), checks: process.argv.includes('--check'), serverUrl: testServerUrl(),
  say: (line) => { process.stdout.write(`${line}\n`) },
})
process.exitCode = fresh ? 0 : 1

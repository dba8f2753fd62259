import { readFile, writeFile } from 'node:fs/promises'
import { openApiText } from './openapi.ts'
import { tablesText } from './tables.ts'

export interface Generation {
  /** The project's folder. */
  root: URL
  /** Writes nothing. */
  checks: boolean
  /** Where to make the throw-away database; null starts a server for it. */
  serverUrl: string | null
  say: (line: string) => void
}

/** Brings the generated files up to date, or says which are not. Answers whether they are, when it is done. */
export async function generateFiles ({ root, checks, serverUrl, say }: Generation): Promise<boolean> {
  const files = { 'openapi/openapi.json': await openApiText(), 'src/platform/db/schema.ts': await tablesText(serverUrl) }
  let fresh = true
  for (const [path, text] of Object.entries(files)) {
    const file = new URL(path, root)
    if (await readFile(file, 'utf8').catch(() => null) === text) say(`${path} is fresh`)
    else if (checks) {
      say(`${path} is stale: run \`npm run generate\` and commit it`)
      fresh = false
    } else {
      await writeFile(file, text)
      say(`${path} written`)
    }
  }
  return fresh
}

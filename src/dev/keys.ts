import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { newKeyRingText } from '../platform/keys.ts'

/** The development key ring: made once, kept beside the embedded database, readable by its owner only. */
export async function developmentKeyRing (dataDirectory: string): Promise<string> {
  await mkdir(dataDirectory, { recursive: true, mode: 0o711 })
  const file = join(dataDirectory, 'key-ring')
  try {
    await writeFile(file, newKeyRingText(), { mode: 0o600, flag: 'wx' }) // of two first starts, one makes it
  } catch (error) {
    if ((error as { code?: string }).code !== 'EEXIST') throw error
  }
  return (await readFile(file, 'utf8')).trim()
}

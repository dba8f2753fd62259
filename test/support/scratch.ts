import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, statfsSync } from 'node:fs'
import { freemem } from 'node:os'
import { join } from 'node:path'
import { stopEmbeddedPostgres } from '../../src/platform/db/embedded/index.ts'
import { identityOf, lives } from '../../src/platform/db/embedded/processes.ts'

const inMemory = '/dev/shm'
/** Unlike the folder for temporary files, whose owner may have closed it, anyone can pass through this one. */
const onDisk = '/var/tmp'
const roomBytes = 4 * 2 ** 30

/**
 * Where the tests keep their databases: in memory if there is plenty and programs may run there. A database is about a
 * thousand files, and the tests make and drop hundreds. The account of a server can pass through.
 */
export const scratchFolder = isRoomy() ? inMemory : onDisk

function isRoomy (): boolean {
  try {
    const [, , , options] = readFileSync('/proc/self/mounts', 'utf8').split('\n').map((line) => line.split(' ')).find(([, place, kind]) => place === inMemory && kind === 'tmpfs')!
    const { bavail, bsize } = statfsSync(inMemory)
    return !options!.split(',').includes('noexec') && Math.min(bavail * bsize, freemem()) > roomBytes
  } catch {
    return false
  }
}

/** A new folder there, for this process to remove. Others may pass through it unless told. */
export function newScratch (name: string, mode = 0o711): string {
  const folder = mkdtempSync(join(scratchFolder, `${name} ${identityOf(process.pid)} `))
  chmodSync(folder, mode)
  return folder
}

/** Removes the folders of processes that were killed before they could, with the servers that still run there. */
export async function sweepScratch (): Promise<void> {
  for (const name of readdirSync(scratchFolder)) {
    const maker = /^latchkey-\w+ (\d+\.\d+) /.exec(name)?.[1]
    if (maker === undefined || lives(maker)) continue
    const folder = join(scratchFolder, name)
    try {
      for (const postgres of [join(folder, 'postgres'), join(folder, 'data/postgres')].filter((path) => existsSync(path))) await removeCluster(postgres)
      rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
    } catch (error) {
      if (!['EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error // it is someone else's
    }
  }
}

/** Stops the server and removes its files, which are elsewhere if the folder is closed. */
export async function removeCluster (postgres: string): Promise<void> {
  await stopEmbeddedPostgres({ directory: postgres, log: () => { /* nothing to say */ } })
  if (existsSync(postgres)) rmSync(realpathSync(postgres), { recursive: true, force: true, maxRetries: 3 })
}

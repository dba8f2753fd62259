import { readFileSync, statfsSync } from 'node:fs'
import { freemem } from 'node:os'

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

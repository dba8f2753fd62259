import { readdirSync, readFileSync } from 'node:fs'

/** Linux counts processor time in hundredths of a second. */
const tickMicroseconds = 10_000

interface Stat { parent: number, microseconds: number }

function statOf (pid: number | string): Stat | undefined {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ')
    return { parent: Number(fields[1]), microseconds: (Number(fields[11]) + Number(fields[12])) * tickMicroseconds }
  } catch {
    return undefined // it has ended meanwhile
  }
}

/** Processor time of a process so far, user and system. */
export const cpuOf = (pid: number): number => statOf(pid)?.microseconds ?? 0

/** Processor time so far of all living children of a process: the backends of a postmaster. */
export const cpuOfChildren = (pid: number): number =>
  readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(statOf).reduce((sum, stat) => stat?.parent === pid ? sum + stat.microseconds : sum, 0)

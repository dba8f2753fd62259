import { setTimeout as pause } from 'node:timers/promises'

/**
 * Does `work` so many times a second, whether or not what came before has ended. The times are from when it was due, so
 * that a stall counts for all who would have waited in it. In milliseconds, sorted.
 */
export async function openLoop (perSecond: number, seconds: number, work: (index: number) => Promise<void>): Promise<number[]> {
  const startedMs = performance.now()
  const times: number[] = []
  const underWay: Array<Promise<void>> = []
  for (let index = 0; index < perSecond * seconds; index++) {
    const dueMs = startedMs + index * 1000 / perSecond
    if (dueMs > performance.now()) await pause(dueMs - performance.now())
    const one = timed(index, dueMs)
    one.catch(() => undefined) // it is told at the end
    underWay.push(one)
  }
  await Promise.all(underWay)
  return times.toSorted((a, b) => a - b)

  async function timed (index: number, dueMs: number): Promise<void> {
    await work(index)
    times.push(performance.now() - dueMs)
  }
}

export const percentile = (sorted: readonly number[], part: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]!

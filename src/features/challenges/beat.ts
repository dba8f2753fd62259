import { setTimeout as pause } from 'node:timers/promises'
import type { Actor } from '../../platform/deps.ts'
import { isBlind } from './decoys.ts'

const beatMs = 25

/**
 * Answers and refusals to a blind caller leave on a beat, counted from when the work began, and not when it is done: how
 * long it took would tell what it was. It is several times what the work takes, so that both kinds end within the first
 * beat; under a load that takes longer they differ by less than the load makes either vary.
 */
export async function onTheBeat<T> (actor: Actor, work: () => Promise<T>): Promise<T> {
  if (!isBlind(actor)) return work()
  const startedAt = performance.now()
  try {
    return await work()
  } finally {
    const leavesAt = startedAt + Math.ceil((performance.now() - startedAt) / beatMs) * beatMs
    // A timer may fire up to a millisecond early.
    for (let leftMs: number; (leftMs = leavesAt - performance.now()) > 0;) await pause(Math.ceil(leftMs))
  }
}

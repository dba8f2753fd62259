import type { TenantTx } from '../../platform/db/index.ts'
import { headOf, neighbour, numbersOf, type Stretch } from './queries.ts'

/**
 * The numbers that a time takes: from its first row to its last, and the gaps on both sides, since a row that is gone
 * has no time any more. It looks at no more of the log than that, and at nothing up to `above`, where the chain begins.
 */
export async function stretchOf (tx: TenantTx, from: Date | undefined, to: Date | undefined, above: bigint): Promise<Stretch> {
  const head = await headOf(tx) ?? above
  if (head <= above) return { first: above + 1n, last: above }
  if (from === undefined && to === undefined) return { first: above + 1n, last: head }
  const inside = await numbersOf(tx, from, to)
  // A time without a row may have lost some, between the last row before it and the next one.
  const before = inside?.first ?? (from === undefined ? above : await lastBefore(tx, from, above, head)) + 1n
  const below = from === undefined ? undefined : await neighbour(tx, before, 'below')
  const after = to === undefined ? undefined : await neighbour(tx, inside?.last ?? before - 1n, 'above')
  return { first: largest(below?.sequence ?? above, above) + 1n, last: after ? after.sequence - 1n : head }
}

const largest = (a: bigint, b: bigint) => a > b ? a : b

/** The last number whose row is older than a time, by halves: numbers follow times but for the moments that commits take. */
async function lastBefore (tx: TenantTx, time: Date, above: bigint, head: bigint): Promise<bigint> {
  let low = above
  let high = head
  while (low < high) {
    const middle = (low + high + 1n) / 2n
    const seal = await neighbour(tx, middle - 1n, 'above')
    if (seal && seal.sequence <= high && seal.event_at < time) low = seal.sequence
    else high = middle - 1n
  }
  return low
}

import type { TenantTx } from '../../platform/db/index.ts'
import type { Keys } from '../../platform/keys.ts'
import { sealedParts, signedParts } from './audit.ts'
import { selectChain, type ChainRow, type Stretch } from './queries.ts'

/** Checking so many takes about 40 ms, in which nothing else of the process is done. */
const chunkRows = 2_000

/** How many faults of a kind are named at most. */
export const namedMax = 100

/** What a stretch of the chain turned out to be. `head` is what its last seal is, or should have been. */
export interface Walk { checked: number, altered: bigint[], missing: bigint[], head: Buffer | undefined }

/**
 * Recomputes every MAC of a stretch, a chunk at a time. `before` is what the first seal may follow; empty where nothing
 * is known to check against. After an altered seal also what that should have been, so that one fault names one number.
 */
export async function walk (keys: Keys, tx: TenantTx, { first, last }: Stretch, before: Buffer[]): Promise<Walk> {
  const altered: bigint[] = []
  const missing: bigint[] = []
  // Bounded, because whoever alters a number may make the gap as wide as they like.
  const miss = (start: bigint, stop: bigint) => { for (let number = start; number < stop && missing.length < namedMax; number++) missing.push(number) }
  let expected = first
  let checked = 0
  let head: Buffer | undefined
  for (let more = first <= last; more;) {
    const rows = await selectChain(tx, String(expected - 1n), String(last), chunkRows)
    for (const row of rows) {
      const sequence = BigInt(row.sequence)
      if (expected < sequence) before = [] // after a gap there is nothing to check against
      miss(expected, row.event ? sequence : sequence + 1n)
      const { intact, next } = judge(keys, tx.tenantId, row, before)
      if (row.event && !intact) altered.push(sequence)
      before = next
      head = next.at(-1)
      expected = sequence + 1n
      checked++
    }
    more = rows.length === chunkRows
  }
  miss(expected, last + 1n)
  return { checked, altered, missing, head }
}

/** Whether the row fits its own MAC and stands where its seal says, and the seal follows one of those it may; and what the next seal may follow. */
function judge (keys: Keys, tenantId: string, { sequence, event_at, sealed_at, seal_key_version, chain_mac, event }: ChainRow, before: Buffer[]): { intact: boolean, next: Buffer[] } {
  if (!event) return { intact: false, next: [chain_mac] }
  const asWritten = event_at.valueOf() === event.at.valueOf() && keys.macMatches('audit', tenantId, ['row', ...signedParts(event)], event.mac_key_version, event.row_mac)
  const covered = before.map((seal) => sealedParts({ sequence, sealed_at }, seal, event))
  const follows = covered.length === 0 || covered.some((parts) => keys.macMatches('audit', tenantId, parts, seal_key_version, chain_mac))
  const wanted = follows || !keys.knows(seal_key_version) ? [] : [keys.mac('audit', tenantId, covered.at(-1)!, seal_key_version)]
  return { intact: asWritten && follows, next: [chain_mac, ...wanted] }
}

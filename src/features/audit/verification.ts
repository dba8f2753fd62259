import type { TenantTx } from '../../platform/db/index.ts'
import type { Deps } from '../../platform/deps.ts'
import type { Keys } from '../../platform/keys.ts'
import { chainStart, sealedParts, signedParts } from './audit.ts'
import { countUnsealed, sealAt, selectChain, selectUnsealed, sequenceRange, type ChainRow } from './queries.ts'

const chunkRows = 5_000
const namedMax = 100

/** What a check of the chain found. The lists name at most 100 each; the counts are whole. */
export interface ChainReport {
  from: number | null
  to: number | null
  checked: number
  intact: boolean
  altered: number[]
  missing: number[]
  unsealed: string[]
  waiting: number
}

/**
 * Recomputes every MAC of a range. `altered`: a row or its seal is not as it was written. `missing`: a number without
 * a seal, or a seal without its row. `unsealed`: a row that was never numbered. `waiting` rows are numbered within a second.
 */
export async function verifyChain ({ keys }: Deps, tx: TenantTx, from: Date | undefined, to: Date | undefined): Promise<ChainReport> {
  const { first, last } = await sequenceRange(tx, from, to)
  const unsealed = await selectUnsealed(tx, namedMax)
  const waiting = await countUnsealed(tx)
  const altered: bigint[] = []
  const missing: bigint[] = []
  // Bounded, because whoever alters a number may make the gap as wide as they like.
  const miss = (start: bigint, stop: bigint) => { for (let number = start; number < stop && missing.length < namedMax; number++) missing.push(number) }
  // A log begins with the creation of its tenant: there is no whole log without a row.
  if (last === 0n && waiting === 0 && from === undefined && to === undefined) miss(1n, 2n)

  // What the next seal may follow: after an altered seal also what that should have been, so that one fault names one number.
  let before = first === 1n ? [chainStart] : seals(await sealAt(tx, String(first - 1n)))
  let expected = first
  let checked = 0
  for (let more = first <= last; more;) {
    const rows = await selectChain(tx, String(expected - 1n), String(last), chunkRows)
    for (const row of rows) {
      const sequence = BigInt(row.sequence)
      if (expected < sequence) before = [] // after a gap there is nothing to check against
      miss(expected, row.event ? sequence : sequence + 1n)
      const { intact, next } = judge(keys, tx.tenantId, row, before)
      if (row.event && !intact) altered.push(sequence)
      before = next
      expected = sequence + 1n
      checked++
    }
    more = rows.length === chunkRows
  }
  miss(expected, last + 1n)
  const named = (list: bigint[]) => list.slice(0, namedMax).map(Number)
  const empty = first > last
  return {
    from: empty ? null : Number(first), to: empty ? null : Number(last), checked, intact: altered.length + missing.length + unsealed.length === 0,
    altered: named(altered), missing: named(missing), unsealed, waiting,
  }
}

const seals = (seal: { chain_mac: Buffer } | undefined): Buffer[] => seal ? [seal.chain_mac] : []

/** Whether the row fits its own MAC and the seal one of those it may follow; and what the next seal may follow. */
function judge (keys: Keys, tenantId: string, { sequence, sealed_at, seal_key_version, chain_mac, event }: ChainRow, before: Buffer[]): { intact: boolean, next: Buffer[] } {
  if (!event) return { intact: false, next: [chain_mac] }
  const asWritten = keys.macMatches('audit', tenantId, ['row', ...signedParts(event)], event.mac_key_version, event.row_mac)
  const covered = before.map((seal) => sealedParts({ sequence, sealed_at }, seal, event))
  const follows = covered.length === 0 || covered.some((parts) => keys.macMatches('audit', tenantId, parts, seal_key_version, chain_mac))
  const wanted = follows || !keys.knows(seal_key_version) ? [] : [keys.mac('audit', tenantId, covered.at(-1)!, seal_key_version)]
  return { intact: asWritten && follows, next: [chain_mac, ...wanted] }
}

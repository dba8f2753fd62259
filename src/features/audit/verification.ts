import type { TenantTx } from '../../platform/db/index.ts'
import type { Deps } from '../../platform/deps.ts'
import type { Keys } from '../../platform/keys.ts'
import { chainMac, chainStart, signedParts } from './audit.ts'
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
  if (first === null || last === null) return { from: null, to: null, checked: 0, intact: unsealed.length === 0, altered: [], missing: [], unsealed, waiting }

  const whole = from === undefined
  const before = BigInt(first) - 1n
  let chain: Buffer | null = before === 0n ? chainStart : (await sealAt(tx, String(before)))?.chain_mac ?? null
  const altered: bigint[] = []
  const missing: bigint[] = []
  let expected = whole ? 1n : BigInt(first)
  let checked = 0
  for (let position = String(whole ? 0n : before); ;) {
    const rows = await selectChain(tx, position, last, chunkRows)
    for (const row of rows) {
      const sequence = BigInt(row.sequence)
      for (; expected < sequence; expected++) { missing.push(expected); chain = null }
      if (!row.event) missing.push(sequence)
      else if (!isAsWritten(keys, tx.tenantId, row, chain)) altered.push(sequence)
      chain = row.chain_mac // so that one fault names one row, not all that follow
      expected = sequence + 1n
      checked++
    }
    if (rows.length < chunkRows) break
    position = rows.at(-1)!.sequence
  }
  const named = (list: bigint[]) => list.slice(0, namedMax).map(Number)
  return {
    from: Number(first), to: Number(last), checked, intact: altered.length + missing.length + unsealed.length === 0,
    altered: named(altered), missing: named(missing), unsealed, waiting,
  }
}

/** The row fits its own MAC, and the seal fits the seal before it; a seal after a gap cannot be checked against it. */
function isAsWritten (keys: Keys, tenantId: string, { sequence, seal_key_version, chain_mac, event }: ChainRow, before: Buffer | null): boolean {
  if (!event || !keys.macMatches('audit', tenantId, ['row', ...signedParts(event)], event.mac_key_version, event.row_mac)) return false
  return before === null || chainMac(keys, tenantId, seal_key_version, BigInt(sequence), before, event).equals(chain_mac)
}

import type { TenantTx } from '../../platform/db/index.ts'
import type { Deps } from '../../platform/deps.ts'
import { chainStart } from './audit.ts'
import { namedMax, walk } from './chain.ts'
import { checkpointsOf } from './checkpoints.ts'
import { countUnsealed, sealAt, selectUnsealed } from './queries.ts'
import { stretchOf } from './range.ts'

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
  /** Where the check began, if what came before was dropped. */
  checkpoint: { sequence: number, events: number, faults: number, madeAt: string } | null
}

/**
 * Recomputes every MAC of a range. `altered`: a row or its seal is not as it was written, or a checkpoint was not made by
 * us. `missing`: a number without a seal, or a seal without its row. `unsealed`: a row of that time that was never
 * numbered. `waiting` rows are numbered within a second. Before the newest checkpoint there is nothing to check.
 */
export async function verifyChain ({ keys }: Pick<Deps, 'keys'>, tx: TenantTx, from: Date | undefined, to: Date | undefined): Promise<ChainReport> {
  const { newest, foreign } = await checkpointsOf(keys, tx)
  const above = BigInt(newest?.sequence ?? 0)
  const stretch = await stretchOf(tx, from, to, above)
  const { first, last } = stretch
  const unsealed = await selectUnsealed(tx, from, to, namedMax)
  const waiting = await countUnsealed(tx)
  const before = first === above + 1n ? newest?.head ?? chainStart : (await sealAt(tx, String(first - 1n)))?.chain_mac
  const { checked, altered, missing } = await walk(keys, tx, stretch, before ? [before] : [])
  // A log begins with the creation of its tenant: there is no whole log without a row.
  if (last === 0n && waiting === 0 && from === undefined && to === undefined) missing.push(1n)

  const named = (list: bigint[]) => list.slice(0, namedMax).map(Number)
  const empty = first > last
  const faulty = [...foreign, ...altered]
  return {
    from: empty ? null : Number(first), to: empty ? null : Number(last), checked, intact: faulty.length + missing.length + unsealed.length === 0,
    altered: named(faulty), missing: named(missing), unsealed, waiting,
    checkpoint: newest && first === above + 1n
      ? { sequence: Number(newest.sequence), events: newest.events, faults: newest.faults, madeAt: newest.made_at.toISOString() }
      : null,
  }
}

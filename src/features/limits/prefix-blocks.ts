import type { TenantTx } from '../../platform/db/index.ts'
import type { Actor, Authority, Deps } from '../../platform/deps.ts'
import { cursorOf, pageOf, positionOf } from '../../platform/http/paging.ts'
import { notFound } from '../../platform/refusal.ts'
import { record } from '../audit/audit.ts'
import { beginBlock, endBlock, forgetPrefixSends, prolongBlock, selectBlocks, type PrefixBlockRow } from './queries.ts'
import type { PrefixBlock, PrefixBlockQuery } from './schema.ts'

const blockedHours = 12

/** Blocks the prefix (the first seven digits of a number) for 12 hours, or prolongs its block. Written down once per block. */
export async function blockPrefix (deps: Deps, tx: TenantTx, actor: Actor, prefix: string): Promise<void> {
  const until = new Date(tx.now.getTime() + blockedHours * 3_600_000)
  if (await beginBlock(tx, prefix, until)) await record(deps, tx, actor, { action: 'prefix.blocked', details: { prefix, blockedUntil: until.toISOString() } })
  else await prolongBlock(tx, prefix, until)
}

/** The prefixes that are blocked now, in their own order. */
export async function listPrefixBlocks ({ db, keys }: Deps, { tenantId }: Actor, { limit = 50, cursor }: PrefixBlockQuery): Promise<{ items: PrefixBlock[], nextCursor?: string }> {
  const scope = ['prefix-blocks']
  const after = cursor === undefined ? undefined : positionOf(keys, tenantId, scope, cursor)
  const rows = await db.inTenant(tenantId, (tx) => selectBlocks(tx, after, limit + 1))
  return pageOf(rows, limit, toPrefixBlock, (row) => cursorOf(keys, tenantId, scope, row.prefix))
}

const toPrefixBlock = (row: PrefixBlockRow): PrefixBlock =>
  ({ prefix: row.prefix, blockedAt: row.blocked_at.toISOString(), blockedUntil: row.blocked_until.toISOString() })

/** Lifts a block. The count of its prefix starts anew: else the next send would block it again. */
export async function liftPrefixBlock (deps: Deps, tx: TenantTx, authority: Authority, actor: Actor, prefix: string): Promise<void> {
  authority.requireStepUp(actor, 'fraud.write')
  await forgetPrefixSends(tx, deps.keys.blindIndexes(tx.tenantId, 'prefix', prefix)) // in the order of a send: the count, then the block
  if (!await endBlock(tx, prefix)) throw notFound()
  await record(deps, tx, actor, { action: 'prefixBlock.lifted', details: { prefix } })
}

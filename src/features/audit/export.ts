import { Readable } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'
import { isDatabaseUnavailable } from '../../platform/db/errors.ts'
import type { Actor, Authority, Deps } from '../../platform/deps.ts'
import { errorFields } from '../../platform/log.ts'
import { turns } from '../../platform/turns.ts'
import { record } from './audit.ts'
import { neighbour, selectStretch } from './queries.ts'
import { stretchOf } from './range.ts'
import { filterOf, toAuditEvent } from './read.ts'
import type { AuditFilter } from './schema.ts'

/** Numbers that one statement looks at, however few of them fit the filter: none takes long. */
const stretchNumbers = 1_000n
/** However many exports run, so many read at a time: connections are left for everyone else. */
const inTurn = turns(2)
const triesMax = 5
const retryMs = 500

/**
 * The log as lines, in the order of its numbers, up to and with the row that says of this export. A page is read when
 * the caller has taken the one before, in a transaction of its own; `alive` is called with each. Whoever goes away
 * ends it. A person needs a fresh second factor.
 */
export async function exportAuditEvents (deps: Deps, authority: Authority, actor: Actor, query: AuditFilter, alive: () => void): Promise<Readable> {
  authority.requireStepUp(actor, 'audit.read')
  await deps.db.inTenant(actor.tenantId, (tx) => record(deps, tx, actor, { action: 'audit.exported', details: { filters: Object.keys(query).toSorted() } }))
  await deps.sealAudit(actor.tenantId)
  const { from, to } = filterOf(query)
  const { first, last } = await deps.db.inTenant(actor.tenantId, async (tx) => {
    const stretch = await stretchOf(tx, from, to, 0n)
    const lowest = await neighbour(tx, stretch.first - 1n, 'above') // what was dropped has no rows to look for
    return { ...stretch, first: lowest?.sequence ?? stretch.last + 1n }
  })
  return Readable.from(linesOf(deps, actor, query, first, last, alive), { objectMode: false })
}

async function * linesOf (deps: Deps, { tenantId, requestId }: Actor, query: AuditFilter, first: bigint, last: bigint, alive: () => void): AsyncGenerator<string> {
  const filter = filterOf(query)
  let fault: unknown
  try {
    for (let number = first; number <= last; number += stretchNumbers) {
      const end = number + stretchNumbers - 1n < last ? number + stretchNumbers - 1n : last
      const rows = await patiently(() => inTurn(() => deps.db.inTenant(tenantId, (tx) => selectStretch(tx, filter, { first: number, last: end }))))
      alive()
      if (rows.length > 0) yield rows.map((row) => `${JSON.stringify(toAuditEvent(row))}\n`).join('')
    }
  } catch (error) {
    fault = error
  }
  if (fault === undefined) return
  deps.log.error({ requestId, ...errorFields(fault) }, 'an export ended early')
  throw new Error('The export ended early') // what the database said stays here
}

/** The answer has begun and cannot become an error any more, so that a page is worth some tries. */
async function patiently<T> (work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      if (!isDatabaseUnavailable(error) || attempt === triesMax) throw error
      await pause(retryMs)
    }
  }
}

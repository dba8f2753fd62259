import { setTimeout as pause } from 'node:timers/promises'
import { sql } from 'kysely'
import type { Logger } from 'pino'
import { isDatabaseUnavailable } from '../../platform/db/errors.ts'
import { gather } from '../../platform/db/gather.ts'
import type { TenantTx } from '../../platform/db/index.ts'
import type { WorkerDb } from '../../platform/db/worker.ts'
import type { Keys } from '../../platform/keys.ts'
import { openMessage, type Outcome, type Provider } from './delivery.ts'

const underWayMax = 50
/** So that a carrier that hangs for one tenant leaves room for the messages of the others. */
const underWayPerTenant = 20
const leaseSeconds = 15
const lostClaimsEveryMs = 1_000
/** How often a notice is given to a carrier that may have lost it, or have it: better twice than never. */
const noticeTriesMax = 3

type ClaimedRow = { tenant_id: string, id: string, user_id: string, challenge_id: string | null, channel: string, kind: string, recipient: Buffer, content: Buffer, too_late: boolean }

export interface Dispatch {
  db: WorkerDb
  keys: Keys
  /** The carrier of a tenant, or none. */
  providerOf: (tenantId: string) => Promise<Provider | null>
  /** Of which of these challenges anyone could still use the code, and what becomes of one that was not sent. Handed in: delivery imports no feature. */
  whichWait: (tx: TenantTx, challengeIds: string[]) => Promise<string[]>
  onFailed: (tx: TenantTx, challengeId: string) => Promise<void>
  log: Logger
}

/** Sends what waits. */
export interface Dispatcher {
  /** Claims what there is room for and starts sending it; answers how many, without waiting for the carrier. */
  sweep: () => Promise<number>
  /** Sends everything of a tenant that waits, and answers when it is with the carrier, at the latest after 2 s. */
  catchUp: (tenantId: string) => Promise<void>
  /** Answers when nothing is under way any more. */
  idle: () => Promise<void>
  /** Claims nothing more by itself, and ends what is under way. */
  close: () => Promise<void>
}

/**
 * A row is claimed by one worker, for the length of a lease; a claim that outlives its lease ends `unknown`, because
 * the carrier may have taken it, and is not sent again. A notice is, up to three times, under the same id, by which a
 * carrier can tell. A slow carrier takes up room, never the sweep.
 */
export function createDispatcher (dispatch: Dispatch): Dispatcher {
  const books = booksOf(dispatch)
  const underWay = new Set<Promise<void>>()
  const busy = new Map<string, number>() // sends under way of each tenant
  let left = false // whether more waited than the last claim had room for
  let closed = false
  let lostClaimsDueMs = 0

  async function sweep (): Promise<number> {
    // A wake-up comes with every message; a claim is lost once in a long while.
    if (performance.now() >= lostClaimsDueMs) {
      lostClaimsDueMs = performance.now() + lostClaimsEveryMs
      await endLostClaims(dispatch.db)
    }
    return fill()
  }

  async function fill (): Promise<number> {
    const full = [...busy].filter(([, count]) => count >= underWayPerTenant).map(([tenantId]) => tenantId)
    const room = underWayMax - [...busy.values()].reduce((sum, count) => sum + count, 0)
    const claimed = await claim(dispatch.db, room, full)
    left = full.length > 0 || claimed.length >= Math.min(room, underWayPerTenant)
    for (const row of claimed) {
      busy.set(row.tenant_id, (busy.get(row.tenant_id) ?? 0) + 1)
      const sending = send(row).finally(() => underWay.delete(sending))
      underWay.add(sending)
    }
    return claimed.length
  }

  async function send (row: ClaimedRow): Promise<void> {
    await deliver(dispatch, books, row)
      // The database is away: the lease runs out and the row ends `unknown`.
      .catch((error: unknown) => { dispatch.log.error({ messageId: row.id, error: (error as Error).name }, 'the outcome of a send could not be written') })
    const others = busy.get(row.tenant_id)! - 1
    if (others > 0) busy.set(row.tenant_id, others)
    else busy.delete(row.tenant_id)
    if (left && !closed) await fill().catch(() => undefined) // the next sweep tries again, and says why
  }

  const idle = async () => { while (underWay.size > 0) await Promise.all(underWay) }

  return {
    sweep,
    idle,
    close () { closed = true; return idle() },
    async catchUp (tenantId) {
      const waits = async () => {
        const { rows } = await dispatch.db.acrossTenants((db) => sql`select 1 from messages where tenant_id = ${tenantId} and state = 'queued' limit 1`.execute(db))
        return rows.length > 0 || busy.has(tenantId) // what has been claimed is not with the carrier yet
      }
      for (let round = 0; round < 20 && await waits(); round++) {
        await sweep()
        await Promise.race([idle(), pause(100, undefined, { ref: false })])
      }
    },
  }
}

/**
 * The tenants take turns, those in `full` none: a message waits behind the others of its own tenant only. What is locked
 * and not taken is free again at once.
 */
async function claim (db: WorkerDb, room: number, full: string[]): Promise<ClaimedRow[]> {
  if (room <= 0) return []
  const { rows } = await db.acrossTenants((all) => sql<ClaimedRow>`
    update messages set state = 'sending', tries = tries + 1, lease_until = clock_timestamp() + make_interval(secs => ${leaseSeconds})
     where (tenant_id, id) in (
       with waiting as (
              select tenant_id, id, row_number() over (partition by tenant_id order by queued_at) as turn
                from messages where state = 'queued' and tenant_id <> all (${full}::uuid[])),
            free as (
              select m.tenant_id, m.id, m.queued_at from messages m join waiting w on w.tenant_id = m.tenant_id and w.id = m.id
               where m.state = 'queued' order by w.turn, m.queued_at limit ${4 * room} for update of m skip locked),
            turns as (select free.*, row_number() over (partition by tenant_id order by queued_at) as turn from free)
       select tenant_id, id from turns where turn <= ${underWayPerTenant} order by turn, queued_at limit ${room})
    returning tenant_id, id, user_id, challenge_id, channel, kind, recipient, content, send_before < clock_timestamp() as too_late`.execute(all))
  return rows
}

async function endLostClaims (db: WorkerDb): Promise<void> {
  const again = sql`kind = 'notice' and tries < ${noticeTriesMax}`
  await db.acrossTenants((all) => sql`
    update messages set lease_until = null, state = case when ${again} then 'queued' else 'unknown' end, ended_at = case when ${again} then null else clock_timestamp() end,
           recipient = case when ${again} then recipient end, content = case when ${again} then content end
     where (tenant_id, id) in (select tenant_id, id from messages where state = 'sending' and lease_until < clock_timestamp() for update skip locked)`.execute(all))
}

/** What is read and written for each message, shared by those that come to it together. */
interface Books {
  isWaiting: (tenantId: string, challengeId: string) => Promise<boolean>
  writeOutcome: (row: ClaimedRow, outcome: Outcome) => Promise<void>
}

function booksOf ({ db, whichWait, onFailed }: Dispatch): Books {
  const waiting = gather(async (tenantId, challengeIds) => new Set(await db.inTenant(tenantId, (tx) => whichWait(tx, challengeIds))))
  const write = gather((tenantId, ends) => db.inTenant(tenantId, async (tx) => {
    const written = Map.groupBy(ends.map((end) => JSON.parse(end) as [id: string, outcome: Outcome]), ([, outcome]) => outcome)
    for (const [outcome, those] of written) await endMessages(tx, those.map(([id]) => id), outcome)
  }))
  return {
    isWaiting: async (tenantId, challengeId) => (await waiting(tenantId, [challengeId])).has(challengeId),
    writeOutcome ({ tenant_id: tenantId, id, challenge_id: challengeId }, outcome) {
      if (outcome !== 'failed' || challengeId === null) return write(tenantId, [JSON.stringify([id, outcome])])
      return db.inTenant(tenantId, async (tx) => { if (await endMessages(tx, [id], outcome) > 0) await onFailed(tx, challengeId) })
    },
  }
}

/** Writes how messages ended; answers how many had not ended before. */
async function endMessages ({ db, tenantId, now }: TenantTx, ids: string[], outcome: Outcome): Promise<number> {
  const { numUpdatedRows } = await db.updateTable('messages').set({ state: outcome, ended_at: now, recipient: null, content: null, lease_until: null })
    .where('tenant_id', '=', tenantId).where('id', 'in', ids.toSorted()).where('state', '=', 'sending').executeTakeFirst()
  return Number(numUpdatedRows)
}

async function deliver (dispatch: Dispatch, books: Books, row: ClaimedRow): Promise<void> {
  let send: (() => Promise<Outcome>) | undefined
  try {
    send = await prepare(dispatch, books, row)
  } catch (error) {
    if (isDatabaseUnavailable(error)) return putBack(dispatch.db, row)
    dispatch.log.error({ messageId: row.id, error: (error as Error).name }, 'a message could not be prepared')
  }
  let outcome: Outcome = 'failed'
  try {
    if (send) outcome = await send()
  } catch (error) {
    // Not knowing where it broke, nobody may say that it was not sent.
    dispatch.log.error({ messageId: row.id, error: (error as Error).name }, 'a carrier broke')
    outcome = 'unknown'
  }
  await books.writeOutcome(row, outcome)
}

/** Everything up to the carrier: what fails in here was surely not sent. Nothing where there is no carrier, or no use any more. */
async function prepare ({ keys, providerOf }: Dispatch, books: Books, row: ClaimedRow): Promise<(() => Promise<Outcome>) | undefined> {
  const { challenge_id: challengeId } = row
  if (row.too_late || (challengeId !== null && !await books.isWaiting(row.tenant_id, challengeId))) return undefined
  const provider = await providerOf(row.tenant_id)
  const message = openMessage(keys, row)
  return provider ? () => provider(message) : undefined
}

/** No carrier has seen it: the next sweep tries again. */
async function putBack (db: WorkerDb, row: ClaimedRow): Promise<void> {
  await db.acrossTenants((all) => sql`
    update messages set state = 'queued', lease_until = null where tenant_id = ${row.tenant_id} and id = ${row.id} and state = 'sending'`.execute(all))
}

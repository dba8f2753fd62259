import type { TenantTx } from '../../platform/db/index.ts'
import type { Actor, Deps } from '../../platform/deps.ts'
import { countRefusal, insertEvent, startCounting, type EventRow } from './queries.ts'

/** Who did it: a caller, with the proof that came with the request and whoever approved it, the operator at a command line, or the service itself. */
export type AuditActor = Pick<Actor, 'kind' | 'subject' | 'requestId' | 'proof' | 'approvedBy'> | { kind: 'operator' | 'system', subject: string, requestId: null }

export interface AuditEntry {
  action: string
  /** The user it is about. */
  userId?: string | null
  outcome?: 'done' | 'refused'
  /** Ids, names of fields, counts. Never a number, an address, a code or a token. */
  details?: Record<string, unknown>
}

/** What `row_mac` covers: every column, in this order, null told apart from empty. Times in milliseconds, so that even `infinity` has a text. */
export const signedParts = (row: Omit<EventRow, 'row_mac' | 'mac_key_version'>): string[] =>
  [row.tenant_id, row.id, String(row.at.valueOf()), row.actor_kind, row.actor, row.action, row.outcome, row.user_id, row.request_id, row.details]
    .map((part) => part === null ? '-' : `=${part}`)

/** A signed audit row, ready to insert. Of a proof that fitted the caller it names the challenge; of what waited, who approved it. */
export function eventOf ({ keys, random }: Pick<Deps, 'keys' | 'random'>, tenantId: string, at: Date, actor: AuditActor, entry: AuditEntry): EventRow {
  const proof = 'proof' in actor && typeof actor.proof === 'object' ? { proof: actor.proof.challengeId } : {}
  const approved = 'approvedBy' in actor && actor.approvedBy ? actor.approvedBy : {}
  const row = {
    tenant_id: tenantId, id: random.uuid(), at, actor_kind: actor.kind, actor: actor.subject, action: entry.action,
    outcome: entry.outcome ?? 'done', user_id: entry.userId ?? null, request_id: actor.requestId, details: JSON.stringify({ ...entry.details, ...proof, ...approved }),
  }
  return { ...row, mac_key_version: keys.newest, row_mac: keys.mac('audit', tenantId, ['row', ...signedParts(row)]) }
}

/** Writes the audit row of a change into the change's own transaction. */
export async function record (deps: Pick<Deps, 'keys' | 'random'>, tx: TenantTx, actor: AuditActor, entry: AuditEntry): Promise<void> {
  await insertEvent(tx.db, eventOf(deps, tx.tenantId, tx.now, actor, entry))
}

/** What `chain_mac` covers: the seal's number, the seal before it, when it was made, and the row. */
export const sealedParts = (seal: { sequence: string, sealed_at: Date }, before: Buffer, event: { id: string, row_mac: Buffer }): string[] =>
  ['chain', seal.sequence, before.toString('hex'), String(seal.sealed_at.valueOf()), event.id, event.row_mac.toString('hex')]

/** Stands before the first seal of a tenant. */
export const chainStart = Buffer.alloc(32)

/** Free text for an audit row: whatever looks like a number or an address is taken out. */
export const withoutPersonalData = (text: string): string =>
  text.normalize('NFKC').replace(/\S+\s*@\s*\S+/g, '•••').replace(/\+?\p{Nd}(?:[^\p{L}\p{Nd}]{0,3}\p{Nd}){3,}/gu, '•••')

const countedSeconds = 60

/**
 * Writes a refusal of authority, in a transaction of its own. The same one (caller, action, user, rule) is written at
 * most once a minute; those between are counted, and the next row or the sweep says how many there were.
 */
export async function recordRefusal (deps: Deps, actor: AuditActor, tenantId: string, entry: AuditEntry): Promise<void> {
  const fingerprint = deps.keys.mac('audit', tenantId, ['refusal', actor.kind, actor.subject, entry.action, entry.userId ?? '', JSON.stringify(entry.details ?? {})], deps.keys.oldest)
  const event = JSON.stringify({ actor: { kind: actor.kind, subject: actor.subject }, entry })
  await gathered(`${tenantId} ${fingerprint.toString('base64')}`, (times) => deps.db.inTenant(tenantId, async (tx) => {
    const refused = (count: number) => record(deps, tx, actor, { ...entry, outcome: 'refused', details: { ...entry.details, ...(count > 1 && { count }) } })
    for (;;) {
      if (await startCounting(tx, fingerprint, event, times - 1)) return refused(1)
      const held = await countRefusal(tx, fingerprint, countedSeconds, times)
      if (!held) continue // the sweep has just written and removed it
      return held.due ? refused(held.uncounted + times) : undefined
    }
  }))
}

const writing = new Map<string, Promise<void>>()
const waiting = new Map<string, { times: number, written: Promise<void> }>()

/**
 * Counts what comes while the same refusal is being written, and writes it together: one row is counted by one at a
 * time, and whoever repeats a refusal at speed would hold every connection with waiting for it.
 */
function gathered (name: string, write: (times: number) => Promise<void>): Promise<void> {
  const together = waiting.get(name)
  if (together) { together.times++; return together.written }
  const before = writing.get(name)
  const batch = { times: 1, written: Promise.resolve() }
  if (before) waiting.set(name, batch)
  batch.written = (before ?? batch.written).catch(() => undefined).then(() => {
    waiting.delete(name)
    writing.set(name, batch.written)
    return write(batch.times)
  }).finally(() => { if (writing.get(name) === batch.written) writing.delete(name) })
  if (!before) writing.set(name, batch.written)
  return batch.written
}

import { setTimeout as pause } from 'node:timers/promises'
import { sql } from 'kysely'
import type { TenantTx } from '../../platform/db/index.ts'
import type { Actor, Deps } from '../../platform/deps.ts'
import type { Keys } from '../../platform/keys.ts'
import { lookupEmail } from '../../platform/addresses/email.ts'
import { notFound } from '../../platform/refusal.ts'
import { turns } from '../../platform/turns.ts'
import { record } from '../audit/audit.ts'
import type { Content, Recipient } from '../delivery/delivery.ts'
import { inboxContext } from './provider.ts'
import { selectMessages, type InboxRow } from './queries.ts'
import type { MessageQuery, SandboxClock, SandboxFault, SandboxMessage, SandboxTime } from './schema.ts'

const pollMs = 100
/** However many wait for a message, so many look at a time: connections are left for everyone else. */
const inTurn = turns(3)

/** Outside a sandbox, or where the operator does not allow one, these routes are not there. */
export function requireSandbox (actor: Actor, allowed: boolean): void {
  if (!actor.sandbox || !allowed) throw notFound()
}

/** Messages, newest first; with `waitSeconds` it answers as soon as there is one. No connection is held while waiting. */
export async function readMessages (deps: Deps, actor: Actor, query: MessageQuery): Promise<{ items: SandboxMessage[] }> {
  const { keys, db } = deps
  const indexes = query.to === undefined ? undefined : indexesOf(keys, actor.tenantId, query.to)
  const filter = { indexes, channel: query.channel, challengeId: query.challengeId, limit: query.limit ?? 50 }
  const until = performance.now() + (query.waitSeconds ?? 0) * 1000
  for (;;) {
    const look = () => db.inTenant(actor.tenantId, (tx) => selectMessages(tx, filter))
    const rows = await (query.waitSeconds ? inTurn(look) : look())
    if (rows.length > 0 || performance.now() >= until) return { items: rows.map((row) => toMessage(keys, row)) }
    await pause(pollMs)
  }
}

const indexesOf = (keys: Keys, tenantId: string, to: string) =>
  to.includes('@') ? keys.blindIndexes(tenantId, 'email', lookupEmail(to)) : keys.blindIndexes(tenantId, 'phone', to.trim())

function toMessage (keys: Keys, row: InboxRow): SandboxMessage {
  const recipient = JSON.parse(keys.open('message', row.tenant_id, inboxContext(row.id, 'recipient'), row.recipient)) as Recipient
  const { subject, body, code } = JSON.parse(keys.open('message', row.tenant_id, inboxContext(row.id, 'content'), row.content)) as Content
  return {
    id: row.id, to: recipient.to, ...(recipient.extension !== null && { extension: recipient.extension }), channel: row.channel as SandboxMessage['channel'],
    kind: row.kind as SandboxMessage['kind'], ...(subject !== null && { subject }), body, ...(code !== null && { code }),
    ...(row.challenge_id !== null && { challengeId: row.challenge_id }), createdAt: row.created_at.toISOString(),
  }
}

/** Moves the tenant's clock and answers when the work that is due by then is done. */
export async function moveClock (deps: Deps, actor: Actor, { offsetSeconds }: SandboxClock): Promise<SandboxTime> {
  await deps.db.inTenant(actor.tenantId, async (tx) => {
    await tx.db.updateTable('tenants').set({ clock_offset_seconds: offsetSeconds }).where('tenant_id', '=', tx.tenantId).execute()
    await record(deps, tx, actor, { action: 'sandbox.clockMoved', details: { offsetSeconds } })
  })
  await deps.catchUp(actor.tenantId)
  return readClock(deps, actor)
}

export async function readClock ({ db }: Deps, { tenantId }: Actor): Promise<SandboxTime> {
  return db.inTenant(tenantId, async (tx: TenantTx) => {
    const { rows: [row] } = await sql<{ clock_offset_seconds: number }>`select clock_offset_seconds from tenants where tenant_id = ${tenantId}`.execute(tx.db)
    return { offsetSeconds: row!.clock_offset_seconds, now: tx.now.toISOString() }
  })
}

/** Makes the sandbox's carrier fail on a channel, or work again. */
export async function setFault (deps: Deps, actor: Actor, { channel, mode }: SandboxFault): Promise<SandboxFault> {
  await deps.db.inTenant(actor.tenantId, async (tx) => {
    await tx.db.deleteFrom('sandbox_faults').where('tenant_id', '=', tx.tenantId).where('channel', '=', channel).execute()
    if (mode !== 'none') {
      await tx.db.insertInto('sandbox_faults').values({ tenant_id: tx.tenantId, channel, mode })
        .onConflict((conflict) => conflict.columns(['tenant_id', 'channel']).doUpdateSet({ mode })).execute()
    }
    await record(deps, tx, actor, { action: 'sandbox.faultSet', details: { channel, mode } })
  })
  return { channel, mode }
}

import { setTimeout as pause } from 'node:timers/promises'
import { gather } from '../../platform/db/gather.ts'
import type { TenantTx } from '../../platform/db/index.ts'
import type { WorkerDb } from '../../platform/db/worker.ts'
import { lookupEmail } from '../../platform/addresses/email.ts'
import type { Keys } from '../../platform/keys.ts'
import type { Message, Outcome, Provider } from '../delivery/delivery.ts'

const slowMs = 2_000
const silentMs = 5_000

/** The same address in any spelling finds the same messages. */
export const inboxIndex = (keys: Keys, tenantId: string, to: string) =>
  keys.blindIndex(tenantId, to.includes('@') ? 'email' : 'phone', to.includes('@') ? lookupEmail(to) : to)

export const inboxContext = (id: string, field: 'recipient' | 'content') => ['sandbox', id, field]

/**
 * The carrier of a sandbox: an inbox in the database. A number ending in 98 is refused; one ending in 99 is taken and
 * never answered, so that its outcome is unknown. Faults that a test has set come first.
 */
export function sandboxProvider (db: WorkerDb, keys: Keys): Provider {
  const underWay = new Map<string, Message>()
  /** What comes together goes into the inbox together; answers how each fares. */
  const take = gather((tenantId, ids) => db.inTenant(tenantId, async (tx) => {
    const faults = await tx.db.selectFrom('sandbox_faults').select(['channel', 'mode']).where('tenant_id', '=', tenantId).execute()
    const modes = new Map(ids.map((id) => {
      const message = underWay.get(id)!
      return [id, faults.find(({ channel }) => channel === message.channel)?.mode ?? modeOfNumber(message)]
    }))
    await putIntoInbox(tx, keys, ids.filter((id) => modes.get(id) !== 'error' && modes.get(id) !== 'slow').map((id) => underWay.get(id)!))
    return modes
  }))
  return async (message) => {
    underWay.set(message.id, message)
    const modes = await take(message.tenantId, [message.id]).finally(() => underWay.delete(message.id))
    const mode = modes.get(message.id)
    if (mode === 'error') return 'failed'
    if (mode === 'slow') {
      await pause(slowMs)
      await db.inTenant(message.tenantId, (tx) => putIntoInbox(tx, keys, [message]))
    }
    if (mode === 'timeout') { await pause(silentMs); return 'unknown' }
    return 'sent' satisfies Outcome
  }
}

function modeOfNumber ({ channel, recipient: { to } }: Message): 'error' | 'timeout' | undefined {
  if (channel === 'email') return undefined
  return to.endsWith('98') ? 'error' : to.endsWith('99') ? 'timeout' : undefined
}

async function putIntoInbox ({ db, now }: TenantTx, keys: Keys, messages: Message[]): Promise<void> {
  if (messages.length === 0) return
  await db.insertInto('sandbox_messages').values(messages.map(({ id, tenantId, userId, channel, kind, recipient, content, challengeId }) => ({
    tenant_id: tenantId, id, user_id: userId, channel, kind, challenge_id: challengeId, created_at: now,
    recipient: keys.seal('message', tenantId, inboxContext(id, 'recipient'), JSON.stringify(recipient)),
    recipient_index: inboxIndex(keys, tenantId, recipient.to),
    content: keys.seal('message', tenantId, inboxContext(id, 'content'), JSON.stringify(content)),
  }))).onConflict((conflict) => conflict.doNothing()).execute()
}

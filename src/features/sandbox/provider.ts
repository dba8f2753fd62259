import { setTimeout as pause } from 'node:timers/promises'
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
  return async (message) => {
    const mode = await db.inTenant(message.tenantId, async (tx) => {
      const fault = await tx.db.selectFrom('sandbox_faults').select('mode').where('tenant_id', '=', message.tenantId).where('channel', '=', message.channel).executeTakeFirst()
      const found = fault?.mode ?? modeOfNumber(message)
      if (found !== 'error' && found !== 'slow') await putIntoInbox(tx, keys, message)
      return found
    })
    if (mode === 'error') return 'failed'
    if (mode === 'slow') {
      await pause(slowMs)
      await db.inTenant(message.tenantId, (tx) => putIntoInbox(tx, keys, message))
    }
    if (mode === 'timeout') { await pause(silentMs); return 'unknown' }
    return 'sent' satisfies Outcome
  }
}

function modeOfNumber ({ channel, recipient: { to } }: Message): 'error' | 'timeout' | undefined {
  if (channel === 'email') return undefined
  return to.endsWith('98') ? 'error' : to.endsWith('99') ? 'timeout' : undefined
}

async function putIntoInbox ({ db, now }: TenantTx, keys: Keys, { id, tenantId, userId, channel, kind, recipient, content, challengeId }: Message): Promise<void> {
  await db.insertInto('sandbox_messages').values({
    tenant_id: tenantId, id, user_id: userId, channel, kind, challenge_id: challengeId, created_at: now,
    recipient: keys.seal('message', tenantId, inboxContext(id, 'recipient'), JSON.stringify(recipient)),
    recipient_index: inboxIndex(keys, tenantId, recipient.to),
    content: keys.seal('message', tenantId, inboxContext(id, 'content'), JSON.stringify(content)),
  }).onConflict((conflict) => conflict.doNothing()).execute()
}

import { sql } from 'kysely'
import type { TenantTx } from '../../platform/db/index.ts'
import type { Deps } from '../../platform/deps.ts'
import type { Keys } from '../../platform/keys.ts'
import type { MessageChannel } from '../../vocabulary.ts'

/** Where a message goes. `extension` is dialled after the call is answered. */
export interface Recipient { to: string, extension: string | null }

/** What a message says. `code` stands apart so that a voice call can read it digit by digit. */
export interface Content { subject: string | null, body: string, code: string | null }

export interface Message {
  id: string
  tenantId: string
  userId: string
  challengeId: string | null
  channel: MessageChannel
  kind: 'code' | 'notice'
  recipient: Recipient
  content: Content
}

/**
 * What a carrier did with a message: took it, surely did not take it, or nobody knows. An unknown send is never
 * repeated by itself.
 */
export type Outcome = 'sent' | 'failed' | 'unknown'

/** A carrier. It must end within its own time limit and never throw what it was given. */
export type Provider = (message: Message) => Promise<Outcome>

export const recipientContext = (id: string) => [id, 'recipient']
export const contentContext = (id: string) => [id, 'content']

/** A sealed message, ready to be written in the transaction of what it belongs to (`write_send`); a worker sends it after the commit. */
export function messageRow ({ keys, random }: Pick<Deps, 'keys' | 'random'>, tenantId: string, message: Omit<Message, 'id' | 'tenantId'>) {
  const id = random.uuid()
  return {
    tenant_id: tenantId, id, user_id: message.userId, challenge_id: message.challengeId, channel: message.channel, kind: message.kind,
    recipient: keys.seal('message', tenantId, recipientContext(id), JSON.stringify(message.recipient)),
    content: keys.seal('message', tenantId, contentContext(id), JSON.stringify(message.content)),
  }
}

/** Writes sealed messages that belong to no challenge; a worker sends them after the commit, unless it comes to that too late. */
export async function queueMessages ({ db, now }: TenantTx, rows: Array<ReturnType<typeof messageRow>>, usefulHours: number): Promise<void> {
  if (rows.length === 0) return
  await db.insertInto('messages').values(rows.map((row) => ({ ...row, created_at: now, send_before: sql<Date>`clock_timestamp() + make_interval(hours => ${usefulHours})` }))).execute()
}

/** A queued message whose challenge was cancelled is not sent; one already with the carrier cannot be called back. */
export async function withdrawMessages ({ db, tenantId, now }: TenantTx, challengeIds: string[]): Promise<void> {
  if (challengeIds.length === 0) return
  await db.updateTable('messages').set({ state: 'failed', ended_at: now, recipient: null, content: null })
    .where('tenant_id', '=', tenantId).where('challenge_id', 'in', challengeIds).where('state', '=', 'queued').execute()
}

export function openMessage (keys: Keys, row: { tenant_id: string, id: string, user_id: string, challenge_id: string | null, channel: string, kind: string, recipient: Buffer | null, content: Buffer | null }): Message {
  return {
    id: row.id, tenantId: row.tenant_id, userId: row.user_id, challengeId: row.challenge_id, channel: row.channel as MessageChannel, kind: row.kind as Message['kind'],
    recipient: JSON.parse(keys.open('message', row.tenant_id, recipientContext(row.id), row.recipient!)) as Recipient,
    content: JSON.parse(keys.open('message', row.tenant_id, contentContext(row.id), row.content!)) as Content,
  }
}

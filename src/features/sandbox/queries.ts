import type { Selectable } from 'kysely'
import type { TenantTx } from '../../platform/db/index.ts'
import type { SandboxMessages } from '../../platform/db/schema.ts'

export type InboxRow = Selectable<SandboxMessages>

interface InboxFilter { indexes?: Buffer[] | undefined, channel?: string | undefined, challengeId?: string | undefined, limit: number }

export function selectMessages ({ db, tenantId }: TenantTx, { indexes, channel, challengeId, limit }: InboxFilter): Promise<InboxRow[]> {
  let query = db.selectFrom('sandbox_messages').selectAll().where('tenant_id', '=', tenantId)
  if (indexes !== undefined) query = query.where('recipient_index', 'in', indexes)
  if (channel !== undefined) query = query.where('channel', '=', channel)
  if (challengeId !== undefined) query = query.where('challenge_id', '=', challengeId)
  return query.orderBy('arrived', 'desc').limit(limit).execute()
}

import { sql, type Insertable, type Selectable } from 'kysely'
import type { TenantTx } from '../../platform/db/index.ts'
import type { NoticeLinks } from '../../platform/db/schema.ts'

type LinkRow = Selectable<NoticeLinks>

export async function insertLinks ({ db }: TenantTx, rows: Array<Insertable<NoticeLinks>>): Promise<void> {
  if (rows.length > 0) await db.insertInto('notice_links').values(rows).execute()
}

/** A link with whether it can be used: not over, not used, of the user's present epoch. */
export async function selectLink ({ db, tenantId, now }: TenantTx, linkId: string): Promise<LinkRow & { open: boolean } | undefined> {
  const { rows: [row] } = await sql<LinkRow & { open: boolean }>`
    select l.*, l.used_at is null and l.expires_at > ${now} and l.mfa_epoch = u.mfa_epoch and u.status <> 'offboarded' as open
      from notice_links l join users u on u.tenant_id = l.tenant_id and u.user_id = l.user_id
     where l.tenant_id = ${tenantId} and l.id = ${linkId}`.execute(db)
  return row
}

/** Exactly one of several uses at once gets the row; nothing where it is over, used or of another epoch. */
export async function useLinkOnce ({ db }: TenantTx, linkId: string): Promise<LinkRow | undefined> {
  const { rows: [row] } = await sql<LinkRow>`select * from use_notice_link(${linkId})`.execute(db)
  return row
}

/** Takes so many of today's notices, all or none. */
export async function takeNotices ({ db }: TenantTx, count: number, perDay: number): Promise<boolean> {
  const { rows: [row] } = await sql<{ taken: boolean }>`select take_notices(${count}, ${perDay}) as taken`.execute(db)
  return row!.taken
}

/** True for the first of the day that finds today's notices used up. */
export async function noteUsedUp ({ db }: TenantTx): Promise<boolean> {
  const { rows: [row] } = await sql<{ first: boolean }>`select note_notices_used_up() as first`.execute(db)
  return row!.first
}

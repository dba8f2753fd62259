import type { TenantTx } from '../../platform/db/index.ts'
import type { Deps } from '../../platform/deps.ts'
import { messageRow, queueMessages } from '../delivery/delivery.ts'
import type { MessageChannel } from '../../vocabulary.ts'
import { linkHours, tokenOf, type Undo } from './links.ts'
import { insertLinks, noteUsedUp, takeNotices } from './queries.ts'
import { noticeContent, type NoticeDetails, type NoticeKind } from './texts.ts'

export type { NoticeDetails, NoticeKind }

/** Where a notice goes. `display` is the mask. */
export interface Address {
  channel: MessageChannel
  to: string
  extension: string | null
  display: string
  /** The method that it is; null for the sign-in e-mail and for a contact of the organisation. */
  methodId: string | null
  /** What the link of this address brings back instead of freezing the user: of the old contact of a change. */
  undo?: Undo
}

export interface Notice {
  userId: string
  kind: NoticeKind
  details: NoticeDetails
  /** Whose language it is in. */
  locale: string
  organization: string | null
  /** The epoch of the user as it is now: a later reset makes the links worthless. */
  epoch: number
  /** Whether it carries a "this was not me" link. */
  link: boolean
  /** Whether somebody else is told about the user. */
  aboutOther: boolean
  /** How many notices the tenant may send a day; null where this one must go out whatever was sent. */
  perDay: number | null
}

/** What telling someone takes. */
export type NoticeDeps = Pick<Deps, 'keys' | 'random' | 'publicUrl' | 'wake'>

/** Whether a notice was written; else whether it was the first of the day that was not. */
export type Notified = { sent: true } | { sent: false, first: boolean }

/**
 * Writes a notice to each address into the transaction of what it tells, sealed; the workers send it. Notices have a
 * budget of their own, so that codes cannot use it up; a flood of changes cannot send without end either.
 */
export async function notify (deps: NoticeDeps, tx: TenantTx, notice: Notice, addresses: readonly Address[]): Promise<Notified> {
  if (addresses.length === 0) return { sent: true }
  if (notice.perDay !== null && !await takeNotices(tx, addresses.length, notice.perDay)) return { sent: false, first: await noteUsedUp(tx) }
  const expiresAt = new Date(tx.now.getTime() + linkHours * 3_600_000)
  const links = addresses.map(({ methodId, undo, channel }) => notice.link && channel !== 'voice'
    ? {
        tenant_id: tx.tenantId, id: deps.random.uuid(), user_id: notice.userId, kind: notice.kind, mfa_epoch: notice.epoch, created_at: tx.now, expires_at: expiresAt,
        ...(undo && { ...undo, method_id: methodId, reverts: true }),
      }
    : null)
  await insertLinks(tx, links.filter((link) => link !== null))
  await queueMessages(tx, addresses.map(({ channel, to, extension }, index) => {
    const link = links[index]
    const wording = { ...notice, at: tx.now, about: notice.aboutOther ? notice.userId : null }
    const linked = link ? { url: `${deps.publicUrl}/not-me/${tokenOf(deps.keys, tx.tenantId, link.id)}`, reverts: 'reverts' in link, hours: linkHours } : null
    return messageRow(deps, tx.tenantId, { userId: notice.userId, challengeId: null, channel, kind: 'notice', recipient: { to, extension }, content: noticeContent(channel, wording, linked) })
  }), linkHours)
  tx.afterCommit(() => deps.wake('deliver'))
  return { sent: true }
}

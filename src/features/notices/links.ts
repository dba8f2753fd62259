import { timingSafeEqual } from 'node:crypto'
import type { Selectable } from 'kysely'
import type { TenantTx } from '../../platform/db/index.ts'
import type { NoticeLinks } from '../../platform/db/schema.ts'
import type { Keys } from '../../platform/keys.ts'
import { notFound, Refusal } from '../../platform/refusal.ts'
import { selectLink, useLinkOnce } from './queries.ts'

export type LinkRow = Selectable<NoticeLinks>

export const linkHours = 72

/** The value that a link brings back, as its columns were: still sealed. */
export type Undo = Pick<LinkRow, 'value' | 'value_index' | 'destination_index' | 'extension' | 'country' | 'line_type' | 'verified_at' | 'pre_verified'>

/** What a link does when it is used. */
export type Deed = 'revert' | 'freeze'

const [versionBytes, idBytes, macBytes] = [2, 16, 17] // 51 in all: base64url without a bit to spare
const bytesOf = (id: string) => Buffer.from(id.replaceAll('-', ''), 'hex')
const idOf = (bytes: Buffer) => bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')

/** Under a key of its own for all tenants: a token says its tenant itself, and is checked before that is believed. */
const signatureOf = (keys: Keys, tenantId: string, linkId: string, version: number) => keys.mac('link', 'every-tenant', [tenantId, linkId], version).subarray(0, macBytes)

/** The token of a link: key version, tenant, link and a signature of 136 bits. Whom it is for, and their epoch, its row says. */
export function tokenOf (keys: Keys, tenantId: string, linkId: string): string {
  const version = Buffer.alloc(versionBytes)
  version.writeUInt16BE(keys.newest)
  return Buffer.concat([version, bytesOf(tenantId), bytesOf(linkId), signatureOf(keys, tenantId, linkId, keys.newest)]).toString('base64url')
}

/** What a token names; 404 unless every bit is as it was signed. No guess reaches the database. */
export function readToken (keys: Keys, token: string): { tenantId: string, linkId: string } {
  const bytes = Buffer.from(token, 'base64url')
  if (bytes.length !== versionBytes + 2 * idBytes + macBytes || bytes.toString('base64url') !== token) throw notFound()
  const version = bytes.readUInt16BE(0)
  const tenantId = idOf(bytes.subarray(versionBytes, versionBytes + idBytes))
  const linkId = idOf(bytes.subarray(versionBytes + idBytes, versionBytes + 2 * idBytes))
  if (!keys.knows(version) || !timingSafeEqual(signatureOf(keys, tenantId, linkId, version), bytes.subarray(-macBytes))) throw notFound()
  return { tenantId, linkId }
}

const linkExpired = () => new Refusal('link_expired', 'The link was used, its time is over, or the user was reset since.')

/** A link that can still be used: 404 if it is forgotten, 410 if it is over, used or of another epoch. Changes nothing. */
export async function openLink (tx: TenantTx, linkId: string): Promise<LinkRow> {
  const row = await selectLink(tx, linkId)
  if (!row) throw notFound()
  if (!row.open) throw linkExpired()
  return row
}

/** Uses a link: of several uses at once one gets it, the others 410. The user must be locked. */
export async function spendLink (tx: TenantTx, linkId: string): Promise<LinkRow> {
  const row = await useLinkOnce(tx, linkId)
  if (!row) throw linkExpired()
  return row
}

import type { Keys } from '../keys.ts'
import { Refusal } from '../refusal.ts'

/** What a cursor is bound to beside the tenant: the list and its filters. */
export type CursorScope = readonly (string | undefined)[]

const named = (scope: CursorScope) => scope.map((part) => part === undefined ? '-' : `=${part}`)

/** An opaque, signed position in a list. */
export function cursorOf (keys: Keys, tenantId: string, scope: CursorScope, position: string): string {
  return written(keys.newest, position, keys.mac('cursor', tenantId, [...named(scope), position], keys.newest))
}

const written = (version: number, position: string, mac: Buffer) =>
  Buffer.from(JSON.stringify([version, position, mac.toString('base64url')])).toString('base64url')

/** The position in a cursor of exactly this tenant, list and filters; else `invalid_cursor`. */
export function positionOf (keys: Keys, tenantId: string, scope: CursorScope, cursor: string): string {
  try {
    const [version, position, mac] = JSON.parse(Buffer.from(cursor, 'base64url').toString()) as [unknown, unknown, unknown]
    if (typeof version === 'number' && typeof position === 'string' && typeof mac === 'string') {
      const given = Buffer.from(mac, 'base64url')
      // Base64 forgives characters and bits that mean nothing; a cursor with any of them is not the one that was given out.
      if (keys.macMatches('cursor', tenantId, [...named(scope), position], version, given) && written(version, position, given) === cursor) return position
    }
  } catch { /* not ours */ }
  throw new Refusal('invalid_cursor', 'The cursor does not belong to this list. Start again without one.')
}

/** One page: `rows` holds one more than `limit` if there is more. */
export function pageOf<Row, Item> (rows: readonly Row[], limit: number, toItem: (row: Row) => Item, cursorAfter: (row: Row) => string): { items: Item[], nextCursor?: string } {
  const page = rows.slice(0, limit)
  const last = page.at(-1)
  return { items: page.map(toItem), ...(rows.length > limit && last !== undefined && { nextCursor: cursorAfter(last) }) }
}

import type { Actor, Authority, Deps, LimitCaller } from '../../platform/deps.ts'
import { lookupEmail, parseEmail } from '../../platform/addresses/email.ts'
import { parsePhone } from '../../platform/addresses/phone.ts'
import { cursorOf, pageOf, positionOf } from '../../platform/http/paging.ts'
import type { TenantTx } from '../../platform/db/index.ts'
import { Refusal } from '../../platform/refusal.ts'
import { selectUsers, selectUsersByValue } from './queries.ts'
import type { User, UserListQuery, UserSearch } from './schema.ts'
import { record } from '../audit/audit.ts'
import { knownUser, toUser } from './users.ts'

type Page = { items: User[], nextCursor?: string }

/** One user; the sign-in e-mail in full only for who may see it. A reveal is counted and audited. */
export async function readUser (deps: Deps, authority: Authority, actor: Actor, userId: string, reveal: boolean, limitCaller: LimitCaller): Promise<User> {
  return deps.db.inTenant(actor.tenantId, async (tx) => {
    const row = await knownUser(tx, userId)
    const shown = authority.valuesShown(actor, userId, reveal)
    if (shown === 'revealed') {
      await limitCaller(tx, actor, 'reveal')
      await record(deps, tx, actor, { action: 'user.revealed', userId, details: { fields: ['signInEmail'] } })
    }
    return toUser(deps.keys, row, shown !== 'masked')
  })
}

/** Users by id or start of the name, in the order of their ids. */
export async function listUsers ({ db, keys }: Deps, { tenantId }: Actor, { search, limit = 50, cursor }: UserListQuery): Promise<Page> {
  const scope = ['users', search]
  const after = cursor === undefined ? undefined : positionOf(keys, tenantId, scope, cursor)
  const rows = await db.inTenant(tenantId, (tx) => selectUsers(tx, search, after, limit + 1))
  return pageOf(rows, limit, (row) => toUser(keys, row, false), (row) => cursorOf(keys, tenantId, scope, row.user_id))
}

const foundMax = 200

/** Users who have exactly this number or address, found by its blind index. A search that finds nobody counts like any other. */
export async function searchUsers ({ db, keys }: Deps, actor: Actor, input: UserSearch, defaultCountry: (tx: TenantTx) => Promise<string | null>, limitCaller: LimitCaller): Promise<Page> {
  const { tenantId } = actor
  if ((input.phone === undefined) === (input.email === undefined)) {
    throw new Refusal('validation_failed', 'The body does not fit the schema.', { errors: [{ pointer: '', code: 'oneOf', message: 'must have exactly one of phone and email' }] })
  }
  if (input.country !== undefined && input.email !== undefined) {
    throw new Refusal('validation_failed', 'The body does not fit the schema.', { errors: [{ pointer: '/country', code: 'not_allowed', message: 'is only for a phone' }] })
  }
  return db.inTenant(tenantId, async (tx) => {
    const indexes = input.email === undefined
      ? keys.blindIndexes(tenantId, 'phone', numberOf(input, await defaultCountry(tx)))
      : keys.blindIndexes(tenantId, 'email', lookupEmail(addressOf(input.email)))
    await limitCaller(tx, actor, 'search')
    const rows = await selectUsersByValue(tx, indexes, foundMax)
    return { items: rows.map((row) => toUser(keys, row, false)) }
  })
}

function numberOf ({ phone, country }: UserSearch, defaultCountry: string | null): string {
  const parsed = parsePhone(phone!, { ...(country !== undefined && { country }), defaultCountry })
  if ('phone' in parsed) return parsed.phone.e164
  throw new Refusal(parsed.fault, parsed.detail, { errors: [{ pointer: '/phone', code: parsed.fault, message: parsed.detail }] })
}

function addressOf (email: string): string {
  const parsed = parseEmail(email)
  if ('email' in parsed) return parsed.email.typed
  throw new Refusal(parsed.fault, parsed.detail, { errors: [{ pointer: '/email', code: parsed.fault, message: parsed.detail }] })
}

import type { TenantTx } from '../../platform/db/index.ts'
import type { Actor, Deps } from '../../platform/deps.ts'
import { cursorOf, pageOf, positionOf } from '../../platform/http/paging.ts'
import { notFound } from '../../platform/refusal.ts'
import { record } from '../audit/audit.ts'
import { enroll, refuseUnlessWelcome, usesAdministrativeRole } from '../authority/admission.ts'
import { valuesShown } from '../authority/authority.ts'
import { limitCaller } from '../limits/callers.ts'
import { policyInForce } from '../policy/policy.ts'
import { knownUser } from '../users/users.ts'
import { knownMethod, toContactMethod } from './contact-methods.ts'
import { readMethods, selectMethods, type HotRow, type ShownRow } from './queries.ts'
import type { ContactMethod } from './schema.ts'

type Page = { items: ContactMethod[], nextCursor?: string }
interface PageQuery { limit?: number, cursor?: string }

/**
 * A user's methods, oldest first. The hot read: asking person, user and methods come in one statement, so that the
 * caller is admitted here and not before.
 */
export async function listContactMethods (deps: Deps, actor: Actor, userId: string, query: PageQuery): Promise<Page> {
  const read = () => deps.db.readInTenant<HotRow>(actor.tenantId, readMethods, [actor.subject, userId])
  let rows = await read()
  if (actor.kind === 'person' && (rows[0]!.actor_status === null || (!rows[0]!.actor_privileged && usesAdministrativeRole(actor)))) {
    await enroll(deps, actor)
    rows = await read()
  }
  const first = rows[0]!
  if (actor.kind === 'person') refuseUnlessWelcome(actor, { status: first.actor_status! }, first.actor_sessions_valid_from)
  if (!first.user_found) throw notFound()
  const full = valuesShown({ ...actor, serverNow: first.server_now }, userId, false) !== 'masked'
  const methods = first.id === null ? [] : rows.map((row) => ({ ...row, tenant_id: actor.tenantId, user_id: userId }))
  return page(deps, actor, userId, methods, query, (row) => toContactMethod(deps.keys, row, { emailCounts: first.email_counts }, full, first.tenant_at))
}

/** The same with full values, for who may see them. Counted and audited. */
export async function revealContactMethods (deps: Deps, actor: Actor, userId: string, query: PageQuery): Promise<Page> {
  return deps.db.inTenant(actor.tenantId, async (tx) => {
    await knownUser(tx, userId)
    const shown = valuesShown(actor, userId, true)
    const rows = await selectMethods(tx, userId)
    const policy = await policyInForce(tx)
    if (shown === 'revealed') await noteReveal(deps, tx, actor, userId, rows.map((row) => row.id))
    return page(deps, actor, userId, rows, query, (row) => toContactMethod(deps.keys, row, policy, shown !== 'masked', tx.now))
  })
}

/** One method. A reveal is counted and audited. */
export async function readContactMethod (deps: Deps, actor: Actor, userId: string, methodId: string, reveal: boolean): Promise<ContactMethod> {
  return deps.db.inTenant(actor.tenantId, async (tx) => {
    await knownUser(tx, userId)
    const row = await knownMethod(tx, userId, methodId)
    const shown = valuesShown(actor, userId, reveal)
    if (shown === 'revealed') await noteReveal(deps, tx, actor, userId, [methodId])
    return toContactMethod(deps.keys, row, await policyInForce(tx), shown !== 'masked', tx.now)
  })
}

async function noteReveal (deps: Deps, tx: TenantTx, actor: Actor, userId: string, methodIds: string[]): Promise<void> {
  await limitCaller(tx, actor, 'reveal')
  await record(deps, tx, actor, { action: 'contactMethods.revealed', userId, details: { methodIds } })
}

function page ({ keys }: Deps, { tenantId }: Actor, userId: string, rows: ShownRow[], { limit = 50, cursor }: PageQuery, toItem: (row: ShownRow) => ContactMethod): Page {
  const scope = ['contact-methods', userId]
  const positionIn = (row: ShownRow) => `${row.created_at.toISOString()} ${row.id}`
  const after = cursor === undefined ? '' : positionOf(keys, tenantId, scope, cursor)
  const rest = rows.filter((row) => positionIn(row) > after)
  return pageOf(rest, limit, toItem, (row) => cursorOf(keys, tenantId, scope, positionIn(row)))
}

import { gather } from '../../platform/db/gather.ts'
import type { TenantTx } from '../../platform/db/index.ts'
import type { Actor, Deps } from '../../platform/deps.ts'
import { cursorOf, pageOf, positionOf } from '../../platform/http/paging.ts'
import { notFound } from '../../platform/refusal.ts'
import { record } from '../audit/audit.ts'
import { admitReading } from '../authority/admission.ts'
import { valuesShown } from '../authority/authority.ts'
import { limitCaller } from '../limits/callers.ts'
import { policyInForce } from '../policy/policy.ts'
import { knownUser } from '../users/users.ts'
import { knownMethod, toContactMethod } from './contact-methods.ts'
import { readMethodsOf, selectMethods, type ShownRow } from './queries.ts'
import type { ContactMethod } from './schema.ts'

type Page = { items: ContactMethod[], nextCursor?: string }
interface PageQuery { limit?: number, cursor?: string }

/**
 * Lists a user's methods, oldest first. The hot read: the asking person comes in the same statement, so that they are
 * admitted here and not before; under load several callers share one.
 */
export function methodsLister (deps: Deps): (actor: Actor, userId: string, query: PageQuery) => Promise<Page> {
  const read = gather((tenantId, userIds) => readMethodsOf(deps.db, tenantId, userIds))

  return async (actor, userId, query) => {
    const { tenantId, subject } = actor
    const asked = actor.kind === 'app' || subject === userId ? [userId] : [subject, userId]
    const { at, serverNow, emailCounts, users } = await admitReading(deps, actor, () => read(tenantId, asked), (answer) => answer.users.get(subject)?.standing)
    const user = users.get(userId)
    if (!user) throw notFound()
    const full = valuesShown({ ...actor, serverNow }, userId, false) !== 'masked'
    return page(deps, actor, userId, user.methods, query, (row) => toContactMethod(deps.keys, row, { emailCounts }, full, at))
  }
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
  const after = cursor === undefined ? undefined : positionOf(keys, tenantId, scope, cursor)
  const rest = after === undefined ? rows : rows.filter((row) => positionIn(row) > after)
  return pageOf(rest, limit, toItem, (row) => cursorOf(keys, tenantId, scope, positionIn(row)))
}

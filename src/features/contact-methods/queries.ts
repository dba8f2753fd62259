import { sql, type Insertable, type Selectable, type Updateable } from 'kysely'
import type { Db, HotStatement, TenantTx } from '../../platform/db/index.ts'
import type { ContactMethods } from '../../platform/db/schema.ts'
import type { MethodKind, UserStatus } from '../../vocabulary.ts'

export type MethodRow = Selectable<ContactMethods> & { kind: MethodKind }

/** A pending method that nobody verified in time is gone, though its row may still stand. */
const lives = sql<boolean>`status <> 'removed' and not (status = 'pending' and pending_expires_at <= tenant_now())`

export async function selectMethods ({ db, tenantId }: TenantTx, userId: string): Promise<MethodRow[]> {
  return await db.selectFrom('contact_methods').selectAll().where('tenant_id', '=', tenantId).where('user_id', '=', userId).where(lives)
    .orderBy('created_at').orderBy('id').execute() as MethodRow[]
}

export async function selectMethod ({ db, tenantId }: TenantTx, userId: string, methodId: string): Promise<MethodRow | undefined> {
  return await db.selectFrom('contact_methods').selectAll().where('tenant_id', '=', tenantId).where('user_id', '=', userId).where('id', '=', methodId).where(lives)
    .executeTakeFirst() as MethodRow | undefined
}

/**
 * Ends what nobody verified in time: pending methods give their place and their value free, pending changes go. Reads
 * show the same before it was written; see `asOf`.
 */
export async function endOverdue ({ db, tenantId, now }: TenantTx, userId: string): Promise<void> {
  await db.updateTable('contact_methods').set({ status: 'removed', removed_at: sql`pending_expires_at`, removed_by: 'system:expired', updated_at: now })
    .where('tenant_id', '=', tenantId).where('user_id', '=', userId).where('status', '=', 'pending').where('pending_expires_at', '<=', now).execute()
  await db.updateTable('contact_methods').set({ ...withdrawn, version: sql`version + 1`, updated_at: sql`pending_expires_at` })
    .where('tenant_id', '=', tenantId).where('user_id', '=', userId).where('status', '<>', 'removed').where('pending_value', 'is not', null).where('pending_expires_at', '<=', now).execute()
}

/**
 * Takes the lowest free place of its kind. Undefined if there is none, or if the user has the value already: the
 * unique keys decide, so that of simultaneous twins one wins.
 */
export async function insertUnlessPresent ({ db }: TenantTx, row: Omit<Insertable<ContactMethods>, 'place'>, placesMax: number): Promise<MethodRow | undefined> {
  const taken = sql`contact_methods taken where taken.tenant_id = ${row.tenant_id} and taken.user_id = ${row.user_id}
                                             and taken.kind = ${row.kind} and taken.status in ('pending', 'active')`
  // Places above the number allowed are left over from a policy that allowed more.
  const free = sql<number>`(
    select p from generate_series(1, ${placesMax}::int) p
     where (select count(*) from ${taken}) < ${placesMax}::int and not exists (select 1 from ${taken} and taken.place = p)
     order by p limit 1)`
  // Where no place is free, a taken one is tried and its unique key refuses.
  return await db.insertInto('contact_methods').values({ ...row, place: sql`coalesce(${free}, (select min(taken.place) from ${taken}))` })
    .onConflict((conflict) => conflict.doNothing()).returningAll().executeTakeFirst() as MethodRow | undefined
}

/** How many places of a kind are taken, once what is overdue has ended. */
export async function countOfKind ({ db, tenantId }: TenantTx, userId: string, kind: MethodKind): Promise<number> {
  const { count } = await db.selectFrom('contact_methods').select((expression) => expression.fn.countAll<string>().as('count'))
    .where('tenant_id', '=', tenantId).where('user_id', '=', userId).where('kind', '=', kind).where('status', 'in', ['pending', 'active']).executeTakeFirstOrThrow()
  return Number(count)
}

/** Whether another method of the user has the value, or waits to have it. */
export async function hasValue ({ db, tenantId }: TenantTx, userId: string, destinations: Buffer[], exceptId: string | null): Promise<boolean> {
  let query = db.selectFrom('contact_methods').select('id').where('tenant_id', '=', tenantId).where('user_id', '=', userId)
    .where('status', 'in', ['pending', 'active'])
    .where((where) => where.or([where('destination_index', 'in', destinations), where('pending_destination_index', 'in', destinations)]))
  if (exceptId !== null) query = query.where('id', '<>', exceptId)
  return await query.executeTakeFirst() !== undefined
}

export async function updateMethod ({ db, tenantId, now }: TenantTx, methodId: string, set: Updateable<ContactMethods>): Promise<MethodRow> {
  return await db.updateTable('contact_methods').set({ ...set, version: sql`version + 1`, updated_at: now })
    .where('tenant_id', '=', tenantId).where('id', '=', methodId).returningAll().executeTakeFirstOrThrow() as MethodRow
}

/** Whoever was the default is not any more; undefined if nobody was. */
export async function clearDefault ({ db, tenantId, now }: TenantTx, userId: string): Promise<void> {
  await db.updateTable('contact_methods').set({ is_default: false, default_channel: null, version: sql`version + 1`, updated_at: now })
    .where('tenant_id', '=', tenantId).where('user_id', '=', userId).where('is_default', '=', true).execute()
}

/** The columns of a change that waits, emptied. */
export const withdrawn = {
  pending_value: null, pending_value_index: null, pending_destination_index: null, pending_extension: null, pending_country: null,
  pending_line_type: null, pending_by: null, pending_expires_at: null, password_only: false,
} satisfies Updateable<ContactMethods>

/** The row as it is at this time: a change that nobody verified in time is over, written down or not. */
export const asOf = <Row extends ShownRow>(now: Date, row: Row): Row =>
  row.pending_value !== null && row.pending_expires_at !== null && row.pending_expires_at <= now
    ? { ...row, ...withdrawn, version: row.version + 1, updated_at: row.pending_expires_at }
    : row

/** The columns that an answer shows. */
export type ShownRow = Pick<MethodRow, 'tenant_id' | 'user_id' | 'id' | 'kind' | 'label' | 'status' | 'value' | 'extension' | 'country' | 'line_type' | 'is_default' |
  'default_channel' | 'pending_value' | 'pending_extension' | 'pending_expires_at' | 'added_by' | 'created_at' | 'verified_at' | 'last_used_at' | 'updated_at' | 'version'>

/** Of the tenant: its time, which a sandbox may have moved, and the server's own. */
interface TenantFacts { at: string, serverNow: string, emailCounts: boolean }
interface UserFacts { status: UserStatus, privileged: boolean, sessionsValidFrom: string | null }

/** The first row is of the tenant; then comes one of each user with each method. Without a method its columns are null. */
interface HotRow extends Omit<ShownRow, 'user_id' | 'id'> { user_id: string | null, facts: string | null, id: string | null }

const hotRead: HotStatement = { name: 'read_methods_of', text: 'select * from read_methods_of($1, $2)' }

export interface MethodsOfUser { standing: { status: UserStatus, privileged: boolean, sessionsValidFrom: Date | null }, methods: ShownRow[] }
export interface MethodsOfUsers { at: Date, serverNow: Date, emailCounts: boolean, users: Map<string, MethodsOfUser> }

const unremarkable: MethodsOfUser['standing'] = { status: 'active', privileged: false, sessionsValidFrom: null }

/** The methods of several users, oldest first, in one statement. Who is not there is not in `users`. */
export async function readMethodsOf (db: Db, tenantId: string, userIds: string[]): Promise<MethodsOfUsers> {
  const [first, ...rows] = await db.readInTenant<HotRow>(tenantId, hotRead, [userIds])
  const users = new Map<string, MethodsOfUser>()
  for (const row of rows) {
    let user = users.get(row.user_id!)
    if (!user) users.set(row.user_id!, user = { standing: row.facts === null ? unremarkable : standingOf(JSON.parse(row.facts) as UserFacts), methods: [] })
    if (row.id !== null) user.methods.push(Object.assign(row, { tenant_id: tenantId }) as ShownRow)
  }
  const { at, serverNow, emailCounts } = JSON.parse(first!.facts!) as TenantFacts
  return { at: new Date(at), serverNow: new Date(serverNow), emailCounts, users }
}

const standingOf = ({ status, privileged, sessionsValidFrom }: UserFacts) => ({ status, privileged, sessionsValidFrom: sessionsValidFrom === null ? null : new Date(sessionsValidFrom) })

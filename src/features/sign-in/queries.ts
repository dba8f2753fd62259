import type { Db, HotStatement } from '../../platform/db/index.ts'
import type { MethodKind, UserStatus } from '../../vocabulary.ts'

/** What the first row says: the tenant's time, and its policy where another version of it is known. */
export interface TenantFacts { at: string, policyVersion: number, policy: object | null }

/** What there is to say about a user; times as Postgres writes them in JSON. */
export interface UserFacts {
  status: UserStatus
  privileged: boolean
  sessionsValidFrom: string | null
  devicesValidFrom: string | null
  since: string | null
  reason: string | null
  lockedUntil: string | null
  frozenUntil: string | null
  /** Wrong codes in a row on a method, by its id. */
  wrongCodes: Record<string, number> | null
}

/** A user with one of their active methods; without one its columns are null. */
interface SignInRow {
  user_id: string | null
  facts: string | null
  id: string | null
  kind: MethodKind
  value: Buffer
  line_type: string | null
  country: string | null
  /** Null of every method but the default one; empty where that has no channel of its own. */
  default_channel: string | null
  verified_since: boolean | null
  settled: boolean
}

const readSignIn: HotStatement = { name: 'read_sign_in', text: 'select * from read_sign_in($1, $2, $3)' }

export type MethodOfUser = Omit<SignInRow, 'user_id' | 'facts' | 'id'> & { id: string }
export interface UserRows { facts: UserFacts | null, methods: MethodOfUser[] }

/** Reads what the sign-in of several users depends on, in one statement. Who is not there is not in `users`. */
export async function readUsers (db: Db, tenantId: string, userIds: string[], knownPolicy: number): Promise<{ tenant: TenantFacts, users: Map<string, UserRows> }> {
  const [first, ...rows] = await db.readInTenant<SignInRow>(tenantId, readSignIn, [userIds, knownPolicy])
  const users = new Map<string, UserRows>()
  for (const row of rows) {
    let user = users.get(row.user_id!)
    if (!user) users.set(row.user_id!, user = { facts: row.facts === null ? null : JSON.parse(row.facts) as UserFacts, methods: [] })
    if (row.id !== null) user.methods.push(row as MethodOfUser)
  }
  return { tenant: JSON.parse(first!.facts!) as TenantFacts, users }
}

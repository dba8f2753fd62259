import { sql } from 'kysely'
import type { HotStatement, TenantTx } from '../../platform/db/index.ts'
import type { UserStatus } from '../../vocabulary.ts'

export interface PersonRow {
  status: UserStatus | null
  privileged: boolean | null
  sessions_valid_from: Date | null
  mfa_epoch: number | null
  strongest: number
  server_now: Date
  /** Whether the use of the roles that were given has not been written down within the hour. */
  roles_to_note: boolean
}

export const admitInRoles: HotStatement = { name: 'admit_in_roles', text: 'select * from admit_in_roles($1, $2, $3)' }

/** The same in a transaction that is open already, for a person whose roles are not used anew. */
export async function selectPerson ({ db, tenantId }: TenantTx, subject: string): Promise<PersonRow> {
  const { rows: [row] } = await sql<PersonRow>`select * from admit_in_roles(${tenantId}, ${subject}, '{}')`.execute(db)
  return row!
}

/** Writes down that these roles were used, each at most once an hour. */
export async function noteRoles ({ db }: TenantTx, subject: string, roles: readonly string[]): Promise<void> {
  await sql`select note_roles(${subject}, ${[...roles]})`.execute(db)
}

/** Strength of the user's strongest active method, 0 for none. */
export async function selectStrongest ({ db }: TenantTx, userId: string): Promise<number> {
  const { rows: [row] } = await sql<{ strongest: number }>`select strongest_method(${userId}) as strongest`.execute(db)
  return row!.strongest
}

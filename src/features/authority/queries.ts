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
}

export const admitPerson: HotStatement = { name: 'admit_person', text: 'select * from admit_person($1, $2)' }

/** Strength of the user's strongest active method, 0 for none. */
export async function selectStrongest ({ db }: TenantTx, userId: string): Promise<number> {
  const { rows: [row] } = await sql<{ strongest: number }>`select strongest_method(${userId}) as strongest`.execute(db)
  return row!.strongest
}

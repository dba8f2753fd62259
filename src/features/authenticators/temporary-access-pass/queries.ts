import { sql, type Insertable, type Selectable } from 'kysely'
import type { HotStatement, TenantTx } from '../../../platform/db/index.ts'
import type { Passes } from '../../../platform/db/schema.ts'

export type PassRow = Selectable<Passes>

/** What a challenge by pass stands on. `good`: whether it could be used at this moment. */
export interface PassOfUser { id: string, code_mac: Buffer, code_key_version: number, mfa_epoch: number, wrong_tries: number, good: boolean }

/** Of a user, the pass as it is, or the one that is named. */
export const readPass: HotStatement = { name: 'read_pass', text: 'select * from read_pass($1, $2, $3)' }

export const insertPass = ({ db }: TenantTx, row: Insertable<Passes>): Promise<PassRow> =>
  db.insertInto('passes').values(row).returningAll().executeTakeFirstOrThrow()

/** The pass of a user that has not been made void, used up or over as it may be. */
export const selectPass = ({ db, tenantId }: TenantTx, userId: string): Promise<PassRow | undefined> =>
  db.selectFrom('passes').selectAll().where('tenant_id', '=', tenantId).where('user_id', '=', userId).where('void_at', 'is', null).executeTakeFirst()

/**
 * Makes the pass of the user void and ends the challenges for it; the one that is named, where one is. Gives its id where
 * it was still worth something.
 */
export async function voidPass ({ db }: TenantTx, userId: string, passId: string | null): Promise<string | undefined> {
  const { rows: [row] } = await sql<{ voided: string }>`select * from void_pass(${userId}, ${passId}, null, false)`.execute(db)
  return row?.voided
}

/** The same after too many wrong tries: the challenge they ended with is left to its own end, and nothing is told to who may not know. */
export async function voidWornOut ({ db }: TenantTx, userId: string, passId: string, challengeId: string): Promise<boolean> {
  const { rows } = await sql`select * from void_pass(${userId}, ${passId}, ${challengeId}, true)`.execute(db)
  return rows.length > 0
}

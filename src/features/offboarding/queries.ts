import { sql, type Insertable, type Selectable } from 'kysely'
import type { TenantTx } from '../../platform/db/index.ts'
import type { Offboardings } from '../../platform/db/schema.ts'

export type OffboardingRow = Selectable<Offboardings>

export const insertOffboarding = ({ db, tenantId, now }: TenantTx, row: Omit<Insertable<Offboardings>, 'tenant_id' | 'offboarded_at' | 'status'>): Promise<OffboardingRow> =>
  db.insertInto('offboardings').values({ ...row, tenant_id: tenantId, offboarded_at: now, status: 'offboarded' }).returningAll().executeTakeFirstOrThrow()

/** The newest of a user, in force or not. */
export const selectNewest = ({ db, tenantId }: TenantTx, userId: string): Promise<OffboardingRow | undefined> =>
  db.selectFrom('offboardings').selectAll().where('tenant_id', '=', tenantId).where('user_id', '=', userId)
    .orderBy('offboarded_at', 'desc').orderBy('id', 'desc').limit(1).executeTakeFirst()

/** Ends the one in force; false if it has ended meanwhile. */
export async function undoInForce ({ db, tenantId, now }: TenantTx, userId: string): Promise<boolean> {
  const undone = await db.updateTable('offboardings').set({ status: 'undone', undone_at: now })
    .where('tenant_id', '=', tenantId).where('user_id', '=', userId).where('status', '=', 'offboarded').returning('id').executeTakeFirst()
  return undone !== undefined
}

/** Erases what is held about one user whose time has come; answers whom, or null where nobody is due. For the workers. */
export async function eraseOneUser ({ db }: TenantTx): Promise<string | null> {
  const { rows: [row] } = await sql<{ user_id: string | null }>`select erase_one_user() as user_id`.execute(db)
  return row!.user_id
}

import type { TenantTx } from '../../platform/db/index.ts'

/** Challenges, messages and authenticators of a user as they may be shown: no code, no sealed text, no hash. What is of before `since` was of someone who had the id before. */
export async function selectRecords ({ db, tenantId }: TenantTx, userId: string, since: Date) {
  const challenges = await db.selectFrom('challenges')
    .select(['id', 'purpose', 'channel', 'destination', 'status', 'starter_kind', 'starter_id', 'attempts', 'created_at', 'expires_at', 'ended_at'])
    .where('tenant_id', '=', tenantId).where('user_id', '=', userId).where('decoy', '=', false).where('created_at', '>=', since).orderBy('created_at', 'desc').execute()
  const messages = await db.selectFrom('messages').select(['id', 'challenge_id', 'channel', 'kind', 'state', 'created_at', 'ended_at'])
    .where('tenant_id', '=', tenantId).where('user_id', '=', userId).where('created_at', '>=', since).orderBy('created_at', 'desc').execute()
  const passes = await db.selectFrom('passes').select(['id', 'starts_at', 'expires_at', 'one_time', 'uses', 'used_at', 'void_at', 'basis', 'created_at'])
    .where('tenant_id', '=', tenantId).where('user_id', '=', userId).where('created_at', '>=', since).orderBy('created_at', 'desc').execute()
  const lockout = await db.selectFrom('code_failures').select(['in_a_row', 'locked_until']).where('tenant_id', '=', tenantId).where('user_id', '=', userId).executeTakeFirst()
  return { challenges, messages, passes, lockout }
}

/** Every method that was ever bound since, removed ones among them (NIST SP 800-63B-4, 4.1). */
export const selectEveryMethod = ({ db, tenantId }: TenantTx, userId: string, since: Date) =>
  db.selectFrom('contact_methods').selectAll().where('tenant_id', '=', tenantId).where('user_id', '=', userId).where('created_at', '>=', since).orderBy('created_at').orderBy('id').execute()

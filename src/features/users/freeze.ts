import type { TenantTx } from '../../platform/db/index.ts'
import { lookupEmail, normalEmail } from '../../platform/addresses/email.ts'
import type { Deps } from '../../platform/deps.ts'
import { hasAlternateEmail, noteLockTold, setFrozen, updateUser, type UserRow } from './queries.ts'
import { endSessionsOf, raiseEpoch, requireReregistration } from './reregistration.ts'
import { signInEmailContext } from './users.ts'

export const frozenHours = 24

/**
 * Stops every change of what the user proves themself with, for 24 hours: whoever they are, all sessions end, codes,
 * proofs and links of before are worthless, and the user must register again. The user must be locked.
 */
export async function freezeUser (tx: TenantTx, userId: string): Promise<{ until: Date, epoch: number }> {
  const until = new Date(tx.now.getTime() + frozenHours * 3_600_000)
  await setFrozen(tx, userId, until)
  const epoch = await raiseEpoch(tx, userId)
  await endSessionsOf(tx, userId, { sessions: true, devices: true })
  await requireReregistration(tx, userId, { reason: 'compromised' })
  return { until, epoch }
}

/** Whether this may be the sign-in e-mail again: not if an alternate e-mail of the user leads to the same mailbox by now. */
export async function mayBeSignInEmail ({ keys }: Pick<Deps, 'keys'>, tx: TenantTx, userId: string, sealed: Buffer): Promise<boolean> {
  const email = keys.open('field', tx.tenantId, signInEmailContext(userId), sealed)
  return !await hasAlternateEmail(tx, userId, keys.blindIndexes(tx.tenantId, 'destination', normalEmail(email)))
}

/** The sign-in e-mail is what it was before. The user must be locked. */
export async function restoreSignInEmail ({ keys }: Pick<Deps, 'keys'>, tx: TenantTx, userId: string, sealed: Buffer): Promise<void> {
  const email = keys.open('field', tx.tenantId, signInEmailContext(userId), sealed)
  await updateUser(tx, userId, { sign_in_email: sealed, sign_in_email_index: keys.blindIndex(tx.tenantId, 'email', lookupEmail(email)), sign_in_email_replaced_at: null })
}

/** Whether the user is to be told of a lock: at most once a day. */
export const isToHearOfLock = (tx: TenantTx, { user_id: userId }: Pick<UserRow, 'user_id'>): Promise<boolean> => noteLockTold(tx, userId)

import type { TenantTx } from '../../platform/db/index.ts'
import type { Actor, Deps } from '../../platform/deps.ts'
import { record } from '../audit/audit.ts'
import type { PolicyDocument } from '../policy/schema.ts'
import { lockedUser } from '../users/users.ts'
import type { CancelChallenges } from './change.ts'
import { promoteNext } from './default.ts'
import { selectMethods, updateMethod, withdrawn } from './queries.ts'
import { addressesOf, tell } from './tell.ts'
import { countsForMfa } from './value.ts'

/**
 * Disables a method that had too many wrong codes: it must be registered anew (NIST SP 800-63B-4, 3.2.2). The last one
 * that the user can sign in with stays, and locked, until an administrator lifts that: else anyone could shut them out.
 */
export async function disableMethod (deps: Deps, tx: TenantTx, actor: Actor, policy: PolicyDocument, userId: string, methodId: string, cancelChallenges: CancelChallenges): Promise<void> {
  await lockedUser(tx, userId)
  const active = (await selectMethods(tx, userId)).filter((row) => row.status === 'active')
  const row = active.find(({ id }) => id === methodId)
  const isLast = row !== undefined && countsForMfa(row.kind, policy) && !active.some((other) => other.id !== methodId && countsForMfa(other.kind, policy))
  const details = { methodId, reason: 'wrongCodes' }
  await cancelChallenges(tx, methodId)
  if (!row || isLast) return record(deps, tx, actor, { action: 'contactMethod.locked', userId, details })
  const addresses = await addressesOf(deps, tx, userId)
  await updateMethod(tx, methodId, { ...withdrawn, status: 'disabled', is_default: false, wants_default: false, default_channel: null, disabled_at: tx.now })
  if (row.is_default) await promoteNext(tx, policy, userId, methodId)
  await record(deps, tx, actor, { action: 'contactMethod.disabled', userId, details })
  await tell(deps, tx, { userId, kind: 'methodDisabled', addresses, details: { method: row.kind } })
}

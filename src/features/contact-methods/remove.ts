import type { TenantTx } from '../../platform/db/index.ts'
import type { Actor, Deps, Precondition } from '../../platform/deps.ts'
import { Refusal } from '../../platform/refusal.ts'
import { record } from '../audit/audit.ts'
import type { CancelChallenges } from './change.ts'
import { byOf, judgeKnown, knownMethod, startChange } from './contact-methods.ts'
import { promoteNext } from './default.ts'
import { selectMethods, updateMethod, withdrawn } from './queries.ts'
import { addressesOf, tell } from './tell.ts'
import { countsSince, meetsPolicy } from './value.ts'

/**
 * Removes a method: the record stays, the value is erased later. The last one that satisfies the policy stays; since
 * the user is locked, two requests that would each remove one of the last two leave one.
 */
export async function removeContactMethod (deps: Deps, tx: TenantTx, actor: Actor, userId: string, methodId: string, precondition: Precondition, cancelChallenges: CancelChallenges): Promise<void> {
  const change = await startChange(deps, tx, actor, userId)
  const { policy } = change
  const row = await knownMethod(tx, userId, methodId)
  judgeKnown(actor, change, row)
  precondition(row.version)

  // Whoever must register again lacks what the policy asks for: then nothing is the last of it.
  const active = (await selectMethods(tx, userId)).filter((method) => countsSince(method, change.user.reregistration_since))
  const remaining = active.filter((method) => method.id !== methodId)
  if (row.status === 'active' && meetsPolicy(active.map((method) => method.kind), policy) && !meetsPolicy(remaining.map((method) => method.kind), policy)) {
    throw new Refusal('last_method', 'It is the last method that satisfies the policy. Add another one first.')
  }
  const addresses = await addressesOf(deps, tx, userId)
  await updateMethod(tx, methodId, { ...withdrawn, status: 'removed', is_default: false, wants_default: false, default_channel: null, removed_at: tx.now, removed_by: byOf(actor) })
  await cancelChallenges(tx, methodId)
  if (row.is_default) await promoteNext(tx, policy, userId, methodId)
  await record(deps, tx, actor, { action: 'contactMethod.removed', userId, details: { methodId, kind: row.kind } })
  if (row.status !== 'pending') await tell(deps, tx, { userId, kind: 'methodRemoved', addresses, details: { method: row.kind } })
}

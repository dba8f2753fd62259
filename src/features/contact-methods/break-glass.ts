import type { TenantTx } from '../../platform/db/index.ts'
import type { Actor, Deps } from '../../platform/deps.ts'
import { approversOfLate, breakGlassOnce } from '../approvals/break-glass.ts'
import { refused } from '../authority/may.ts'
import type { PolicyDocument } from '../policy/schema.ts'
import { addressesOf, tellOthers } from './tell.ts'

/**
 * Lets a privileged administrator do without the second approver: where the policy allows it, once in 24 hours, and
 * everyone who used the role lately and the security contact are told at once. Refused with the rule `break_glass`.
 */
export async function takeBreakGlass (deps: Deps, tx: TenantTx, actor: Actor, policy: Pick<PolicyDocument, 'breakGlass'>, userId: string): Promise<void> {
  if (!policy.breakGlass || !await breakGlassOnce(deps, tx, actor, userId)) throw refused('approvals.approve', userId, 'break_glass')
  const addresses = []
  for (const approver of await approversOfLate(tx)) addresses.push(...await addressesOf(deps, tx, approver))
  await tellOthers(deps, tx, { userId, kind: 'breakGlass', addresses })
}

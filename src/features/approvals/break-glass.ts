import type { TenantTx } from '../../platform/db/index.ts'
import type { Actor, Deps } from '../../platform/deps.ts'
import { record } from '../audit/audit.ts'
import { selectUsersOfRole, takeBreakGlassOnce } from './queries.ts'

const usedWithinDays = 90

/** Who is told at once when someone does without them: everyone who used the role `privilegedAdmin` in the last 90 days. */
export const approversOfLate = (tx: TenantTx): Promise<string[]> => selectUsersOfRole(tx, 'privilegedAdmin', usedWithinDays)

/** Lets an administrator do without the second approver, once in 24 hours, and writes it down; false if they have done so already. */
export async function breakGlassOnce (deps: Deps, tx: TenantTx, actor: Actor, userId: string): Promise<boolean> {
  if (!await takeBreakGlassOnce(tx, actor.subject)) return false
  await record(deps, tx, actor, { action: 'breakGlass.used', userId })
  return true
}

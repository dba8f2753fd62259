import type { TenantTx } from '../../platform/db/index.ts'
import type { Actor, Authority, Deps, Precondition, Waiting } from '../../platform/deps.ts'
import { askForApproval, ifMatchOf } from '../approvals/approvals.ts'
import { record } from '../audit/audit.ts'
import { updateUser } from './queries.ts'
import { lockedUser, targetOf } from './users.ts'

/** The request as it is kept while it waits. */
export interface ClearPrivilege { userId: string, ifMatch?: string }

/**
 * Makes a user an ordinary one, once a second approver agrees; of one who is not privileged there is nothing to clear.
 * Whoever uses an administrator's role after that is privileged again.
 */
export async function clearPrivilege (deps: Deps, tx: TenantTx, authority: Authority, actor: Actor, userId: string, precondition: Precondition): Promise<Waiting | undefined> {
  const user = await lockedUser(tx, userId)
  const verdict = authority.judgeTarget(actor, 'users.clearPrivilege', targetOf(user))
  authority.requireStepUp(actor, 'users.clearPrivilege')
  precondition(user.version)
  if (!user.privileged) return undefined
  if (verdict === 'secondApprover') {
    return askForApproval(deps, tx, actor, {
      action: 'privilege.clear', userId, request: { userId, ...ifMatchOf(precondition) } satisfies ClearPrivilege,
    })
  }
  await updateUser(tx, userId, { privileged: false })
  await record(deps, tx, actor, { action: 'user.privilegeCleared', userId })
  return undefined
}

import type { Actor, Authority, Deps, Precondition } from '../../platform/deps.ts'
import { Refusal } from '../../platform/refusal.ts'
import { putUser } from './put.ts'
import type { User, UserChange } from './schema.ts'
import { toUser, type UserRow } from './users.ts'

/** Fields of a privileged user whose change could take the account over. */
const guarded: readonly (keyof UserChange)[] = ['signInEmail', 'status']

/** `PUT` of a user, judged: no app changes a privileged user, and what could take one over needs a second approver. */
export async function changeUser (deps: Deps, authority: Authority, actor: Actor, userId: string, input: UserChange, precondition: Precondition): Promise<{ user: User, created: boolean }> {
  authority.requireStepUp(actor, 'users.write')
  const judge = (row: UserRow, changed: readonly (keyof UserChange)[]) => {
    if (row.status === 'offboarded') throw new Refusal('user_offboarded', 'The user was off-boarded.')
    if (!row.privileged || changed.length === 0) return
    if (actor.kind === 'app') throw authority.refused('users.write', userId, 'privileged_target')
    if (changed.includes('privileged') || changed.some((field) => guarded.includes(field))) throw authority.refused('users.write', userId, 'second_approver')
  }
  return deps.db.inTenant(actor.tenantId, async (tx) => {
    const { row, created } = await putUser(deps, tx, actor, userId, input, judge, precondition)
    return { user: toUser(deps.keys, row, false), created }
  })
}

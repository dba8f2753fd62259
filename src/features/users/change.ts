import type { TenantTx } from '../../platform/db/index.ts'
import { takingBack } from '../../platform/db/savepoint.ts'
import type { Actor, Authority, Deps, Precondition, PreconditionOf, Waiting } from '../../platform/deps.ts'
import { Refusal } from '../../platform/refusal.ts'
import { askForApproval, ifMatchOf, type Executor } from '../approvals/approvals.ts'
import { clearPrivilege, type ClearPrivilege } from './privilege.ts'
import { putUser, type TellSignInEmail } from './put.ts'
import type { User, UserChange } from './schema.ts'
import { toUser, type UserRow } from './users.ts'

/** Fields of a privileged user whose change could take the account over. */
const guarded: readonly (keyof UserChange)[] = ['signInEmail', 'status']

/** `PUT` of a user, judged: no app changes a privileged user, and what could take one over waits for a second approver. */
export async function changeUser (deps: Deps, tx: TenantTx, authority: Authority, actor: Actor, userId: string, input: UserChange, precondition: Precondition, tellSignInEmail: TellSignInEmail): Promise<{ user: User, created: boolean } | Waiting> {
  authority.requireStepUp(actor, 'users.write')
  let waits = false
  let fields: readonly string[] = []
  const judge = (row: UserRow, changed: readonly (keyof UserChange)[]) => {
    if (row.status === 'offboarded') throw new Refusal('user_offboarded', 'The user was off-boarded.')
    if (!row.privileged || changed.length === 0) return
    if (actor.kind === 'app') throw authority.refused('users.write', userId, 'privileged_target')
    if (changed.includes('privileged')) throw authority.refused('users.write', userId, 'second_approver') // DELETE …/privilege asks for one
    waits = actor.approvedBy === undefined && changed.some((field) => guarded.includes(field))
    fields = changed
  }
  const { row, created } = await takingBack(tx, (inner) => putUser(deps, inner, actor, userId, input, judge, precondition, tellSignInEmail), () => waits)
  if (!waits) return { user: toUser(deps.keys, row, false), created }
  return askForApproval(deps, tx, actor, {
    action: 'user.change', userId, request: { userId, input, ...ifMatchOf(precondition) } satisfies Change,
    details: { fields, ...(input.status !== undefined && { status: input.status }) }, ...(fields.includes('signInEmail') && { shown: { signInEmailDisplay: toUser(deps.keys, row, false).signInEmailDisplay } }),
  })
}

interface Change { userId: string, input: UserChange, ifMatch?: string }

/** How the changes of users that waited are carried out. */
export const userExecutors = (authority: Authority, preconditionOf: PreconditionOf, tellSignInEmail: TellSignInEmail) => ({
  'user.change': {
    summary: 'Change the sign-in e-mail or the status of a privileged user',
    execute: async (deps, tx, actor, { userId, input, ifMatch }) => { await changeUser(deps, tx, authority, actor, userId, input, preconditionOf(ifMatch), tellSignInEmail) },
  } satisfies Executor<Change>,
  'privilege.clear': {
    summary: 'Make a user no longer privileged',
    execute: async (deps, tx, actor, { userId, ifMatch }) => { await clearPrivilege(deps, tx, authority, actor, userId, preconditionOf(ifMatch)) },
  } satisfies Executor<ClearPrivilege>,
})

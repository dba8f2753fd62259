import type { TenantTx } from '../../platform/db/index.ts'
import type { Actor, Deps } from '../../platform/deps.ts'
import type { MethodKind } from '../../vocabulary.ts'
import type { PolicyDocument } from '../policy/schema.ts'
import type { UserRow } from '../users/users.ts'
import { byOf } from './contact-methods.ts'
import { promoteNext } from './default.ts'
import { endOverdue, selectMethods, updateMethod, withdrawn, type MethodRow } from './queries.ts'
import { countsSince, displayOf, meetsPolicy, openValue } from './value.ts'

/** A method as a reset names it; the display is masked. */
export interface NamedMethod { id: string, kind: MethodKind, display: string }

/** What a reset would do to a user's contact methods. */
export interface MethodsReset {
  removed: NamedMethod[]
  kept: NamedMethod[]
  /** Whether what is kept meets the policy; of someone who must register again already, what they verified since. */
  meetsPolicy: boolean
}

/** Which methods a reset takes away. What is pending goes with any reset. */
export type Takes = (method: { id: string, kind: MethodKind }) => boolean

/** Says what a reset would do, and changes nothing. */
export async function planMethodsReset ({ keys }: Deps, tx: TenantTx, user: UserRow, policy: PolicyDocument, takes: Takes): Promise<MethodsReset> {
  return planned(keys, user, policy, await selectMethods(tx, user.user_id), takes)
}

/** Removes what a reset takes away and every change that waits; the next by the policy's order becomes the default. The user must be locked. */
export async function resetMethods ({ keys }: Deps, tx: TenantTx, actor: Actor, user: UserRow, policy: PolicyDocument, takes: Takes): Promise<MethodsReset> {
  await endOverdue(tx, user.user_id)
  const rows = await selectMethods(tx, user.user_id)
  for (const row of rows.filter((one) => goes(one, takes))) {
    await updateMethod(tx, row.id, { ...withdrawn, status: 'removed', is_default: false, wants_default: false, default_channel: null, removed_at: tx.now, removed_by: byOf(actor) })
  }
  for (const row of rows.filter((one) => !goes(one, takes) && one.pending_value !== null)) await updateMethod(tx, row.id, withdrawn)
  const formerDefault = rows.find((row) => row.is_default)
  if (formerDefault && goes(formerDefault, takes)) await promoteNext(tx, policy, user.user_id, formerDefault.id)
  return planned(keys, user, policy, rows, takes)
}

const goes = (row: MethodRow, takes: Takes) => row.status === 'pending' || takes(row)

function planned (keys: Deps['keys'], { reregistration_since: since }: UserRow, policy: PolicyDocument, rows: MethodRow[], takes: Takes): MethodsReset {
  const named = (row: MethodRow) => ({ id: row.id, kind: row.kind, display: displayOf(row.kind, openValue(keys, row.tenant_id, row.user_id, row.id, row.value!)) })
  const kept = rows.filter((row) => !goes(row, takes))
  const counting = kept.filter((row) => countsSince(row, since))
  return { removed: rows.filter((row) => goes(row, takes)).map(named), kept: kept.map(named), meetsPolicy: meetsPolicy(counting.map((row) => row.kind), policy) }
}

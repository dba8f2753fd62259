import type { TenantTx } from '../../platform/db/index.ts'
import type { Actor, Deps, Precondition } from '../../platform/deps.ts'
import { lookupEmail, normalEmail, parseEmail } from '../../platform/addresses/email.ts'
import { Refusal } from '../../platform/refusal.ts'
import { record } from '../audit/audit.ts'
import { hasAlternateEmail, insertUnlessPresent, lockUser, updateUser, type UserRow } from './queries.ts'
import type { UserChange } from './schema.ts'
import { signInEmailContext, signInEmailOf } from './users.ts'

/** May the caller change these fields of this user? Throws if not. Handed in: users import no authority. */
export type JudgeChange = (row: UserRow, changed: readonly (keyof UserChange)[]) => void

/** Tells of a new sign-in e-mail. Handed in: users import no notices. */
export type TellSignInEmail = (deps: Deps, tx: TenantTx, before: UserRow, after: UserRow) => Promise<void>

/** Makes the user or changes the named fields; every other field keeps its value. Simultaneous twins make one. */
export async function putUser (deps: Deps, tx: TenantTx, actor: Actor, userId: string, input: UserChange, judge: JudgeChange, precondition: Precondition, tellSignInEmail: TellSignInEmail): Promise<{ row: UserRow, created: boolean }> {
  const email = readEmail(input.signInEmail)
  const present = await lockUser(tx, userId)
  if (!present || present.erased_at !== null) {
    precondition(null)
    const columns = {
      display_name: input.displayName ?? null, locale: input.locale ?? null, privileged: input.privileged ?? false, status: input.status ?? 'active',
      ...emailColumns(deps, tx, userId, email ?? null),
    }
    // Of someone who left, and whose data is erased, nothing but the id is left: whoever has it now is new.
    if (present) await updateUser(tx, userId, { ...columns, created_at: tx.now, erased_at: null })
    else if (!await insertUnlessPresent(tx, { tenant_id: tx.tenantId, user_id: userId, created_at: tx.now, updated_at: tx.now, ...columns })) {
      return putUser(deps, tx, actor, userId, input, judge, precondition, tellSignInEmail) // a twin was first: now it is a change
    }
    await record(deps, tx, actor, { action: 'user.created', userId, details: { fields: Object.keys(input) } })
    return { row: (await lockUser(tx, userId))!, created: true }
  }

  precondition(present.version)
  const changed = changedFields(deps, present, input, email)
  judge(present, changed)
  if (typeof email === 'string' && changed.includes('signInEmail') && await hasAlternateEmail(tx, userId, deps.keys.blindIndexes(tx.tenantId, 'destination', normalEmail(email)))) {
    const detail = 'It leads to the same mailbox as an alternate e-mail of the user.'
    throw new Refusal('same_as_sign_in', detail, { errors: [{ pointer: '/signInEmail', code: 'same_as_sign_in', message: detail }] })
  }
  if (changed.length === 0) return { row: present, created: false }
  const row = await updateUser(tx, userId, {
    ...(input.displayName !== undefined && { display_name: input.displayName }),
    ...(input.locale !== undefined && { locale: input.locale }),
    ...(input.privileged !== undefined && { privileged: input.privileged }),
    ...(input.status !== undefined && { status: input.status }),
    ...(email !== undefined && emailColumns(deps, tx, userId, email)),
    ...(changed.includes('signInEmail') && { sign_in_email_replaced_at: present.sign_in_email === null ? null : tx.now }),
  })
  await record(deps, tx, actor, { action: 'user.changed', userId, details: { fields: changed } })
  if (changed.includes('signInEmail')) await tellSignInEmail(deps, tx, present, row)
  return { row, created: false }
}

function readEmail (typed: string | null | undefined): string | null | undefined {
  if (typed === undefined || typed === null) return typed
  const parsed = parseEmail(typed)
  if ('fault' in parsed) throw new Refusal(parsed.fault, parsed.detail, { errors: [{ pointer: '/signInEmail', code: parsed.fault, message: parsed.detail }] })
  return parsed.email.typed
}

const emailColumns = ({ keys }: Deps, { tenantId }: TenantTx, userId: string, email: string | null) => email === null
  ? { sign_in_email: null, sign_in_email_index: null }
  : {
      sign_in_email: keys.seal('field', tenantId, signInEmailContext(userId), email),
      sign_in_email_index: keys.blindIndex(tenantId, 'email', lookupEmail(email)),
    }

function changedFields ({ keys }: Deps, row: UserRow, input: UserChange, email: string | null | undefined): (keyof UserChange)[] {
  const changed: (keyof UserChange)[] = []
  if (input.displayName !== undefined && input.displayName !== row.display_name) changed.push('displayName')
  if (email !== undefined && email !== signInEmailOf(keys, row)) changed.push('signInEmail')
  if (input.locale !== undefined && input.locale !== row.locale) changed.push('locale')
  if (input.privileged !== undefined && input.privileged !== row.privileged) changed.push('privileged')
  if (input.status !== undefined && input.status !== row.status) changed.push('status')
  return changed
}

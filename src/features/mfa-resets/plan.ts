import type { TenantTx } from '../../platform/db/index.ts'
import type { Actor, Deps } from '../../platform/deps.ts'
import { notFound, Refusal } from '../../platform/refusal.ts'
import { currentPasses } from '../authenticators/temporary-access-pass/pass.ts'
import { judgementOnTarget } from '../authority/verdict.ts'
import { planMethodsReset, type Takes } from '../contact-methods/reset.ts'
import { hasMethod } from '../contact-methods/contact-methods.ts'
import { addressesOf } from '../contact-methods/tell.ts'
import { policyInForce } from '../policy/policy.ts'
import { knownUser, targetOf, type UserRow } from '../users/users.ts'
import type { ResetReason } from '../../vocabulary.ts'
import type { NewReset, ResetPreview } from './schema.ts'

/** What a client can break by its input alone, beside the schema. */
export function refuseContradictions ({ scope, kinds, methodIds, reason, revokeSessions }: NewReset): void {
  if ((scope === 'kinds') !== (kinds !== undefined)) throw fault('/kinds', scope === 'kinds' ? 'is needed with this scope' : 'is only for the scope "kinds"')
  if ((scope === 'methods') !== (methodIds !== undefined)) throw fault('/methodIds', scope === 'methods' ? 'is needed with this scope' : 'is only for the scope "methods"')
  if (revokeSessions === false && (reason === 'lostDevice' || reason === 'compromised' || reason === 'left')) throw fault('/revokeSessions', `must be true for "${reason}"`)
}

const fault = (pointer: string, message: string) =>
  new Refusal('validation_failed', 'The body does not fit the schema.', { errors: [{ pointer, code: 'not_allowed', message }] })

/** Until someone has registered again after `compromised`, a reset for another reason does not make their mailbox trusted. */
export const reasonNow = (user: UserRow, reason: ResetReason): ResetReason =>
  user.reregistration_since !== null && user.reregistration_reason === 'compromised' ? 'compromised' : reason

/** Which methods go. An alternate e-mail serves recovery and notices and stays, unless it may be in a thief's hands. */
export function takesOf ({ scope, kinds = [], methodIds = [] }: NewReset, reason: ResetReason): Takes {
  const ids = methodIds.map((id) => id.toLowerCase())
  if (scope === 'methods') return ({ id }) => ids.includes(id)
  if (scope === 'kinds') return ({ kind }) => kinds.includes(kind)
  return ({ kind }) => kind !== 'alternateEmail' || reason === 'compromised'
}

/** A method that is named must be the user's. */
export async function requireKnownMethods (tx: TenantTx, userId: string, { methodIds = [] }: NewReset): Promise<void> {
  if (methodIds.length === 0) return
  const passes = await currentPasses(tx, userId)
  for (const id of methodIds.map((one) => one.toLowerCase())) {
    if (!passes.includes(id) && !await hasMethod(tx, userId, id)) throw notFound()
  }
}

/** Says what a reset would do to the user as they are now. Where only the target forbids it, that is part of the answer. */
export async function previewReset (deps: Deps, tx: TenantTx, actor: Actor, userId: string, input: NewReset): Promise<ResetPreview> {
  const user = await knownUser(tx, userId)
  const { allowed, rule, waitsForApproval } = judgementOnTarget(actor, 'mfaResets.create', targetOf(user))
  await requireKnownMethods(tx, userId, input)
  const methods = await planMethodsReset(deps, tx, user, await policyInForce(tx), takesOf(input, reasonNow(user, input.reason)))
  const passes = (await currentPasses(tx, userId)).map((id) => ({ id, kind: 'temporaryAccessPass' as const, display: null }))
  return {
    dryRun: true, allowed, ...(rule !== null && { rule }), removed: [...methods.removed, ...passes], kept: methods.kept,
    notified: (await addressesOf(deps, tx, userId)).map(({ channel, display }) => ({ channel, display })),
    reregistrationRequired: input.scope === 'all' || !methods.meetsPolicy, waitsForApproval: waitsForApproval && input.breakGlass !== true,
  }
}

import type { TenantTx } from '../../platform/db/index.ts'
import type { Actor, Deps } from '../../platform/deps.ts'
import type { Keys } from '../../platform/keys.ts'
import { notFound } from '../../platform/refusal.ts'
import { judgementOnTarget } from '../authority/verdict.ts'
import { planMethodsReset } from '../contact-methods/reset.ts'
import { addressesOf } from '../contact-methods/tell.ts'
import { policyInForce } from '../policy/policy.ts'
import { signStatement } from '../proofs/statements.ts'
import { knownUser, targetOf } from '../users/users.ts'
import { eraseAfter } from './offboard.ts'
import { selectNewest, type OffboardingRow } from './queries.ts'
import type { NewOffboarding, Offboarding, OffboardingPreview } from './schema.ts'

/** The newest off-boarding of a user, with its certificate once their data is erased. */
export async function readOffboarding (deps: Deps, actor: Actor, userId: string): Promise<Offboarding> {
  return deps.db.inTenant(actor.tenantId, async (tx) => {
    const row = await selectNewest(tx, userId)
    if (!row) throw notFound()
    return toOffboarding(deps, tx, actor, row)
  })
}

/** Says what off-boarding would do, and changes nothing. Where only the target forbids it, that is part of the answer. */
export async function previewOffboarding (deps: Deps, tx: TenantTx, actor: Actor, userId: string): Promise<OffboardingPreview> {
  const user = await knownUser(tx, userId)
  const policy = await policyInForce(tx)
  const { allowed, rule, waitsForApproval } = judgementOnTarget(actor, 'offboarding.write', targetOf(user))
  const { removed } = await planMethodsReset(deps, tx, user, policy, () => true)
  return {
    dryRun: true, allowed, ...(rule !== null && { rule }), removed, notified: (await addressesOf(deps, tx, userId)).map(({ channel, display }) => ({ channel, display })),
    eraseAfter: eraseAfter(tx.now, policy.retentionDays).toISOString(), waitsForApproval,
  }
}

export const erasureType = 'latchkey-erasure+jwt'

/** The certificate is signed when it is asked for; what it says is fixed. */
export async function toOffboarding (deps: Deps, { tenantId }: TenantTx, actor: Actor, row: OffboardingRow): Promise<Offboarding> {
  const { note = null, ticket = null } = row.reason === null ? {} : JSON.parse(deps.keys.open('field', tenantId, noteContext(row.id), row.reason)) as NewOffboarding
  const certificate = row.status !== 'erased' ? null : await signStatement(deps, erasureType, {
    sub: row.user_id, tenant: actor.tenantSlug, jti: row.id, offboardedAt: row.offboarded_at.toISOString(), erasedAt: row.erased_at!.toISOString(), erased: row.counts,
  }, row.certified_at!)
  return {
    userId: row.user_id, status: row.status as Offboarding['status'], note, ticket, offboardedBy: row.requested_by, offboardedAt: row.offboarded_at.toISOString(),
    eraseAfter: row.erase_after.toISOString(), undoneAt: row.undone_at?.toISOString() ?? null, erasedAt: row.erased_at?.toISOString() ?? null, certificate,
  }
}

const noteContext = (id: string) => [id, 'offboarding']

export const sealNote = (keys: Keys, tenantId: string, id: string, input: NewOffboarding): Buffer | null =>
  Object.keys(input).length === 0 ? null : keys.seal('field', tenantId, noteContext(id), JSON.stringify(input))

import type { TenantTx } from '../../platform/db/index.ts'
import type { Deps } from '../../platform/deps.ts'
import type { MethodKind } from '../../vocabulary.ts'
import { record, type AuditActor } from '../audit/audit.ts'
import { policyInForce } from '../policy/policy.ts'
import { lockedUser } from '../users/users.ts'
import { activate } from './activate.ts'
import { insertUnlessPresent } from './queries.ts'
import { sealValue, type Value } from './value.ts'

/** Gives a user of the demo data a method that is verified from the start. No caller of the API can. */
export async function seedVerifiedMethod (deps: Pick<Deps, 'keys' | 'random'>, tx: TenantTx, by: AuditActor, userId: string, kind: MethodKind, value: Value): Promise<void> {
  const user = await lockedUser(tx, userId)
  const id = deps.random.uuid()
  const row = await insertUnlessPresent(tx, {
    tenant_id: tx.tenantId, id, user_id: userId, kind, status: 'pending', ...sealValue(deps.keys, tx.tenantId, userId, id, kind, value),
    added_by: 'import', added_by_id: `${by.kind}:${by.subject}`, created_at: tx.now, updated_at: tx.now,
  }, 1)
  if (!row) return
  await activate(tx, { user, policy: await policyInForce(tx) }, row, { verified_at: tx.now })
  await record(deps, tx, by, { action: 'contactMethod.added', userId, details: { methodId: id, kind } })
}

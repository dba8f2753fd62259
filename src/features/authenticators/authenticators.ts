import type { TenantTx } from '../../platform/db/index.ts'
import type { Actor, Deps, Precondition, PreconditionOf, Waiting } from '../../platform/deps.ts'
import { cursorOf, pageOf, positionOf } from '../../platform/http/paging.ts'
import { notFound } from '../../platform/refusal.ts'
import { askForApproval, type Executor } from '../approvals/approvals.ts'
import { record } from '../audit/audit.ts'
import { isSelf, judgeTarget } from '../authority/may.ts'
import { requireStepUp } from '../authority/step-up.ts'
import { strongestOf } from '../authority/strength.ts'
import { registeringOf } from '../contact-methods/contact-methods.ts'
import { addressesOf, tell } from '../contact-methods/tell.ts'
import { policyInForce } from '../policy/policy.ts'
import { knownUser, lockedUser, requireNotFrozen, targetOf, type UserRow } from '../users/users.ts'
import type { Authenticator, AuthenticatorsQuery } from './schema.ts'
import { knownPass, passStatus, voidPassNamed, type PassRow } from './temporary-access-pass/pass.ts'

/** What the user has beside contact methods, oldest first. Nothing secret leaves here. */
export async function listAuthenticators ({ db, keys }: Deps, { tenantId }: Actor, userId: string, { limit = 50, cursor }: AuthenticatorsQuery): Promise<{ items: Authenticator[], nextCursor?: string }> {
  const scope = ['authenticators', userId]
  const after = cursor === undefined ? '' : positionOf(keys, tenantId, scope, cursor)
  return db.inTenant(tenantId, async (tx) => {
    await knownUser(tx, userId)
    const pass = await knownPass(tx, userId)
    const rows = [pass].filter((row) => row !== undefined).filter(({ id }) => id > after)
    return pageOf(rows, limit, (row) => toAuthenticator(row, tx.now), ({ id }) => cursorOf(keys, tenantId, scope, id))
  })
}

export async function readAuthenticator ({ db }: Deps, { tenantId }: Actor, userId: string, authenticatorId: string): Promise<Authenticator> {
  return db.inTenant(tenantId, async (tx) => {
    await knownUser(tx, userId)
    return toAuthenticator(await namedPass(tx, userId, authenticatorId), tx.now)
  })
}

async function namedPass (tx: TenantTx, userId: string, authenticatorId: string): Promise<PassRow> {
  const pass = await knownPass(tx, userId)
  if (pass?.id !== authenticatorId.toLowerCase()) throw notFound()
  return pass
}

const toAuthenticator = (row: PassRow, now: Date): Authenticator => ({
  id: row.id, kind: 'temporaryAccessPass', status: passStatus(row, now), startsAt: row.starts_at.toISOString(), expiresAt: row.expires_at.toISOString(), oneTime: row.one_time,
  createdAt: row.created_at.toISOString(), lastUsedAt: row.used_at?.toISOString() ?? null, version: row.version,
})

/** The request as it is kept while it waits. */
interface Removal { userId: string, authenticatorId: string, ifMatch?: string }

/** Makes a pass void, with the challenges for it; or asks for it, where the user is privileged and the caller someone else. */
export async function removeOrAsk (deps: Deps, tx: TenantTx, actor: Actor, userId: string, authenticatorId: string, precondition: Precondition): Promise<Waiting | undefined> {
  const user = await lockedUser(tx, userId)
  const waits = judgeTarget(actor, 'authenticators.write', targetOf(user)) === 'secondApprover'
  await requireHolder(tx, actor, user)
  const pass = await namedPass(tx, userId, authenticatorId)
  precondition(pass.version)
  if (!waits) return remove(deps, tx, actor, pass)
  const { wanted } = precondition
  const request: Removal = { userId, authenticatorId: pass.id, ...(wanted !== undefined && { ifMatch: wanted }) }
  return askForApproval(deps, tx, actor, { action: 'authenticator.remove', userId, resourceId: pass.id, request, details: { kind: 'temporaryAccessPass' } })
}

/** The person, or an app for them, needs more than a proof to register, and never a password alone: it is the way back in. */
async function requireHolder (tx: TenantTx, actor: Actor, user: UserRow): Promise<void> {
  const holds = isSelf(actor, user.user_id) || actor.kind === 'app'
  if (holds) requireNotFrozen(user, tx.now)
  const registering = holds && { ...registeringOf(user, await policyInForce(tx), tx.now), firstRegistration: 'proof' as const, proofs: [], strongest: await strongestOf(tx, user.user_id) }
  requireStepUp(actor, 'authenticators.write', registering || undefined)
}

async function remove (deps: Deps, tx: TenantTx, actor: Actor, { id, user_id: userId }: PassRow): Promise<undefined> {
  const addresses = await addressesOf(deps, tx, userId)
  await voidPassNamed(tx, userId, id)
  await record(deps, tx, actor, { action: 'pass.voided', userId, details: { authenticatorId: id, reason: 'removed' } })
  await tell(deps, tx, { userId, kind: 'passVoided', addresses })
}

/** How a removal that waited is carried out, judged as things are then. */
export const authenticatorExecutors = (preconditionOf: PreconditionOf) => ({
  'authenticator.remove': {
    summary: 'Remove an authenticator of a privileged user',
    execute: async (deps, tx, actor, { userId, authenticatorId, ifMatch }) => { await removeOrAsk(deps, tx, actor, userId, authenticatorId, preconditionOf(ifMatch)) },
  } satisfies Executor<Removal>,
})

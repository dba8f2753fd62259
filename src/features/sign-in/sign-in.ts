import { gather } from '../../platform/db/gather.ts'
import type { Actor, Deps } from '../../platform/deps.ts'
import { notFound } from '../../platform/refusal.ts'
import { admitReading, type Standing } from '../authority/admission.ts'
import { policyFrom } from '../policy/policy.ts'
import type { PolicyDocument } from '../policy/schema.ts'
import { readUsers, type UserRows } from './queries.ts'
import { requirementsOf } from './requirements.ts'
import type { SignInRequirements } from './schema.ts'

const policiesMax = 10_000

/**
 * Reads what the sign-in page must ask for. The asking person and the user come in one statement, so that the caller is
 * admitted here and not before; under load several callers share one.
 */
export function signInReader (deps: Deps): (actor: Actor, userId: string) => Promise<SignInRequirements> {
  /** A policy that was read before; each statement says whether it is still the one in force. */
  const policies = new Map<string, { version: number, document: PolicyDocument }>()

  const read = gather(async (tenantId, userIds) => {
    let policy = policies.get(tenantId)
    const { tenant, users } = await readUsers(deps.db, tenantId, userIds, policy?.version ?? 0)
    if (tenant.policy !== null) {
      policy = { version: tenant.policyVersion, document: policyFrom(tenant.policy as never) }
      if (policies.size >= policiesMax) policies.clear()
      policies.set(tenantId, policy)
    }
    return { at: new Date(tenant.at), policy: policy!.document, users }
  })

  return async (actor, userId) => {
    const { tenantId, subject } = actor
    const asked = actor.kind === 'app' || subject === userId ? [userId] : [subject, userId]
    const { at, policy, users } = await admitReading(deps, actor, () => read(tenantId, asked), (answer) => standingOf(answer.users.get(subject)))
    const user = users.get(userId)
    if (!user) throw notFound()
    return requirementsOf({ keys: deps.keys, tenantId, policy, at }, userId, user)
  }
}

const standingOf = (user: UserRows | undefined): Standing | undefined => user && {
  status: user.facts?.status ?? 'active', privileged: user.facts?.privileged ?? false,
  sessionsValidFrom: user.facts?.sessionsValidFrom ? new Date(user.facts.sessionsValidFrom) : null,
}

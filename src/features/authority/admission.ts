import type { TenantTx } from '../../platform/db/index.ts'
import type { Actor, Deps, Person, Principal, TokenClaims } from '../../platform/deps.ts'
import { Refusal } from '../../platform/refusal.ts'
import { administrativeRoles, type UserStatus } from '../../vocabulary.ts'
import { markPrivileged, registerSelf } from '../users/users.ts'
import { admitInRoles, noteRoles, selectPerson, type PersonRow } from './queries.ts'
import type { TenantDirectory } from './tenants.ts'
import { refused } from './may.ts'

const notAccepted = () => new Refusal('invalid_token', 'The token is not accepted.')

/** The caller that a token names, in a tenant that exists. A token with an administrator's role must be young. */
export async function principalOf (tenants: TenantDirectory, claims: TokenClaims, adminTokenMaxSeconds: number, clock: Date): Promise<Principal> {
  const tenant = await tenants.find(claims.tenantSlug)
  if (!tenant) throw refused('authenticate', null, 'unknown_tenant')
  const administrative = claims.roles.some((role) => administrativeRoles.includes(role))
  if (administrative && clock.getTime() - claims.issuedAt.getTime() > adminTokenMaxSeconds * 1000) throw notAccepted()
  return { ...claims, tenantId: tenant.tenantId, sandbox: tenant.sandbox }
}

/**
 * Reads the calling person anew: their row is made at the first call, the use of an administrator's role marks them
 * as privileged and is written down, and someone disabled, off-boarded or signed in before their sessions were revoked is
 * not let in.
 */
export async function admit (deps: Deps, principal: Principal, requestId: string, clock: Date): Promise<Actor> {
  const read = async () => {
    const [row] = await deps.db.readInTenant<PersonRow>(principal.tenantId, admitInRoles, [principal.subject, notedRoles(principal)])
    return row!
  }
  if (principal.kind === 'app') return { ...principal, person: null, requestId, serverNow: clock }

  let row = await read()
  if (row.status === null || (!row.privileged && usesAdministrativeRole(principal))) {
    await enroll(deps, { ...principal, person: null, requestId, serverNow: row.server_now })
    row = await read()
  }
  const person = personOf(row)
  refuseUnlessWelcome(principal, person, row.sessions_valid_from)
  if (row.roles_to_note) await deps.db.inTenant(principal.tenantId, (tx) => noteRoles(tx, principal.subject, notedRoles(principal)))
  return { ...principal, person, requestId, serverNow: row.server_now }
}

/** The roles whose last use is kept. */
const notedRoles = ({ roles }: Principal) => roles.filter((role) => administrativeRoles.includes(role))

/**
 * Whoever asked for what a second approver now lets happen, as they are by now. Their roles are those of the token with
 * which they asked; someone disabled, off-boarded or signed out since asks for nothing any more.
 */
export async function readmit (tx: TenantTx, principal: Principal, { requestId, serverNow }: Actor): Promise<Actor> {
  const row = await selectPerson(tx, principal.subject)
  if (row.status === null || !isWelcome(principal, personOf(row), row.sessions_valid_from)) throw refused('approvals.approve', null, 'requester')
  return { ...principal, person: personOf(row), requestId, serverNow }
}

/** What a hot read finds of the asking person, in the statement that reads everything else. */
export interface Standing { status: UserStatus, privileged: boolean, sessionsValidFrom: Date | null }

/**
 * The same for a hot read: `read` finds the asking person along with what they ask for, so that they are admitted after
 * it and before anything of it is looked at. `standingIn` is undefined where they have no row yet. Whoever uses an
 * administrator's role was admitted before.
 */
export async function admitReading<Answer> (deps: Deps, actor: Actor, read: () => Promise<Answer>, standingIn: (answer: Answer) => Standing | undefined): Promise<Answer> {
  let answer = await read()
  if (actor.kind === 'app') return answer
  const own = standingIn(answer)
  if (!own) {
    await enroll(deps, actor)
    answer = await read()
  }
  const standing = standingIn(answer)!
  refuseUnlessWelcome(actor, standing, standing.sessionsValidFrom)
  return answer
}

/** The use of such a role is written down, which a hot read does not do by itself. */
export const usesAdministrativeRole = (principal: Principal) => notedRoles(principal).length > 0

/** Makes the person's row if there is none and records that they use an administrator's role. */
async function enroll (deps: Deps, actor: Actor): Promise<void> {
  await deps.db.inTenant(actor.tenantId, async (tx) => {
    await registerSelf(deps, tx, actor)
    if (usesAdministrativeRole(actor)) await markPrivileged(deps, tx, actor)
  })
}

/** 401 on every route for whoever is disabled, off-boarded, or signed in before `sessionsValidFrom` (whole seconds). */
function refuseUnlessWelcome (principal: Principal, person: { status: UserStatus }, sessionsValidFrom: Date | null): void {
  if (!isWelcome(principal, person, sessionsValidFrom)) throw notAccepted()
}

function isWelcome ({ authTime, issuedAt }: Principal, { status }: { status: UserStatus }, sessionsValidFrom: Date | null): boolean {
  const signedInAt = authTime ?? issuedAt
  return status === 'active' && (sessionsValidFrom === null || Math.floor(signedInAt.getTime() / 1000) >= Math.floor(sessionsValidFrom.getTime() / 1000))
}

const personOf = (row: PersonRow): Person => ({
  status: row.status!, privileged: row.privileged!, mfaEpoch: row.mfa_epoch!, strongest: row.strongest,
})

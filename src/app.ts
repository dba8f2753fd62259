import helmet from '@fastify/helmet'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { recordRefusal } from './features/audit/audit.ts'
import { authenticatorExecutors } from './features/authenticators/authenticators.ts'
import { authenticatorRoutes } from './features/authenticators/routes.ts'
import { passExecutors } from './features/authenticators/temporary-access-pass/issue.ts'
import { voidPasses } from './features/authenticators/temporary-access-pass/pass.ts'
import { passRoutes } from './features/authenticators/temporary-access-pass/routes.ts'
import { auditRoutes } from './features/audit/routes.ts'
import { approvalRoutes } from './features/approvals/routes.ts'
import { admit, principalOf, readmit, usesAdministrativeRole } from './features/authority/admission.ts'
import { authority } from './features/authority/authority.ts'
import { judgeCaller } from './features/authority/may.ts'
import { tenantDirectory } from './features/authority/tenants.ts'
import { spendCallerCheck } from './features/challenges/caller-check.ts'
import { cancelChallengesOf, cancelChallengesOfUser } from './features/challenges/challenges.ts'
import { challengeRoutes } from './features/challenges/routes.ts'
import { actOnLink, deedOf } from './features/contact-methods/not-me.ts'
import { contactMethodRoutes } from './features/contact-methods/routes.ts'
import { methodExecutors } from './features/contact-methods/waits.ts'
import { tellOfSignInEmail } from './features/contact-methods/tell.ts'
import { limitCaller } from './features/limits/callers.ts'
import { limitRoutes } from './features/limits/routes.ts'
import { notMePages } from './features/notices/routes.ts'
import { resetExecutor } from './features/mfa-resets/reset.ts'
import { resetRoutes } from './features/mfa-resets/routes.ts'
import { offboardingExecutor } from './features/offboarding/offboard.ts'
import { offboardingRoutes } from './features/offboarding/routes.ts'
import { organizationDefaults, organizationExecutors } from './features/organization/organization.ts'
import { organizationRoutes } from './features/organization/routes.ts'
import { policyExecutors } from './features/policy/policy.ts'
import { policyRoutes } from './features/policy/routes.ts'
import { presentedProof } from './features/proofs/present.ts'
import { proofRoutes } from './features/proofs/routes.ts'
import { sandboxRoutes } from './features/sandbox/routes.ts'
import { signInRoutes } from './features/sign-in/routes.ts'
import { userDataRoutes } from './features/user-data/routes.ts'
import { userExecutors } from './features/users/change.ts'
import { userRoutes } from './features/users/routes.ts'
import { targets } from './features/users/users.ts'
import type { Actor, Deps } from './platform/deps.ts'
import { bearerOf, proofsOf, secure, userIdOf } from './platform/http/auth.ts'
import { preconditionOf } from './platform/http/etags.ts'
import { healthRoutes, type Readiness } from './platform/http/health.ts'
import { describeApi, serveApiDescription, type SignIn } from './platform/http/openapi.ts'
import { problemPages } from './platform/http/problem-pages.ts'
import { Problem } from './platform/http/problems.ts'
import { createServer } from './platform/http/server.ts'
import { PendingApproval } from './platform/http/waiting.ts'
import type { VerifyToken } from './platform/http/tokens.ts'
import { RecordedRefusal } from './platform/refusal.ts'
import type { Action } from './vocabulary.ts'

export interface AppOptions {
  verifyToken: VerifyToken
  /** The database's clock. */
  clock: () => Date
  adminTokenMaxSeconds: number
  sandboxAllowed: boolean
  trustedProxies: string[]
  signIn: SignIn | null
  readiness: Readiness
  production: boolean
  leaks?: boolean
  onUndeclared?: (code: string, route: string) => void
}

/** The whole HTTP side, ready to listen or to be injected into. Opens nothing. */
export async function buildApp (deps: Deps, options: AppOptions): Promise<FastifyInstance> {
  const app = createServer({
    log: deps.log, uuid: deps.random.uuid, trustedProxies: options.trustedProxies, isDraining: () => options.readiness.draining, hsts: options.production,
    leaks: options.leaks ?? false, ...(options.onUndeclared && { onUndeclared: options.onUndeclared }),
    onRefusal: (error, request) => recordRefused(deps, error, request),
  })
  await describeApi(app, options.signIn)
  app.addSchema(Problem)
  app.addSchema(PendingApproval)
  secure(app, authenticator(deps, options))

  const api = app.withTypeProvider<TypeBoxTypeProvider>()
  await api.register(userRoutes(deps, authority, async (tx) => (await organizationDefaults(tx)).defaultCountry, limitCaller, tellOfSignInEmail))
  const methodTools = { cancelChallenges: cancelChallengesOf, preconditionOf }
  await api.register(contactMethodRoutes(deps, methodTools))
  await api.register(authenticatorRoutes(deps))
  await api.register(passRoutes(deps, spendCallerCheck))
  await api.register(challengeRoutes(deps))
  await api.register(signInRoutes(deps))
  await api.register(limitRoutes(deps, authority, targets))
  await api.register(organizationRoutes(deps))
  await api.register(policyRoutes(deps, authority))
  const executors = { ...methodExecutors(methodTools), ...userExecutors(authority, preconditionOf, tellOfSignInEmail), ...policyExecutors(authority, preconditionOf), ...organizationExecutors(preconditionOf), ...authenticatorExecutors(preconditionOf), ...passExecutors, 'mfaResets.create': resetExecutor, 'offboarding.write': offboardingExecutor }
  await api.register(resetRoutes(deps))
  await api.register(offboardingRoutes(deps))
  await api.register(userDataRoutes(deps))
  await api.register(approvalRoutes(deps, { authority, readmit, executors }))
  await api.register(auditRoutes(deps, authority))
  await api.register(sandboxRoutes(deps, options.sandboxAllowed))

  await api.register(proofRoutes(deps))
  healthRoutes(app, deps.db, options.readiness)
  await app.register(async (pages) => {
    await pages.register(helmet, {
      contentSecurityPolicy: { useDefaults: false, directives: { defaultSrc: ['\'none\''], styleSrc: ['\'self\''], baseUri: ['\'none\''], formAction: ['\'none\''], frameAncestors: ['\'none\''] } },
      hsts: options.production && { maxAge: 31_536_000 },
    })
    await pages.register(problemPages)
    await pages.register(notMePages(deps, {
      would: (tx, link) => deedOf(deps, tx, link),
      act: (tx, link) => actOnLink(deps, tx, link, { cancelChallenges: cancelChallengesOf, cancelChallengesOfUser, voidPasses }),
      organization: organizationDefaults,
    }))
    await serveApiDescription(pages, options.signIn)
  })
  await app.ready()
  return app
}

/** Token → caller: verified, in a known tenant, welcome, and judged by the permission that the route declares. */
function authenticator (deps: Deps, { verifyToken, clock, adminTokenMaxSeconds }: AppOptions) {
  const tenants = tenantDirectory(deps.db)
  return async (request: FastifyRequest, action: Action) => {
    const now = clock()
    const principal = await principalOf(tenants, await verifyToken(bearerOf(request)), adminTokenMaxSeconds, now)
    const judge = (actor: Actor) => {
      // Whom a challenge is for, its body says; using one is the right of who started it, and to anyone else it is a 404.
      if (action !== 'challenges.start') judgeCaller(actor, action, action === 'challenges.use' ? actor.subject : userIdOf(request, actor))
      return actor
    }
    // A hot read looks the person up in its own statement; a reveal is no hot read, and nor is the use of an administrator's role.
    if (request.routeOptions.config.admitsItself === true && !usesAdministrativeRole(principal) && !('reveal' in (request.query as object))) {
      try {
        return judge({ ...principal, person: null, requestId: request.id, serverNow: now })
      } catch { /* Judged again below: whoever is not welcome hears that first. */ }
    }
    request.actor = await admit(deps, principal, request.id, now) // a refusal below is recorded with who it was
    const actor = judge(request.actor)
    const proof = await presentedProof(deps, actor, proofsOf(request))
    return proof === undefined ? actor : { ...actor, proof }
  }
}

/** Every refusal of authority, and of a limit, leaves an audit row, once the caller and their tenant are known. */
async function recordRefused (deps: Deps, error: Error, { actor }: FastifyRequest): Promise<void> {
  if (!(error instanceof RecordedRefusal) || actor === undefined || actor === null) return
  const { rule } = error.extras
  await recordRefusal(deps, actor, actor.tenantId, { action: error.action, userId: error.userId, outcome: 'refused', details: { code: error.code, ...(rule !== undefined && { rule }) } })
}

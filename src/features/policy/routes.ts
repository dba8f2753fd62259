import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { Authority, Deps } from '../../platform/deps.ts'
import { needs } from '../../platform/http/auth.ts'
import { etagOf, notModified, precondition } from '../../platform/http/etags.ts'
import { sendAnswer } from '../../platform/http/idempotency.ts'
import { answers, answersToBody } from '../../platform/http/problems.ts'
import { answer, empty, EtagHeader, IfMatchHeader, IfNoneMatchHeader, ref } from '../../platform/http/schemas.ts'
import { isWaiting, mayWait, waitingAnswer } from '../../platform/http/waiting.ts'
import { changePolicy, readPolicy } from './policy.ts'
import { Policy, PolicyChange, PolicyQuery } from './schema.ts'

export const policyRoutes = (deps: Deps, authority: Authority): FastifyPluginAsyncTypebox => async (app) => {
  app.addSchema(Policy)
  app.addSchema(PolicyChange)

  app.get('/v1/policy', {
    schema: {
      operationId: 'readPolicy', tags: ['Policy'], summary: 'Read the policy',
      description: 'The rules of the tenant, inside the bounds that the schema names.',
      ...needs('policy.read'), headers: IfNoneMatchHeader,
      response: answers({ 200: answer(Policy, 'The policy in force.', EtagHeader), 304: empty('It still has the version of `If-None-Match`.', EtagHeader) }),
    },
  }, async (request, reply) => {
    const policy = await readPolicy(deps, request.actor)
    return notModified(request, reply, policy.version) ? reply : policy
  })

  app.patch('/v1/policy', {
    config: { boundsCode: 'policy_out_of_bounds' },
    schema: {
      operationId: 'changePolicy', tags: ['Policy'], summary: 'Change the policy',
      description: 'Changes the named fields; in force at once on every replica. A policy that is weaker anywhere waits for a second approver. With `dryRun=true` it says what would happen.',
      ...needs('policy.write'), querystring: PolicyQuery, headers: IfMatchHeader, body: ref(PolicyChange),
      response: answersToBody({ 200: answer(Policy, 'The policy in force; in a dry run, as it would be.', EtagHeader), ...mayWait },
        'insufficient_user_authentication', 'version_mismatch', 'policy_out_of_bounds'),
    },
  }, async (request, reply) => {
    const dryRun = request.query.dryRun ?? false
    const policy = await deps.db.inTenant(request.actor.tenantId, (tx) => changePolicy(deps, tx, authority, request.actor, request.body, dryRun, precondition(request)))
    if (isWaiting(policy)) return sendAnswer(reply, waitingAnswer(policy))
    return reply.header('etag', etagOf(policy.version)).send(policy)
  })
}

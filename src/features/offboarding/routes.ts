import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { Deps } from '../../platform/deps.ts'
import { needs, userIdOf } from '../../platform/http/auth.ts'
import { once, sendAnswer } from '../../platform/http/idempotency.ts'
import { answers, answersToBody } from '../../platform/http/problems.ts'
import { answer, empty, IdempotencyHeader, locationHeader, ref, ReplayedHeader } from '../../platform/http/schemas.ts'
import { isWaiting, mayWait, waitingAnswer } from '../../platform/http/waiting.ts'
import { offboardUser, undoOffboarding } from './offboard.ts'
import { previewOffboarding, readOffboarding } from './read.ts'
import { NewOffboarding, Offboarding, OffboardingParams, OffboardingPreview, OffboardingQuery } from './schema.ts'

export const offboardingRoutes = (deps: Deps): FastifyPluginAsyncTypebox => async (app) => {
  for (const schema of [NewOffboarding, Offboarding, OffboardingPreview]) app.addSchema(schema)

  app.post('/v1/users/:userId/offboarding', {
    schema: {
      operationId: 'offboardUser', tags: ['Off-boarding'], summary: 'Off-board a user',
      description: 'The person leaves: every method is removed, sessions end, codes and passes are worthless, and their data is erased after the days that the policy sets. They are told. A privileged user is off-boarded once a second privileged administrator approves. With `dryRun=true` it says what would happen.',
      ...needs('offboarding.write'), params: OffboardingParams, querystring: OffboardingQuery, headers: IdempotencyHeader, body: ref(NewOffboarding), 'x-body-optional': true,
      response: answersToBody({
        200: answer(OffboardingPreview, 'A dry run: what would happen.'),
        201: answer(Offboarding, 'The user is off-boarded.', { ...locationHeader('/v1/users/demo-user/offboarding'), ...ReplayedHeader }),
        ...mayWait,
      }, 'insufficient_user_authentication', 'not_found', 'user_offboarded', 'idempotency_in_progress', 'idempotency_key_reused'),
    },
  }, async (request, reply) => {
    const { actor, body, query } = request
    const userId = userIdOf(request)!
    if (query.dryRun) return deps.db.inTenant(actor.tenantId, (tx) => previewOffboarding(deps, tx, actor, userId))
    return sendAnswer(reply, await once(deps, request, async (tx) => {
      const done = await offboardUser(deps, tx, actor, userId, body ?? {})
      return isWaiting(done) ? waitingAnswer(done) : { status: 201, headers: { location: `/v1/users/${encodeURIComponent(userId)}/offboarding` }, body: done }
    }))
  })

  app.get('/v1/users/:userId/offboarding', {
    schema: {
      operationId: 'readOffboarding', tags: ['Off-boarding'], summary: 'Read an off-boarding',
      description: 'The newest one of the user; once their data is erased, with the certificate.',
      ...needs('offboarding.read'), params: OffboardingParams,
      response: answers({ 200: answer(Offboarding, 'The off-boarding.') }, 'not_found'),
    },
  }, async (request) => readOffboarding(deps, request.actor, userIdOf(request)!))

  app.delete('/v1/users/:userId/offboarding', {
    schema: {
      operationId: 'undoOffboarding', tags: ['Off-boarding'], summary: 'Undo an off-boarding',
      description: 'Takes the person back before their data is erased. No old method comes back: they register again, with a pass.',
      ...needs('offboarding.write'), params: OffboardingParams,
      response: answers({ 204: empty('The user is back.'), ...mayWait }, 'insufficient_user_authentication', 'not_found', 'user_offboarded'),
    },
  }, async (request, reply) => {
    const { actor } = request
    const waiting = await deps.db.inTenant(actor.tenantId, (tx) => undoOffboarding(deps, tx, actor, userIdOf(request)!))
    return waiting ? sendAnswer(reply, waitingAnswer(waiting)) : reply.code(204).send()
  })
}

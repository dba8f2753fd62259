import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { Deps } from '../../platform/deps.ts'
import { needs, userIdOf } from '../../platform/http/auth.ts'
import { notModified, precondition } from '../../platform/http/etags.ts'
import { sendAnswer } from '../../platform/http/idempotency.ts'
import { answers } from '../../platform/http/problems.ts'
import { answer, empty, EtagHeader, IfMatchHeader, IfNoneMatchHeader } from '../../platform/http/schemas.ts'
import { mayWait, waitingAnswer } from '../../platform/http/waiting.ts'
import { listAuthenticators, readAuthenticator, removeOrAsk } from './authenticators.ts'
import { Authenticator, AuthenticatorList, AuthenticatorParams, AuthenticatorsQuery, HolderParams } from './schema.ts'

export const authenticatorRoutes = (deps: Deps): FastifyPluginAsyncTypebox => async (app) => {
  app.addSchema(Authenticator)
  app.addSchema(AuthenticatorList)

  app.get('/v1/users/:userId/authenticators', {
    schema: {
      operationId: 'listAuthenticators', tags: ['Authenticators'], summary: 'List authenticators',
      description: 'What the user has beside contact methods; of passes the newest, unless it was made void. No secret is shown.',
      ...needs('authenticators.read'), params: HolderParams, querystring: AuthenticatorsQuery,
      response: answers({ 200: answer(AuthenticatorList, 'A page of them, oldest first.') }, 'not_found', 'invalid_cursor'),
    },
  }, async (request) => listAuthenticators(deps, request.actor, userIdOf(request)!, request.query))

  app.get('/v1/users/:userId/authenticators/:authenticatorId', {
    schema: {
      operationId: 'readAuthenticator', tags: ['Authenticators'], summary: 'Read an authenticator',
      description: 'One of them; its id comes from the list.',
      ...needs('authenticators.read'), params: AuthenticatorParams, headers: IfNoneMatchHeader,
      response: answers({ 200: answer(Authenticator, 'The authenticator.', EtagHeader), 304: empty('It still has the version of `If-None-Match`.', EtagHeader) }, 'not_found'),
    },
  }, async (request, reply) => {
    const authenticator = await readAuthenticator(deps, request.actor, userIdOf(request)!, request.params.authenticatorId)
    return notModified(request, reply, authenticator.version) ? reply : authenticator
  })

  app.delete('/v1/users/:userId/authenticators/:authenticatorId', {
    schema: {
      operationId: 'removeAuthenticator', tags: ['Authenticators'], summary: 'Remove an authenticator',
      description: 'It is good for nothing from then on, and neither are challenges for it; its id comes from the list. Of a privileged user an administrator\'s removal waits for a second approver.',
      ...needs('authenticators.write'), params: AuthenticatorParams, headers: IfMatchHeader,
      response: answers({ 204: empty('It is removed.'), ...mayWait }, 'insufficient_user_authentication', 'proof_required', 'not_found', 'user_frozen', 'user_offboarded', 'version_mismatch'),
    },
  }, async (request, reply) => {
    const { actor, params } = request
    const waiting = await deps.db.inTenant(actor.tenantId, (tx) => removeOrAsk(deps, tx, actor, userIdOf(request)!, params.authenticatorId, precondition(request)))
    return waiting ? sendAnswer(reply, waitingAnswer(waiting)) : reply.code(204).send()
  })
}

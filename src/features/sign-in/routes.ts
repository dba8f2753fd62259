import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { Deps } from '../../platform/deps.ts'
import { needs, userIdOf } from '../../platform/http/auth.ts'
import { answers } from '../../platform/http/problems.ts'
import { answer } from '../../platform/http/schemas.ts'
import { SignInParams, SignInRequirements } from './schema.ts'
import { signInReader } from './sign-in.ts'

export const signInRoutes = (deps: Deps): FastifyPluginAsyncTypebox => async (app) => {
  app.addSchema(SignInRequirements)
  const read = signInReader(deps)

  app.get('/v1/users/:userId/sign-in-requirements', {
    config: { admitsItself: true },
    schema: {
      operationId: 'readSignInRequirements', tags: ['Sign-in'], summary: 'What to ask for at sign-in',
      description: 'The one call of a sign-in page, once the password was right: whether to challenge the person, to have them register, to make them wait or to turn them away, and with what. Everything about methods is masked. For apps with `sign-in:read`, the person themself (`me`) and whoever may read users.',
      ...needs('signIn.read'), params: SignInParams,
      response: answers({ 200: answer(SignInRequirements, 'What to ask for.') }, 'not_found'),
    },
  }, async (request) => read(request.actor, userIdOf(request)!))
}

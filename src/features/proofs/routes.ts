import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { Deps } from '../../platform/deps.ts'
import { publishedKeys } from './proofs.ts'

const keptSeconds = 300

/** Where anyone finds the keys that check proofs. Public: no token is asked for. */
export const proofRoutes = (deps: Deps): FastifyPluginAsyncTypebox => async (app) => {
  app.get('/.well-known/jwks.json', { schema: { hide: true } }, async (_request, reply) =>
    reply.header('cache-control', `public, max-age=${keptSeconds}`).send(publishedKeys(deps)))
}

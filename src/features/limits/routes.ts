import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { Authority, Deps, Targets } from '../../platform/deps.ts'
import { needs, userIdOf } from '../../platform/http/auth.ts'
import { answers } from '../../platform/http/problems.ts'
import { answer, empty } from '../../platform/http/schemas.ts'
import { liftLockout, readLockout } from './lockout.ts'
import { liftPrefixBlock, listPrefixBlocks } from './prefix-blocks.ts'
import { Lockout, LockoutParams, PrefixBlock, PrefixBlockList, PrefixBlockParams, PrefixBlockQuery } from './schema.ts'

export const limitRoutes = (deps: Deps, authority: Authority, targets: Targets): FastifyPluginAsyncTypebox => async (app) => {
  for (const schema of [Lockout, PrefixBlock, PrefixBlockList]) app.addSchema(schema)

  app.get('/v1/users/:userId/lockout', {
    schema: {
      operationId: 'readLockout', tags: ['Limits'], summary: 'Read whether a user is locked',
      description: 'Ten wrong codes in a row lock the channels whose codes can be guessed, for 15 minutes; every five more double it, up to 24 hours. A link in a notice ("this was not me") freezes every change for 24 hours.',
      ...needs('lockout.read'), params: LockoutParams,
      response: answers({ 200: answer(Lockout, 'The locks in force, and the count of wrong codes.') }, 'not_found'),
    },
  }, async (request) => readLockout(deps, request.actor, targets, userIdOf(request)!))

  app.delete('/v1/users/:userId/lockout', {
    schema: {
      operationId: 'liftLockout', tags: ['Limits'], summary: 'Lift the lock or the freeze of a user',
      description: 'Lifts the locks of the user and of their methods, clears the counts, and lifts the freeze after someone said that a change was not theirs. For anyone but oneself; a privileged user\'s by a privileged administrator, without a second approver.',
      ...needs('lockout.lift'), params: LockoutParams,
      response: answers({ 204: empty('Nothing is locked or frozen.') }, 'insufficient_user_authentication', 'not_found', 'user_offboarded'),
    },
  }, async (request, reply) => {
    const { actor } = request
    await deps.db.inTenant(actor.tenantId, (tx) => liftLockout(deps, tx, authority, actor, targets, userIdOf(request)!))
    return reply.code(204).send()
  })

  app.get('/v1/fraud/prefix-blocks', {
    schema: {
      operationId: 'listPrefixBlocks', tags: ['Limits'], summary: 'List blocked number prefixes',
      description: 'Prefixes to which nothing is sent for now, since many codes went there and few came back. In the order of the prefixes.',
      ...needs('fraud.read'), querystring: PrefixBlockQuery,
      response: answers({ 200: answer(PrefixBlockList, 'A page of the blocks in force.') }, 'invalid_cursor'),
    },
  }, async ({ actor, query }) => listPrefixBlocks(deps, actor, query))

  app.delete('/v1/fraud/prefix-blocks/:prefix', {
    schema: {
      operationId: 'liftPrefixBlock', tags: ['Limits'], summary: 'Lift the block of a number prefix',
      description: 'Codes go to these numbers again, and their count starts anew; the prefix comes from the list.',
      ...needs('fraud.write'), params: PrefixBlockParams,
      response: answers({ 204: empty('It is lifted.') }, 'insufficient_user_authentication', 'not_found'),
    },
  }, async ({ actor, params }, reply) => {
    await deps.db.inTenant(actor.tenantId, (tx) => liftPrefixBlock(deps, tx, authority, actor, params.prefix))
    return reply.code(204).send()
  })
}

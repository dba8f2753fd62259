import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { Deps } from '../../platform/deps.ts'
import { needs, userIdOf } from '../../platform/http/auth.ts'
import { answers } from '../../platform/http/problems.ts'
import { answer } from '../../platform/http/schemas.ts'
import { readAllowedActions } from './allowed.ts'
import { exportUser } from './export.ts'
import { AllowedActions, Timeline, TimelineEntry, TimelineQuery, UserDataParams, UserExport } from './schema.ts'
import { readTimeline } from './timeline.ts'

export const userDataRoutes = (deps: Deps): FastifyPluginAsyncTypebox => async (app) => {
  for (const schema of [TimelineEntry, Timeline, UserExport, AllowedActions]) app.addSchema(schema)

  app.get('/v1/users/:userId/allowed-actions', {
    schema: {
      operationId: 'readAllowedActions', tags: ['Users'], summary: 'Read what you may do to a user',
      description: 'Each action on a user, whether the caller may do it, and the rule that decided. The same function decides when it is asked for. A second factor that is missing is not looked at.',
      ...needs('allowedActions.read'), params: UserDataParams,
      response: answers({ 200: answer(AllowedActions, 'The actions.') }, 'not_found'),
    },
  }, async (request) => readAllowedActions(deps, request.actor, userIdOf(request)!))

  app.get('/v1/users/:userId/timeline', {
    schema: {
      operationId: 'readTimeline', tags: ['Users'], summary: 'Read a user\'s security history',
      description: 'What was done about the user, newest first, in plain words.',
      ...needs('timeline.read'), params: UserDataParams, querystring: TimelineQuery,
      response: answers({ 200: answer(Timeline, 'A page of the history.') }, 'not_found', 'invalid_cursor'),
    },
  }, async (request) => readTimeline(deps, request.actor, userIdOf(request)!, request.query))

  app.get('/v1/users/:userId/export', {
    schema: {
      operationId: 'exportUser', tags: ['Users'], summary: 'Export all that is held about a user',
      description: 'Everything that is held about the user, with full values, for themself and for a privileged administrator, with a fresh second factor. Audited.',
      ...needs('users.export'), params: UserDataParams,
      response: answers({ 200: answer(UserExport, 'Everything.') }, 'insufficient_user_authentication', 'not_found', 'rate_limited'),
    },
  }, async (request) => exportUser(deps, request.actor, userIdOf(request)!))
}

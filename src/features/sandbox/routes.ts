import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { Deps } from '../../platform/deps.ts'
import { needs } from '../../platform/http/auth.ts'
import { answers, answersToBody } from '../../platform/http/problems.ts'
import { answer, ref } from '../../platform/http/schemas.ts'
import { moveClock, readClock, readMessages, requireSandbox, setFault } from './sandbox.ts'
import { MessageQuery, SandboxClock, SandboxFault, SandboxMessage, SandboxMessageList, SandboxTime } from './schema.ts'

export const sandboxRoutes = (deps: Deps, allowed: boolean): FastifyPluginAsyncTypebox => async (app) => {
  for (const schema of [SandboxMessage, SandboxMessageList, SandboxClock, SandboxTime, SandboxFault]) app.addSchema(schema)
  app.addHook('preValidation', async ({ actor }) => requireSandbox(actor, allowed))

  app.get('/v1/sandbox/messages', {
    schema: {
      operationId: 'listSandboxMessages', tags: ['Sandbox'], summary: 'Read the inbox',
      description: 'What a carrier would have delivered, newest first. Only in a sandbox tenant; anyone of the tenant may use it.',
      ...needs('sandbox.use'), querystring: MessageQuery,
      response: answers({ 200: answer(SandboxMessageList, 'The messages.') }, 'not_found'),
    },
  }, async ({ actor, query }) => readMessages(deps, actor, query))

  app.get('/v1/sandbox/clock', {
    schema: {
      operationId: 'readSandboxClock', tags: ['Sandbox'], summary: 'Read the clock',
      description: 'How far this tenant lives ahead of the real time, and what time it is there.',
      ...needs('sandbox.use'), response: answers({ 200: answer(SandboxTime, 'The clock.') }, 'not_found'),
    },
  }, async ({ actor }) => readClock(deps, actor))

  app.put('/v1/sandbox/clock', {
    schema: {
      operationId: 'moveSandboxClock', tags: ['Sandbox'], summary: 'Move the clock',
      description: 'Moves expiry, limits and times in answers; not tokens, step-up age or idempotency keys. Answers when the work that is due by then is done.',
      ...needs('sandbox.use'), body: ref(SandboxClock), response: answersToBody({ 200: answer(SandboxTime, 'The clock as it is now.') }, 'not_found'),
    },
  }, async ({ actor, body }) => moveClock(deps, actor, body))

  app.put('/v1/sandbox/faults', {
    schema: {
      operationId: 'setSandboxFault', tags: ['Sandbox'], summary: 'Make the carrier fail',
      description: 'Lets the sandbox\'s carrier refuse, hang or dawdle on a channel; `none` lets it work again.',
      ...needs('sandbox.use'), body: ref(SandboxFault), response: answersToBody({ 200: answer(SandboxFault, 'The fault that is set.') }, 'not_found'),
    },
  }, async ({ actor, body }) => setFault(deps, actor, body))
}

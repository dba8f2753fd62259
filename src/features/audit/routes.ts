import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { Deps } from '../../platform/deps.ts'
import { needs } from '../../platform/http/auth.ts'
import { answers } from '../../platform/http/problems.ts'
import { answer } from '../../platform/http/schemas.ts'
import { listAuditEvents, verifyAuditEvents } from './read.ts'
import { AuditEvent, AuditEventList, AuditQuery, AuditRange, AuditVerification } from './schema.ts'

export const auditRoutes = (deps: Deps): FastifyPluginAsyncTypebox => async (app) => {
  app.addSchema(AuditEvent)
  app.addSchema(AuditEventList)
  app.addSchema(AuditVerification)

  app.get('/v1/audit-events', {
    schema: {
      operationId: 'listAuditEvents', tags: ['Audit'], summary: 'List audit events',
      description: 'Everything that was changed and every refusal of authority, newest first. Events are numbered after their commit, so that a cursor never passes one that is still to come.',
      ...needs('audit.read'), querystring: AuditQuery,
      response: answers({ 200: answer(AuditEventList, 'A page of events.') }, 'invalid_cursor'),
    },
  }, async ({ actor, query }) => listAuditEvents(deps, actor, query))

  app.get('/v1/audit-events/verification', {
    schema: {
      operationId: 'verifyAuditEvents', tags: ['Audit'], summary: 'Check the audit chain',
      description: 'Recomputes the signature of each event and of the chain over a time, and names what was altered, is missing or was never numbered.',
      ...needs('audit.read'), querystring: AuditRange,
      response: answers({ 200: answer(AuditVerification, 'What the check found.') }),
    },
  }, async ({ actor, query }) => verifyAuditEvents(deps, actor, query))
}

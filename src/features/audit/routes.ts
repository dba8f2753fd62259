import { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { Authority, Deps } from '../../platform/deps.ts'
import { needs } from '../../platform/http/auth.ts'
import { answers } from '../../platform/http/problems.ts'
import { answer } from '../../platform/http/schemas.ts'
import { exportAuditEvents } from './export.ts'
import { listAuditEvents, verifyAuditEvents } from './read.ts'
import { AuditEvent, AuditEventList, AuditFilter, AuditLines, AuditQuery, AuditRange, AuditVerification } from './schema.ts'

const linesMediaType = 'application/x-ndjson'

export const auditRoutes = (deps: Deps, authority: Authority): FastifyPluginAsyncTypebox => async (app) => {
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

  const underWay = new Set<Readable>()
  // Whoever reads a cut connection to its end knows that lines are missing; waiting for long exports would hold up a stop.
  app.addHook('preClose', async () => { for (const lines of underWay) lines.destroy(new Error('The service is being stopped')) })

  app.get('/v1/audit-events/export', {
    schema: {
      operationId: 'exportAuditEvents', tags: ['Audit'], summary: 'Export audit events',
      description: 'The events that fit the filters as newline-delimited JSON, oldest first, up to the moment of the call. A person needs a fresh second factor. The export is an event itself. An answer that breaks off is not whole: ask again.',
      ...needs('audit.read'), querystring: AuditFilter,
      response: answers({ 200: { description: 'The events, one a line.', content: { [linesMediaType]: { schema: AuditLines, example: AuditLines.examples[0] } } } }, 'insufficient_user_authentication'),
    },
  }, async (request, reply) => {
    reply.type(linesMediaType)
    if (request.method === 'HEAD') return reply.send()
    // A socket that is silent is closed after a while; one whose export finds little for long is not silent for want of work.
    const { socket } = request.raw
    const lines = await exportAuditEvents(deps, authority, request.actor, request.query, () => { if (socket instanceof Socket) socket.setTimeout(app.server.timeout) })
    underWay.add(lines)
    lines.once('close', () => underWay.delete(lines))
    return reply.send(lines)
  })

  app.get('/v1/audit-events/verification', {
    schema: {
      operationId: 'verifyAuditEvents', tags: ['Audit'], summary: 'Check the audit chain',
      description: 'Recomputes the signature of each event and of the chain over a time, and names what was altered, is missing or was never numbered. Where older events were dropped, it begins at the checkpoint that was signed then.',
      ...needs('audit.read'), querystring: AuditRange,
      response: answers({ 200: answer(AuditVerification, 'What the check found.') }),
    },
  }, async ({ actor, query }) => verifyAuditEvents(deps, actor, query))
}

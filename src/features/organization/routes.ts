import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { Deps } from '../../platform/deps.ts'
import { needs } from '../../platform/http/auth.ts'
import { etagOf, notModified, precondition } from '../../platform/http/etags.ts'
import { sendAnswer } from '../../platform/http/idempotency.ts'
import { answers, answersToBody } from '../../platform/http/problems.ts'
import { answer, empty, EtagHeader, IfMatchHeader, IfNoneMatchHeader, ref } from '../../platform/http/schemas.ts'
import { isWaiting, mayWait, waitingAnswer } from '../../platform/http/waiting.ts'
import { changeOrganization, readOrganization } from './organization.ts'
import { Organization, OrganizationChange } from './schema.ts'

export const organizationRoutes = (deps: Deps): FastifyPluginAsyncTypebox => async (app) => {
  app.addSchema(Organization)
  app.addSchema(OrganizationChange)

  app.get('/v1/organization', {
    schema: {
      operationId: 'readOrganization', tags: ['Organization'], summary: 'Read the organisation',
      description: 'Name, address, phone, contacts, language and default country of the tenant of the token.',
      ...needs('organization.read'), headers: IfNoneMatchHeader,
      response: answers({ 200: answer(Organization, 'The organisation.', EtagHeader), 304: empty('It still has the version of `If-None-Match`.', EtagHeader) }),
    },
  }, async (request, reply) => {
    const organization = await readOrganization(deps, request.actor)
    return notModified(request, reply, organization.version) ? reply : organization
  })

  app.patch('/v1/organization', {
    schema: {
      operationId: 'changeOrganization', tags: ['Organization'], summary: 'Change the organisation',
      description: 'Changes the named fields. The default country is fixed once set. With a new security contact all of it waits for a second approver.',
      ...needs('organization.write'), headers: IfMatchHeader, body: ref(OrganizationChange),
      response: answersToBody({ 200: answer(Organization, 'The organisation as it is now.', EtagHeader), ...mayWait },
        'insufficient_user_authentication', 'version_mismatch', 'invalid_phone_number', 'phone_number_not_allowed', 'invalid_email', 'country_immutable'),
    },
  }, async (request, reply) => {
    const organization = await deps.db.inTenant(request.actor.tenantId, (tx) => changeOrganization(deps, tx, request.actor, request.body, precondition(request)))
    if (isWaiting(organization)) return sendAnswer(reply, waitingAnswer(organization))
    return reply.header('etag', etagOf(organization.version)).send(organization)
  })
}

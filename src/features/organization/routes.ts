import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { Deps } from '../../platform/deps.ts'
import { needs } from '../../platform/http/auth.ts'
import { etagOf, notModified, precondition } from '../../platform/http/etags.ts'
import { answers, answersToBody } from '../../platform/http/problems.ts'
import { answer, empty, EtagHeader, IfMatchHeader, IfNoneMatchHeader, ref } from '../../platform/http/schemas.ts'
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
      description: 'Changes the named fields. The default country is fixed once set. A new security contact needs a second approver, except in a sandbox.',
      ...needs('organization.write'), headers: IfMatchHeader, body: ref(OrganizationChange),
      response: answersToBody({ 200: answer(Organization, 'The organisation as it is now.', EtagHeader) },
        'insufficient_user_authentication', 'version_mismatch', 'invalid_phone_number', 'phone_number_not_allowed', 'invalid_email', 'country_immutable'),
    },
  }, async (request, reply) => {
    const organization = await deps.db.inTenant(request.actor.tenantId, (tx) => changeOrganization(deps, tx, request.actor, request.body, precondition(request)))
    return reply.header('etag', etagOf(organization.version)).send(organization)
  })
}

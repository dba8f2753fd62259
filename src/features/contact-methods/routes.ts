import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { Deps } from '../../platform/deps.ts'
import { needs, userIdOf } from '../../platform/http/auth.ts'
import { etagOf, notModified, precondition } from '../../platform/http/etags.ts'
import { once, sendAnswer } from '../../platform/http/idempotency.ts'
import { isWaiting, mayWait, waitingAnswer } from '../../platform/http/waiting.ts'
import { answers, answersToBody } from '../../platform/http/problems.ts'
import { answer, empty, EtagHeader, IdempotencyHeader, IfMatchHeader, IfNoneMatchHeader, locationHeader, ReplayedHeader, ref } from '../../platform/http/schemas.ts'
import { methodsLister, readContactMethod, revealContactMethods } from './read.ts'
import { ContactMethod, ContactMethodChange, ContactMethodList, DefaultMethod, MethodParams, MethodQuery, MethodsQuery, NewContactMethod, OwnerParams, pendingExample } from './schema.ts'
import { addOrAsk, changeOrAsk, chooseOrAsk, removeOrAsk, type MethodTools } from './waits.ts'

const addedHeaders = { ...EtagHeader, ...locationHeader(`/v1/users/demo-user/contact-methods/${pendingExample.id}`), ...ReplayedHeader }

export const contactMethodRoutes = (deps: Deps, tools: MethodTools): FastifyPluginAsyncTypebox => async (app) => {
  app.addSchema(ContactMethod)
  app.addSchema(ContactMethodList)
  app.addSchema(NewContactMethod)
  app.addSchema(ContactMethodChange)
  app.addSchema(DefaultMethod)
  const listContactMethods = methodsLister(deps)

  app.get('/v1/users/:userId/contact-methods', {
    config: { admitsItself: true },
    schema: {
      operationId: 'listContactMethods', tags: ['Contact methods'], summary: 'List contact methods',
      description: 'The phones and alternate e-mails of a user, oldest first, pending and disabled ones among them. Values are masked.',
      ...needs('contactMethods.read'), params: OwnerParams, querystring: MethodsQuery,
      response: answers({ 200: answer(ContactMethodList, 'A page of methods.') }, 'insufficient_user_authentication', 'not_found', 'invalid_cursor', 'rate_limited'),
    },
  }, async (request) => {
    const { actor, query } = request
    return query.reveal ? revealContactMethods(deps, actor, userIdOf(request)!, query) : listContactMethods(actor, userIdOf(request)!, query)
  })

  app.post('/v1/users/:userId/contact-methods', {
    schema: {
      operationId: 'addContactMethod', tags: ['Contact methods'], summary: 'Add a contact method',
      description: 'It stays `pending`, and counts for nothing, until a `verifyContact` challenge for it is approved; after 24 h it is gone. Adding sends nothing. What an administrator does to the methods of a privileged user waits for a second approver.',
      ...needs('contactMethods.write'), params: OwnerParams, headers: IdempotencyHeader, body: ref(NewContactMethod),
      response: answersToBody({ 201: answer(ContactMethod, 'The method.', addedHeaders, pendingExample), ...mayWait },
        'insufficient_user_authentication', 'proof_required', 'not_found', 'method_limit_reached', 'duplicate_method', 'method_not_usable', 'user_frozen', 'user_offboarded',
        'idempotency_in_progress', 'idempotency_key_reused', 'invalid_phone_number', 'phone_number_not_allowed', 'invalid_email', 'channel_not_available', 'same_as_sign_in'),
    },
  }, async (request, reply) => {
    const userId = userIdOf(request)!
    return sendAnswer(reply, await once(deps, request, async (tx) => {
      const method = await addOrAsk(deps, tx, request.actor, userId, request.body)
      if (isWaiting(method)) return waitingAnswer(method)
      return { status: 201, headers: { location: `/v1/users/${encodeURIComponent(userId)}/contact-methods/${method.id}`, etag: etagOf(method.version) }, body: method }
    }))
  })

  app.get('/v1/users/:userId/contact-methods/:methodId', {
    schema: {
      operationId: 'readContactMethod', tags: ['Contact methods'], summary: 'Read a contact method',
      description: 'One method; its id comes from the list. The value is masked.',
      ...needs('contactMethods.read'), params: MethodParams, querystring: MethodQuery, headers: IfNoneMatchHeader,
      response: answers({ 200: answer(ContactMethod, 'The method.', EtagHeader), 304: empty('It still has the version of `If-None-Match`.', EtagHeader) },
        'insufficient_user_authentication', 'not_found', 'rate_limited'),
    },
  }, async (request, reply) => {
    const reveal = request.query.reveal ?? false
    const method = await readContactMethod(deps, request.actor, userIdOf(request)!, request.params.methodId, reveal)
    if (reveal) return reply.header('etag', etagOf(method.version)).send(method)
    return notModified(request, reply, method.version) ? reply : method
  })

  app.patch('/v1/users/:userId/contact-methods/:methodId', {
    schema: {
      operationId: 'changeContactMethod', tags: ['Contact methods'], summary: 'Change a contact method',
      description: 'Changes the named fields; the id comes from the list. A new value of an active method waits in `pendingChange` for its code while the old one keeps working; a second one takes its place; `"pendingChange": null` withdraws it.',
      ...needs('contactMethods.write'), params: MethodParams, headers: IfMatchHeader, body: ref(ContactMethodChange),
      response: answersToBody({ 200: answer(ContactMethod, 'The method as it is now.', EtagHeader), ...mayWait },
        'insufficient_user_authentication', 'proof_required', 'not_found', 'version_mismatch', 'duplicate_method', 'method_not_usable', 'user_frozen', 'user_offboarded',
        'kind_immutable', 'invalid_phone_number', 'phone_number_not_allowed', 'invalid_email', 'channel_not_available', 'same_as_sign_in'),
    },
  }, async (request, reply) => {
    const { actor, params, body } = request
    const method = await deps.db.inTenant(actor.tenantId, (tx) =>
      changeOrAsk(deps, tx, actor, userIdOf(request)!, params.methodId, body, precondition(request), tools))
    if (isWaiting(method)) return sendAnswer(reply, waitingAnswer(method))
    return reply.header('etag', etagOf(method.version)).send(method)
  })

  app.delete('/v1/users/:userId/contact-methods/:methodId', {
    schema: {
      operationId: 'removeContactMethod', tags: ['Contact methods'], summary: 'Remove a contact method',
      description: 'Removes it; the id comes from the list. If it was the default, the next one by the policy\'s order takes its place. The last method that satisfies the policy stays.',
      ...needs('contactMethods.write'), params: MethodParams, headers: IfMatchHeader,
      response: answers({ 204: empty('It is removed.'), ...mayWait },
        'insufficient_user_authentication', 'proof_required', 'not_found', 'version_mismatch', 'last_method', 'user_frozen', 'user_offboarded'),
    },
  }, async (request, reply) => {
    const { actor, params } = request
    const waiting = await deps.db.inTenant(actor.tenantId, (tx) => removeOrAsk(deps, tx, actor, userIdOf(request)!, params.methodId, precondition(request), tools))
    return waiting ? sendAnswer(reply, waitingAnswer(waiting)) : reply.code(204).send()
  })

  app.put('/v1/users/:userId/default-method', {
    schema: {
      operationId: 'chooseDefaultMethod', tags: ['Contact methods'], summary: 'Choose the default method',
      description: 'The method, and the channel, that is tried first at sign-in. The id comes from the list of methods.',
      ...needs('contactMethods.write'), params: OwnerParams, headers: IfMatchHeader, body: ref(DefaultMethod),
      response: answersToBody({ 200: answer(ContactMethod, 'The method that is now the default.', EtagHeader), ...mayWait },
        'insufficient_user_authentication', 'proof_required', 'not_found', 'version_mismatch', 'method_not_usable', 'user_frozen', 'user_offboarded', 'channel_not_available'),
    },
  }, async (request, reply) => {
    const { actor, body } = request
    const method = await deps.db.inTenant(actor.tenantId, (tx) => chooseOrAsk(deps, tx, actor, userIdOf(request)!, body, precondition(request)))
    if (isWaiting(method)) return sendAnswer(reply, waitingAnswer(method))
    return reply.header('etag', etagOf(method.version)).send(method)
  })
}

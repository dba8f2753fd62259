import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { Authority, Deps, LimitCaller } from '../../platform/deps.ts'
import type { TenantTx } from '../../platform/db/index.ts'
import { needs, userIdOf } from '../../platform/http/auth.ts'
import { etagOf, notModified, precondition } from '../../platform/http/etags.ts'
import { once, sendAnswer } from '../../platform/http/idempotency.ts'
import { isWaiting, mayWait, waitingAnswer } from '../../platform/http/waiting.ts'
import { answers, answersToBody } from '../../platform/http/problems.ts'
import { answer, empty, EtagHeader, IdempotencyHeader, IfMatchHeader, IfNoneMatchHeader, locationHeader, ReplayedHeader, ref } from '../../platform/http/schemas.ts'
import { changeUser } from './change.ts'
import { clearPrivilege } from './privilege.ts'
import type { TellSignInEmail } from './put.ts'
import { listUsers, readUser, searchUsers } from './read.ts'
import { revokeSessions } from './revoke-sessions.ts'
import { NewSessionRevocation, RevealQuery, SessionRevocation, User, UserChange, UserList, UserListQuery, UserParams, UserSearch } from './schema.ts'

/** `defaultCountry` settles a number in national format; it belongs to the organisation. */
export const userRoutes = (deps: Deps, authority: Authority, defaultCountry: (tx: TenantTx) => Promise<string | null>, limitCaller: LimitCaller, tellSignInEmail: TellSignInEmail): FastifyPluginAsyncTypebox => async (app) => {
  app.addSchema(User)
  app.addSchema(UserList)
  app.addSchema(UserChange)
  app.addSchema(UserSearch)
  app.addSchema(NewSessionRevocation)
  app.addSchema(SessionRevocation)

  app.put('/v1/users/:userId', {
    schema: {
      operationId: 'putUser', tags: ['Users'], summary: 'Make or change a user',
      description: 'Makes the user, or changes the named fields; every other field keeps its value. Changing the sign-in e-mail or the status of a privileged user waits for a second approver; `privileged` is not cleared here.',
      ...needs('users.write'), params: UserParams, headers: IfMatchHeader, body: ref(UserChange),
      response: answersToBody({
        200: answer(User, 'The user as they are now.', EtagHeader),
        201: answer(User, 'The user was made.', { ...EtagHeader, ...locationHeader('/v1/users/demo-user') }),
        ...mayWait,
      }, 'insufficient_user_authentication', 'not_found', 'user_offboarded', 'version_mismatch', 'invalid_email', 'same_as_sign_in'),
    },
  }, async (request, reply) => {
    const { actor, body } = request
    const changed = await deps.db.inTenant(actor.tenantId, (tx) => changeUser(deps, tx, authority, actor, userIdOf(request)!, body, precondition(request), tellSignInEmail))
    if (isWaiting(changed)) return sendAnswer(reply, waitingAnswer(changed))
    const { user, created } = changed
    if (created) reply.code(201).header('location', `/v1/users/${encodeURIComponent(user.userId)}`)
    return reply.header('etag', etagOf(user.version)).send(user)
  })

  app.get('/v1/users/:userId', {
    schema: {
      operationId: 'readUser', tags: ['Users'], summary: 'Read a user',
      description: 'Oneself (`me`), or anyone for those who may read users. The sign-in e-mail is masked.',
      ...needs('users.read'), params: UserParams, querystring: RevealQuery, headers: IfNoneMatchHeader,
      response: answers({ 200: answer(User, 'The user.', EtagHeader), 304: empty('They still have the version of `If-None-Match`.', EtagHeader) },
        'insufficient_user_authentication', 'not_found', 'rate_limited'),
    },
  }, async (request, reply) => {
    const reveal = request.query.reveal ?? false
    const user = await readUser(deps, authority, request.actor, userIdOf(request)!, reveal, limitCaller)
    if (reveal) return reply.header('etag', etagOf(user.version)).send(user)
    return notModified(request, reply, user.version) ? reply : user
  })

  app.delete('/v1/users/:userId/privilege', {
    schema: {
      operationId: 'clearPrivilege', tags: ['Users'], summary: 'Make a user no longer privileged',
      description: 'Waits for a second approver; of a user who is not privileged there is nothing to clear. Whoever uses an administrator\'s role after that is privileged again.',
      ...needs('users.clearPrivilege'), params: UserParams, headers: IfMatchHeader,
      response: answers({ 204: empty('The user is not privileged.'), ...mayWait }, 'insufficient_user_authentication', 'not_found', 'user_offboarded', 'version_mismatch'),
    },
  }, async (request, reply) => {
    const { actor } = request
    const waiting = await deps.db.inTenant(actor.tenantId, (tx) => clearPrivilege(deps, tx, authority, actor, userIdOf(request)!, precondition(request)))
    return waiting ? sendAnswer(reply, waitingAnswer(waiting)) : reply.code(204).send()
  })

  app.get('/v1/users', {
    schema: {
      operationId: 'listUsers', tags: ['Users'], summary: 'Find users by id or name',
      description: 'Users whose id is, or whose id or name starts with, `search`; all of them without it. In the order of their ids.',
      ...needs('users.search'), querystring: UserListQuery,
      response: answers({ 200: answer(UserList, 'A page of users.') }, 'invalid_cursor'),
    },
  }, async ({ actor, query }) => listUsers(deps, actor, query))

  app.post('/v1/users/search', {
    schema: {
      operationId: 'searchUsers', tags: ['Users'], summary: 'Find users by exact phone or e-mail',
      description: 'Users who have exactly this number or address as a contact method, or sign in with it. It stands in the body so that it gets into no log. A caller may do so many an hour, whether they find someone or not.',
      ...needs('users.search'), body: ref(UserSearch),
      response: answersToBody({ 200: answer(UserList, 'The users found; at most 200.') }, 'invalid_phone_number', 'phone_number_not_allowed', 'invalid_email', 'rate_limited'),
    },
  }, async ({ actor, body }) => searchUsers(deps, actor, body, defaultCountry, limitCaller))

  app.post('/v1/users/:userId/session-revocations', {
    schema: {
      operationId: 'revokeSessions', tags: ['Users'], summary: 'Revoke the sessions of a user',
      description: 'Tokens of a sign-in before this second are refused everywhere from now on; with `forgetDevices`, apps forget the devices that they remember. Does not wait for a second approver.',
      ...needs('sessions.revoke'), params: UserParams, headers: IdempotencyHeader, body: ref(NewSessionRevocation), 'x-body-optional': true,
      response: answersToBody({
        201: answer(SessionRevocation, 'From when sessions and devices are good.', { ...locationHeader('/v1/users/demo-user/sign-in-requirements'), ...ReplayedHeader }),
      }, 'insufficient_user_authentication', 'not_found', 'user_offboarded', 'idempotency_in_progress', 'idempotency_key_reused'),
    },
  }, async (request, reply) => {
    const userId = userIdOf(request)!
    return sendAnswer(reply, await once(deps, request, async (tx) => {
      const revocation = await revokeSessions(deps, tx, authority, request.actor, userId, request.body)
      return { status: 201, headers: { location: `/v1/users/${encodeURIComponent(userId)}/sign-in-requirements` }, body: revocation }
    }))
  })
}

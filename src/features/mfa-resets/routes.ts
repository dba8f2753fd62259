import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { Deps } from '../../platform/deps.ts'
import { needs, userIdOf } from '../../platform/http/auth.ts'
import { once, sendAnswer, type Kept } from '../../platform/http/idempotency.ts'
import { answers, answersToBody } from '../../platform/http/problems.ts'
import { answer, IdempotencyHeader, locationHeader, ref, ReplayedHeader } from '../../platform/http/schemas.ts'
import { previewReset, refuseContradictions } from './plan.ts'
import { listResets, readReset } from './read.ts'
import { resetUser } from './reset.ts'
import { NewReset, Reset, ResetDone, ResetList, ResetParams, ResetPreview, ResetQuery, ResetsParams, ResetsQuery, ResetWaiting } from './schema.ts'

export const resetRoutes = (deps: Deps): FastifyPluginAsyncTypebox => async (app) => {
  for (const schema of [NewReset, ResetDone, ResetWaiting, ResetPreview, Reset, ResetList]) app.addSchema(schema)

  app.post('/v1/users/:userId/mfa-resets', {
    schema: {
      operationId: 'resetUser', tags: ['Resets'], summary: 'Reset a user\'s MFA',
      description: 'Takes methods away, ends what is pending, voids passes and codes, lifts the lock, and revokes sessions, all in one. Where the policy is not met any more, and always with scope `all`, the user must register again: with a pass or a verified method that is left, not with a password alone. The user is told at every verified address they had. To a privileged user it is done once a second privileged administrator approves. With `dryRun=true` it says what would happen.',
      ...needs('mfaResets.create'), params: ResetsParams, querystring: ResetQuery, headers: IdempotencyHeader, body: ref(NewReset),
      response: answersToBody({
        200: answer(ResetPreview, 'A dry run: what would happen.'),
        201: answer(ResetDone, 'The reset was done.', { ...locationHeader('/v1/mfa-resets/0199c0de-0000-7000-8000-000000000007'), ...ReplayedHeader }),
        202: answer(ResetWaiting, 'It waits for a second approver, for 30 minutes.', { ...locationHeader('/v1/approvals/0199c0de-0000-7000-8000-000000000008'), ...ReplayedHeader }),
      }, 'insufficient_user_authentication', 'not_found', 'reset_in_progress', 'user_offboarded', 'idempotency_in_progress', 'idempotency_key_reused', 'policy_out_of_bounds', 'rate_limited'),
    },
  }, async (request, reply) => {
    const { actor, body, query } = request
    const userId = userIdOf(request)!
    refuseContradictions(body)
    if (query.dryRun) return deps.db.inTenant(actor.tenantId, (tx) => previewReset(deps, tx, actor, userId, body))
    return sendAnswer(reply, await once(deps, request, async (tx) => {
      const reset = await resetUser(deps, tx, actor, userId, body)
      return reset.status === 'completed'
        ? { status: 201, headers: { location: `/v1/mfa-resets/${reset.id}` }, body: reset }
        : { status: 202, headers: { location: `/v1/approvals/${reset.approvalId}` }, body: reset }
    }, passless))
  })

  app.get('/v1/users/:userId/mfa-resets', {
    schema: {
      operationId: 'listResets', tags: ['Resets'], summary: 'List a user\'s resets',
      description: 'What was reset, when, by whom and why; newest first.',
      ...needs('mfaResets.read'), params: ResetsParams, querystring: ResetsQuery,
      response: answers({ 200: answer(ResetList, 'A page of resets.') }, 'not_found', 'invalid_cursor'),
    },
  }, async (request) => listResets(deps, request.actor, userIdOf(request)!, request.query))

  app.get('/v1/mfa-resets/:resetId', {
    schema: {
      operationId: 'readReset', tags: ['Resets'], summary: 'Read a reset',
      description: 'One reset; its id comes from the list of the user\'s resets.',
      ...needs('mfaResets.read'), params: ResetParams,
      response: answers({ 200: answer(Reset, 'The reset.') }, 'not_found'),
    },
  }, async ({ actor, params }) => readReset(deps, actor, params.resetId.toLowerCase()))
}

/** A pass is shown once: an answer that is asked for again comes without its value. */
const passless: Kept = {
  keep (given) {
    const { temporaryAccessPass: pass, ...rest } = given.body as ResetDone
    return pass ? { ...given, body: { ...rest, temporaryAccessPass: { ...pass, value: null } } } : given
  },
  again: (_tx, kept) => Promise.resolve(kept),
}

import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { Deps } from '../../../platform/deps.ts'
import { needs, userIdOf } from '../../../platform/http/auth.ts'
import { once, sendAnswer, type Kept } from '../../../platform/http/idempotency.ts'
import { answersToBody } from '../../../platform/http/problems.ts'
import { answer, IdempotencyHeader, locationHeader, ReplayedHeader, ref } from '../../../platform/http/schemas.ts'
import { isWaiting, mayWait, waitingAnswer } from '../../../platform/http/waiting.ts'
import { issueOrAsk, type SpendCallerCheck } from './issue.ts'
import { NewPass, PassParams, passId, TemporaryAccessPass } from './schema.ts'

export const passRoutes = (deps: Deps, spendCallerCheck: SpendCallerCheck): FastifyPluginAsyncTypebox => async (app) => {
  app.addSchema(NewPass)
  app.addSchema(TemporaryAccessPass)

  app.post('/v1/users/:userId/authenticators/temporary-access-pass', {
    schema: {
      operationId: 'issueTemporaryAccessPass', tags: ['Authenticators'], summary: 'Issue a temporary access pass',
      description: 'With it the person recovers: they start a `recovery` challenge by channel `temporaryAccessPass`, verify the value and register with the proof. The value is shown this once; the pass before is void. For the help desk, and never for oneself; for a privileged user a privileged administrator asks for it, a second one approves, and `collect` shows it. Where the policy requires a caller check, `callerChallengeId` names it, or `basis` says `inPerson`.',
      ...needs('passes.issue'), params: PassParams, headers: IdempotencyHeader, body: ref(NewPass), 'x-body-optional': true,
      response: answersToBody({ 201: answer(TemporaryAccessPass, 'The pass.', { ...locationHeader(`/v1/users/demo-user/authenticators/${passId}`), ...ReplayedHeader }), ...mayWait },
        'insufficient_user_authentication', 'not_found', 'method_not_usable', 'user_frozen', 'user_offboarded', 'idempotency_in_progress', 'idempotency_key_reused', 'policy_out_of_bounds', 'rate_limited'),
    },
  }, async (request, reply) => {
    const userId = userIdOf(request)!
    return sendAnswer(reply, await once(deps, request, async (tx) => {
      const pass = await issueOrAsk(deps, tx, request.actor, userId, request.body, spendCallerCheck)
      if (isWaiting(pass)) return waitingAnswer(pass)
      return { status: 201, headers: { location: `/v1/users/${encodeURIComponent(userId)}/authenticators/${pass.authenticatorId}` }, body: pass }
    }, valueless))
  })
}

/** The value is not kept: whoever asks again has to issue another pass. */
const valueless: Kept = {
  keep: (given) => given.status === 201 ? { ...given, body: { ...given.body as TemporaryAccessPass, value: null } } : given,
  again: (_tx, kept) => Promise.resolve(kept),
}

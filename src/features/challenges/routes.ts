import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { Deps } from '../../platform/deps.ts'
import { needs } from '../../platform/http/auth.ts'
import { once, sendAnswer } from '../../platform/http/idempotency.ts'
import { answers, answersToBody } from '../../platform/http/problems.ts'
import { answer, IdempotencyHeader, locationHeader, ReplayedHeader, ref } from '../../platform/http/schemas.ts'
import { Refusal } from '../../platform/refusal.ts'
import { readChallenge } from './challenges.ts'
import { Approval, Challenge, ChallengeParams, NewChallenge, Verification } from './schema.ts'
import { startChallenge } from './start.ts'
import { checkOf } from './verify.ts'

export const challengeRoutes = (deps: Deps): FastifyPluginAsyncTypebox => async (app) => {
  app.addSchema(Challenge)
  app.addSchema(NewChallenge)
  app.addSchema(Verification)
  app.addSchema(Approval)

  app.post('/v1/challenges', {
    schema: {
      operationId: 'startChallenge', tags: ['Challenges'], summary: 'Start a challenge',
      description: 'Sends a code to the value of a method that waits to be verified: a pending method, or its pending change. `methodId` comes from the list of methods. A newer challenge of the same caller for the same user, purpose and method cancels the older one.',
      ...needs('challenges.start'), headers: IdempotencyHeader, body: ref(NewChallenge),
      response: answersToBody({ 201: answer(Challenge, 'The challenge; its code is on its way.', { ...locationHeader('/v1/challenges/0199c0de-0000-7000-8000-000000000003'), ...ReplayedHeader }) },
        'proof_required', 'not_found', 'method_not_usable', 'no_usable_method', 'channel_not_available', 'idempotency_in_progress', 'idempotency_key_reused', 'send_limited'),
    },
  }, async (request, reply) => sendAnswer(reply, await once(deps, request, async (tx) => {
    const challenge = await startChallenge(deps, tx, request.actor, request.body)
    return { status: 201, headers: { location: `/v1/challenges/${challenge.id}` }, body: challenge }
  })))

  app.get('/v1/challenges/:challengeId', {
    schema: {
      operationId: 'readChallenge', tags: ['Challenges'], summary: 'Read a challenge',
      description: 'The state of a challenge, for who started it; its id comes from starting it. End states stay readable for at least 24 h.',
      ...needs('challenges.use'), params: ChallengeParams,
      response: answers({ 200: answer(Challenge, 'The challenge.') }, 'not_found'),
    },
  }, async ({ actor, params }) => readChallenge(deps, actor, params.challengeId))

  app.post('/v1/challenges/:challengeId/verify', {
    schema: {
      operationId: 'verifyChallenge', tags: ['Challenges'], summary: 'Check a code',
      description: 'Judges the code, for who started the challenge; its id comes from starting it, the code from the message. Five wrong codes end the challenge. Spaces, signs or other digits than 0 to 9 are no code, and count as a wrong one.',
      ...needs('challenges.use'), params: ChallengeParams, headers: IdempotencyHeader, body: ref(Verification),
      response: answersToBody({ 200: answer(Approval, 'The code was right.', ReplayedHeader) },
        'malformed_code', 'insufficient_user_authentication', 'proof_required', 'not_found', 'challenge_approved', 'challenge_exhausted', 'challenge_canceled', 'challenge_failed', 'duplicate_method',
        'idempotency_in_progress', 'challenge_expired', 'wrong_code', 'channel_not_available', 'idempotency_key_reused'),
    },
  }, async (request, reply) => {
    const check = checkOf(deps, request.actor, request.params.challengeId, request.body)
    // A key must be claimed before anything is counted; without one, no connection is held while another is waited for.
    if (request.headers['idempotency-key'] === undefined) await check.count()
    return sendAnswer(reply, await once(deps, request, async (tx) => {
      const approval = await check.judge(tx)
      return approval instanceof Refusal ? approval : { status: 200, body: approval }
    }))
  })
}

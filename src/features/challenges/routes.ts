import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { Actor, Deps } from '../../platform/deps.ts'
import { needs } from '../../platform/http/auth.ts'
import { once, sendAnswer, type Kept } from '../../platform/http/idempotency.ts'
import { answers, answersToBody } from '../../platform/http/problems.ts'
import { answer, IdempotencyHeader, locationHeader, ReplayedHeader, ref } from '../../platform/http/schemas.ts'
import { Refusal } from '../../platform/refusal.ts'
import { approvalAgain } from './approve.ts'
import { onTheBeat } from './beat.ts'
import { cancelChallenge, readChallenge } from './challenges.ts'
import { resendCode } from './resend.ts'
import { runAlone, runIn } from './send.ts'
import { Approval, canceledExample, Challenge, ChallengeParams, NewChallenge, NoFields, Verification } from './schema.ts'
import { startChallenge } from './start.ts'
import { checkOf } from './verify.ts'

export const challengeRoutes = (deps: Deps): FastifyPluginAsyncTypebox => async (app) => {
  app.addSchema(Challenge)
  app.addSchema(NewChallenge)
  app.addSchema(Verification)
  app.addSchema(Approval)
  app.addSchema(NoFields)

  app.post('/v1/challenges', {
    schema: {
      operationId: 'startChallenge', tags: ['Challenges'], summary: 'Start a challenge',
      description: 'Sends a code to a method of the user, the default one unless `methodId` names another; that id comes from the list of methods. `verifyContact` sends it to a value that waits to be verified: a pending method, or its pending change. A person may start `verifyContact`, `stepUp` and `recovery` for themself, an app everything but `callerCheck`, the help desk a `callerCheck`. A newer challenge of the same caller for the same user, purpose and method cancels the older one. An app that may not read users gets an answer of the same form whether or not the user exists and can be reached.',
      ...needs('challenges.start'), headers: IdempotencyHeader, body: ref(NewChallenge),
      response: answersToBody({ 201: answer(Challenge, 'The challenge; its code is on its way.', { ...locationHeader('/v1/challenges/0199c0de-0000-7000-8000-000000000003'), ...ReplayedHeader }) },
        'proof_required', 'not_found', 'method_not_usable', 'no_usable_method', 'user_frozen', 'user_offboarded', 'phone_number_not_allowed', 'channel_not_available', 'user_locked',
        'idempotency_in_progress', 'idempotency_key_reused', 'send_limited'),
    },
  }, async (request, reply) => {
    const { actor, body } = request
    const started = (challenge: Challenge) => ({ status: 201, headers: { location: `/v1/challenges/${challenge.id}` }, body: challenge })
    return sendAnswer(reply, await onTheBeat(actor, async () => request.headers['idempotency-key'] === undefined
      ? started(await startChallenge(deps, actor, body, runAlone(deps, actor)))
      : once(deps, request, async (tx) => started(await startChallenge(deps, actor, body, runIn(tx))))))
  })

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
      description: 'Judges the code, for who started the challenge; its id comes from starting it, the code from the message. Five wrong codes end the challenge, ten in a row over all challenges lock the user for 15 minutes. Five wrong tries in a row at a temporary access pass make that void instead. Spaces, signs or other digits than 0 to 9 are no code, and count as a wrong one. The proof in the answer is a signed token that anyone can check with the keys at `/.well-known/jwks.json`. Send an `Idempotency-Key`: with it an answer that was lost, and its proof, can be had again; without it an approved challenge gives no second one.',
      ...needs('challenges.use'), params: ChallengeParams, headers: IdempotencyHeader, body: ref(Verification),
      response: answersToBody({ 200: answer(Approval, 'The code was right.', ReplayedHeader) },
        'malformed_code', 'insufficient_user_authentication', 'proof_required', 'not_found', 'challenge_approved', 'challenge_exhausted', 'challenge_canceled', 'challenge_failed', 'duplicate_method',
        'idempotency_in_progress', 'challenge_expired', 'wrong_code', 'channel_not_available', 'idempotency_key_reused', 'user_locked'),
    },
  }, async (request, reply) => {
    const { actor, params: { challengeId } } = request
    return sendAnswer(reply, await onTheBeat(actor, async () => {
      const check = checkOf(deps, actor, challengeId, request.body)
      // A key must be claimed before anything is counted; without one, no connection is held while another is waited for.
      if (request.headers['idempotency-key'] === undefined) {
        await check.count()
        const approval = await check.approve()
        if (approval) return { status: 200, body: approval }
      }
      return once(deps, request, async (tx) => {
        const approval = await check.judge(tx)
        return approval instanceof Refusal ? approval : { status: 200, body: approval }
      }, proofless(deps, actor, challengeId))
    }))
  })

  app.post('/v1/challenges/:challengeId/resend', {
    schema: {
      operationId: 'resendChallenge', tags: ['Challenges'], summary: 'Send a new code',
      description: 'Sends a new code, for who started the challenge; its id comes from starting it. The old code is wrong from then on. Attempts go on counting, and 15 minutes after its start the challenge ends. `resendAvailableAt` says from when it is allowed.',
      ...needs('challenges.use'), params: ChallengeParams, headers: IdempotencyHeader, body: ref(NoFields), 'x-body-optional': true,
      response: answersToBody({ 200: answer(Challenge, 'The challenge; the new code is on its way.', ReplayedHeader) },
        'not_found', 'challenge_approved', 'challenge_exhausted', 'challenge_canceled', 'challenge_failed', 'nothing_to_resend', 'method_not_usable', 'idempotency_in_progress',
        'challenge_expired', 'phone_number_not_allowed', 'channel_not_available', 'idempotency_key_reused', 'user_locked', 'send_limited'),
    },
  }, async (request, reply) => {
    const { actor, params: { challengeId } } = request
    return sendAnswer(reply, await onTheBeat(actor, async () => request.headers['idempotency-key'] === undefined
      ? { status: 200, body: await resendCode(deps, actor, challengeId, runAlone(deps, actor)) }
      : once(deps, request, async (tx) => ({ status: 200, body: await resendCode(deps, actor, challengeId, runIn(tx)) }))))
  })

  app.post('/v1/challenges/:challengeId/cancel', {
    schema: {
      operationId: 'cancelChallenge', tags: ['Challenges'], summary: 'Cancel a challenge',
      description: 'Ends a challenge that is pending, for who started it; its id comes from starting it. Its code is wrong from then on. A message that has not gone out yet is not sent.',
      ...needs('challenges.use'), params: ChallengeParams, headers: IdempotencyHeader, body: ref(NoFields), 'x-body-optional': true,
      response: answersToBody({ 200: answer(Challenge, 'The challenge, canceled.', ReplayedHeader, canceledExample) },
        'not_found', 'challenge_approved', 'challenge_exhausted', 'challenge_canceled', 'challenge_failed', 'idempotency_in_progress', 'challenge_expired', 'idempotency_key_reused'),
    },
  }, async (request, reply) => sendAnswer(reply, await onTheBeat(request.actor, () => once(deps, request, async (tx) =>
    ({ status: 200, body: await cancelChallenge(deps, tx, request.actor, request.params.challengeId) })))))
}

/** An approval is kept without its proof, which is signed again with the same claims when the answer is asked for again. */
const proofless = (deps: Deps, actor: Actor, challengeId: string): Kept => ({
  keep: (given) => ({ ...given, body: { ...given.body as Approval, proof: null } }),
  again: async (tx, kept) => ({ ...kept, body: await approvalAgain(deps, tx, actor, challengeId) }),
})

import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { Deps } from '../../platform/deps.ts'
import { needs } from '../../platform/http/auth.ts'
import { once, sendAnswer, type Kept } from '../../platform/http/idempotency.ts'
import { answers, answersToBody } from '../../platform/http/problems.ts'
import { answer, IdempotencyHeader, ReplayedHeader, ref } from '../../platform/http/schemas.ts'
import type { RefusalCode } from '../../platform/refusal.ts'
import { approve, collect, reject, type Powers } from './decide.ts'
import { listApprovals, readApproval } from './read.ts'
import { Approval, ApprovalList, ApprovalParams, ApprovalsQuery, approvedExample, Collection, CollectedApproval, Decision, rejectedExample } from './schema.ts'

const toDecide = ['insufficient_user_authentication', 'not_found', 'approval_closed', 'idempotency_in_progress', 'idempotency_key_reused'] as const satisfies RefusalCode[]

/** Carrying it out may be refused for whatever the request itself may be refused for. */
const toCarryOut = [
  'version_mismatch', 'user_offboarded', 'user_frozen', 'reset_in_progress', 'method_limit_reached', 'duplicate_method', 'last_method', 'method_not_usable', 'no_usable_method',
  'invalid_phone_number', 'phone_number_not_allowed', 'invalid_email', 'channel_not_available', 'same_as_sign_in', 'kind_immutable', 'country_immutable', 'policy_out_of_bounds',
  'rate_limited',
] as const satisfies RefusalCode[]

export const approvalRoutes = (deps: Deps, powers: Powers): FastifyPluginAsyncTypebox => async (app) => {
  for (const schema of [Approval, ApprovalList, CollectedApproval, Decision, Collection]) app.addSchema(schema)

  app.get('/v1/approvals', {
    schema: {
      operationId: 'listApprovals', tags: ['Approvals'], summary: 'List approvals',
      description: 'What waits for a second person, or did, newest first: all of the tenant for a privileged administrator, else what the caller asked for.',
      ...needs('approvals.read'), querystring: ApprovalsQuery,
      response: answers({ 200: answer(ApprovalList, 'A page of approvals.') }, 'invalid_cursor'),
    },
  }, async ({ actor, query }) => listApprovals(deps, actor, powers.executors, query))

  app.get('/v1/approvals/:approvalId', {
    schema: {
      operationId: 'readApproval', tags: ['Approvals'], summary: 'Read an approval',
      description: 'One approval; its id comes from the list, and from the answer of the request that waits.',
      ...needs('approvals.read'), params: ApprovalParams,
      response: answers({ 200: answer(Approval, 'The approval.') }, 'not_found'),
    },
  }, async ({ actor, params }) => readApproval(deps, actor, powers.executors, params.approvalId))

  app.post('/v1/approvals/:approvalId/approve', {
    schema: {
      operationId: 'approve', tags: ['Approvals'], summary: 'Approve and carry out',
      description: 'Carries out what waits; its id comes from the list. For a privileged administrator who neither asked for it nor is whom it is about. Everything is judged anew: what is refused now changes nothing, and waits on until it expires.',
      ...needs('approvals.approve'), params: ApprovalParams, headers: IdempotencyHeader, body: ref(Decision), 'x-body-optional': true,
      response: answersToBody({ 200: answer(Approval, 'It is carried out.', ReplayedHeader, approvedExample) }, ...toDecide, ...toCarryOut),
    },
  }, async (request, reply) => sendAnswer(reply, await once(deps, request, async (tx) =>
    ({ status: 200, body: await approve(deps, tx, powers, request.actor, request.params.approvalId, request.body) }))))

  app.post('/v1/approvals/:approvalId/reject', {
    schema: {
      operationId: 'reject', tags: ['Approvals'], summary: 'Reject or withdraw',
      description: 'Ends what waits, and nothing of it is done; its id comes from the list. For a privileged administrator whom it is not about, and for whoever asked for it.',
      ...needs('approvals.reject'), params: ApprovalParams, headers: IdempotencyHeader, body: ref(Decision), 'x-body-optional': true,
      response: answersToBody({ 200: answer(Approval, 'It is rejected.', ReplayedHeader, rejectedExample) }, ...toDecide),
    },
  }, async (request, reply) => sendAnswer(reply, await once(deps, request, async (tx) =>
    ({ status: 200, body: await reject(deps, tx, powers, request.actor, request.params.approvalId, request.body) }))))

  app.post('/v1/approvals/:approvalId/collect', {
    schema: {
      operationId: 'collectApproval', tags: ['Approvals'], summary: 'Collect what an approval gave',
      description: 'Makes and shows, once and within 30 minutes of the approval, what only the requester may see, such as a temporary access pass; its id comes from the list. A repeated answer does not show it again.',
      ...needs('approvals.collect'), params: ApprovalParams, headers: IdempotencyHeader, body: ref(Collection), 'x-body-optional': true,
      response: answersToBody({ 200: answer(CollectedApproval, 'The approval with what it gave.', ReplayedHeader) }, ...toDecide, ...toCarryOut),
    },
  }, async (request, reply) => sendAnswer(reply, await once(deps, request, async (tx) =>
    ({ status: 200, body: await collect(deps, tx, powers, request.actor, request.params.approvalId) }), secretless)))
}

/** What is shown once is not kept. */
const secretless: Kept = {
  keep: (given) => {
    const body = given.body as CollectedApproval
    return { ...given, body: { ...body, ...(body.temporaryAccessPass && { temporaryAccessPass: { ...body.temporaryAccessPass, value: null } }) } }
  },
  again: (_tx, kept) => Promise.resolve(kept),
}

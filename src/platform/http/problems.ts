import { Type, type Static, type TSchema } from '@sinclair/typebox'
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { isDatabaseUnavailable, isUnreadableValue, unavailable } from '../db/errors.ts'
import { Refusal, refusalCodes, statusOf, titleOf, type Fault, type RefusalCode, type RefusalExtras } from '../refusal.ts'
import { closed, oneOf } from './schemas.ts'

export const problemMediaType = 'application/problem+json'

/** RFC 9457. One schema for every error of every route. */
export const Problem = closed({
  type: Type.String({ description: 'Path of the page that explains the code.' }),
  title: Type.String(),
  status: Type.Integer(),
  detail: Type.String(),
  instance: Type.String({ description: 'The request id.' }),
  code: oneOf(refusalCodes, { description: 'Stable; a closed list.' }),
  errors: Type.Optional(Type.Array(closed({
    pointer: Type.Optional(Type.String({ description: 'JSON pointer into the body.' })),
    parameter: Type.Optional(Type.String({ description: 'Name of a path, query or header parameter.' })),
    code: Type.String(),
    message: Type.String(),
  }))),
  attemptsRemaining: Type.Optional(Type.Integer()),
  retryAfterSeconds: Type.Optional(Type.Integer()),
  rule: Type.Optional(Type.String({ description: 'The rule that decided.' })),
  challengeId: Type.Optional(Type.String({ description: 'The caller\'s own pending challenge.' })),
  resetId: Type.Optional(Type.String()),
}, {
  $id: 'Problem', title: 'Problem', description: 'An error, in the form of RFC 9457.',
  examples: [{
    type: '/problems/not_found', title: 'Not found', status: 404, detail: 'There is nothing here that you may see.',
    instance: '0199c0de-0000-7000-8000-000000000000', code: 'not_found',
  }],
})
export type Problem = Static<typeof Problem>

export function problemOf (code: RefusalCode, detail: string, instance: string, extras: RefusalExtras = {}): Problem {
  const { errors, attemptsRemaining, retryAfterSeconds, rule, challengeId, resetId } = extras
  return {
    type: `/problems/${code}`, title: titleOf(code), status: statusOf(code), detail, instance, code,
    ...(errors && { errors }),
    ...(attemptsRemaining !== undefined && { attemptsRemaining }),
    ...(retryAfterSeconds !== undefined && { retryAfterSeconds }),
    ...(rule !== undefined && { rule }),
    ...(challengeId !== undefined && { challengeId }),
    ...(resetId !== undefined && { resetId }),
  }
}

const everyRoute: RefusalCode[] = ['malformed_url', 'validation_failed', 'unauthenticated', 'invalid_token', 'forbidden', 'internal_error', 'unavailable']
const everyBody: RefusalCode[] = ['malformed_body', 'body_too_large', 'unsupported_media_type']

/** What a route's schema says of its answers: the good ones as given, and the codes it may refuse with. */
export function answers (good: Record<number, TSchema | object>, ...codes: RefusalCode[]): Record<number, object> {
  return { ...good, ...problemAnswers([...everyRoute, ...codes]) }
}

/** The same for a route that takes a body. */
export const answersToBody = (good: Record<number, TSchema | object>, ...codes: RefusalCode[]) => answers(good, ...everyBody, ...codes)

function problemAnswers (codes: RefusalCode[]): Record<number, object> {
  const byStatus = Map.groupBy(new Set(codes), statusOf)
  return Object.fromEntries([...byStatus].map(([status, list]) => [status, {
    description: list.map((code) => `\`${code}\`: ${titleOf(code)}.`).join(' '),
    'x-codes': list,
    ...headersOf(status, list),
    content: {
      [problemMediaType]: {
        schema: { $ref: 'Problem#' },
        examples: Object.fromEntries(list.map((code) => [code, { $ref: `#/components/examples/${code}` }])),
      },
    },
  }]))
}

const waits: readonly RefusalCode[] = ['idempotency_in_progress', 'send_limited', 'rate_limited', 'unavailable']

function headersOf (status: number, codes: RefusalCode[]): { headers?: Record<string, TSchema> } {
  const headers = {
    ...(status === 401 && { 'WWW-Authenticate': Type.String({ description: 'Names the fault as RFC 6750 does, and for a missing second factor how old one may be (RFC 9470).', examples: ['Bearer realm="latchkey"'] }) }),
    ...(codes.some((code) => waits.includes(code)) && { 'Retry-After': Type.Integer({ description: 'Seconds to wait, with the codes that go away by waiting.', examples: [1] }) }),
  }
  return Object.keys(headers).length > 0 ? { headers } : {}
}

/** The codes that a route declares for a status. */
export const declaredCodes = (request: FastifyRequest, status: number): readonly string[] => {
  const response = request.routeOptions.schema?.response as Record<number, { 'x-codes'?: string[] }> | undefined
  return response?.[status]?.['x-codes'] ?? []
}

/** Makes of any error what the caller is told. A bug is told as nothing but `internal_error`. */
export function refusalOf (error: FastifyError | Error, request: FastifyRequest): Refusal {
  if (error instanceof Refusal) return error
  const code = 'code' in error ? error.code : undefined
  if ('validation' in error && error.validation) return validationRefusal(error, request)
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') return new Refusal('body_too_large', 'A body may have 16 KiB at most.')
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE' || code === 'FST_ERR_CTP_INVALID_TYPE') return new Refusal('unsupported_media_type', 'Send application/json in UTF-8.')
  if (code === 'FST_ERR_CTP_INVALID_CONTENT_LENGTH') return new Refusal('malformed_body', 'The body is not as long as announced.')
  if (code === 'FST_ERR_BAD_URL' || code === 'FST_ERR_MAX_PARAM_LENGTH') return new Refusal('malformed_url', 'The path cannot be read.')
  if (code === 'FST_ERR_ASYNC_CONSTRAINT') return unavailable()
  if (isDatabaseUnavailable(error)) return unavailable()
  if (isUnreadableValue(error)) return new Refusal('validation_failed', 'A value cannot be stored as text.')
  return new Refusal('internal_error', 'Something went wrong on our side.')
}

/** Ajv's keywords that say "outside the bounds" and not "of the wrong form". */
const boundKeywords = new Set(['minimum', 'maximum', 'minItems', 'maxItems', 'minLength', 'maxLength'])

function validationRefusal (error: FastifyError, request: FastifyRequest): Refusal {
  const inBody = error.validationContext === 'body'
  const faults = (error.validation ?? []).slice(0, 20).map((fault): Fault => {
    const { additionalProperty, missingProperty } = fault.params as { additionalProperty?: string, missingProperty?: string }
    const named = additionalProperty ?? missingProperty
    const pointer = fault.instancePath + (named === undefined ? '' : `/${named.replaceAll('~', '~0').replaceAll('/', '~1')}`)
    const place = inBody ? { pointer } : { parameter: pointer.slice(1) }
    return { ...place, code: additionalProperty === undefined ? fault.keyword : 'unknown_field', message: fault.message ?? 'is not valid' }
  })
  const boundsCode = (request.routeOptions.config as { boundsCode?: RefusalCode }).boundsCode
  if (boundsCode && inBody && (error.validation ?? []).every((fault) => boundKeywords.has(fault.keyword))) {
    return new Refusal(boundsCode, 'A value is outside its bounds.', { errors: faults })
  }
  return new Refusal('validation_failed', inBody ? 'The body does not fit the schema.' : 'A parameter does not fit the schema.', { errors: faults })
}

/** Sends a refusal with the headers that belong to it. */
export function sendProblem (reply: FastifyReply, refusal: Refusal): FastifyReply {
  const { code, message, extras } = refusal
  if (extras.retryAfterSeconds !== undefined && statusOf(code) !== 423) reply.header('retry-after', extras.retryAfterSeconds)
  if (extras.allow !== undefined) reply.header('allow', extras.allow)
  const challenge = bearerChallenge(refusal)
  if (challenge) reply.header('www-authenticate', challenge)
  return reply.code(statusOf(code)).header('content-type', problemMediaType)
    .send(JSON.stringify(problemOf(code, message, reply.request.id, extras)))
}

/** RFC 6750 section 3, RFC 9470 section 3. */
function bearerChallenge ({ code, message, extras }: Refusal): string | undefined {
  if (code === 'unauthenticated') return 'Bearer realm="latchkey"'
  if (code === 'invalid_token') return `Bearer realm="latchkey", error="invalid_token", error_description="${message}"`
  if (code === 'insufficient_user_authentication') {
    return `Bearer realm="latchkey", error="insufficient_user_authentication", error_description="${message}", max_age="${extras.maxAgeSeconds ?? 600}"`
  }
  return undefined
}

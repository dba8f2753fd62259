import type { FastifyInstance, FastifyRequest, FastifySchema } from 'fastify'
import { ruleOf, type Action } from '../../vocabulary.ts'
import type { Actor } from '../deps.ts'
import { Refusal } from '../refusal.ts'
import { valuesOf } from './headers.ts'
import { closed, ProofHeader } from './schemas.ts'

declare module 'fastify' {
  interface FastifyRequest { actor: Actor }
  interface FastifySchema { 'x-permission'?: string }
  interface FastifyContextConfig { admitsItself?: boolean, boundsCode?: 'policy_out_of_bounds' }
}

/** Said once per route: published in OpenAPI, enforced before anything else is looked at, walked by the tests. */
export const needs = (action: Action) => ({
  security: [{ bearer: [] }, { signIn: ['openid'] }],
  'x-permission': action,
  ...permissionTexts(action),
})

/** What OpenAPI says of who may call. */
function permissionTexts (action: Action) {
  const { self, roles, scope } = ruleOf(action)
  return { 'x-roles': [...roles], 'x-scope': scope, 'x-self': self }
}

export type Authenticate = (request: FastifyRequest, action: Action) => Promise<Actor>

/**
 * Every `/v1` route declares its permission, and is judged by it before its body is read. `authenticate` yields the
 * caller or refuses; a route without a permission does not start.
 */
export function secure (app: FastifyInstance, authenticate: Authenticate): void {
  app.decorateRequest('actor')
  app.addHook('onRoute', ({ url, method, schema }) => {
    if (!url.startsWith('/v1')) return
    if (!schema?.['x-permission']) throw new Error(`${String(method)} ${url} declares no permission`)
    schema.querystring ??= closed({}) // what a route does not know it refuses, not drops
    if (takesProof(schema)) schema.headers = withProof(schema.headers)
  })
  app.addHook('onRequest', async (request) => {
    const action = request.routeOptions.schema?.['x-permission']
    if (action !== undefined) request.actor = await authenticate(request, action as Action)
  })
}

const proofCodes = ['insufficient_user_authentication', 'proof_required']

/** A route that may refuse for want of a second factor or a proof is one that takes a proof. */
const takesProof = ({ response = {} }: FastifySchema) =>
  Object.values(response as Record<string, { 'x-codes'?: string[] }>).some(({ 'x-codes': codes = [] }) => proofCodes.some((code) => codes.includes(code)))

const withProof = (headers: unknown) =>
  closed({ ...(headers as Partial<typeof ProofHeader> | undefined)?.properties, ...ProofHeader.properties }, { additionalProperties: true })

/** The proofs that came with a request, where its route takes one. */
export const proofsOf = (request: FastifyRequest): string[] =>
  'latchkey-proof' in request.headers && takesProof(request.routeOptions.schema ?? {}) ? valuesOf(request, 'latchkey-proof') : []

/** The token of a request (RFC 6750 section 2.1): one header, one scheme. */
export function bearerOf (request: FastifyRequest): string {
  const sent = valuesOf(request, 'authorization')
  if (sent.length === 0) throw new Refusal('unauthenticated', 'Send a bearer token.')
  const token = sent.length === 1 ? /^Bearer +([A-Za-z0-9\-._~+/]+=*)$/i.exec(sent[0]!)?.[1] : undefined
  if (token === undefined) {
    if (!/^Bearer\b/i.test(sent[0]!)) throw new Refusal('unauthenticated', 'Send a bearer token.')
    throw new Refusal('invalid_token', 'The token is not accepted.')
  }
  return token
}

/** The user a path names: `me` is the token's own subject. An app has no `me`. */
export function userIdOf (request: FastifyRequest, actor: Pick<Actor, 'subject' | 'kind'> = request.actor): string | null {
  const { userId } = request.params as { userId?: string }
  if (userId === undefined) return null
  if (userId !== 'me') return userId
  if (actor.kind === 'app') throw new Refusal('validation_failed', 'An app has no "me": name the user.', { errors: [{ parameter: 'userId', code: 'me', message: 'is for people' }] })
  return actor.subject
}

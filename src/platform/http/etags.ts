import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Precondition, PreconditionOf } from '../deps.ts'
import { Refusal } from '../refusal.ts'

export const etagOf = (version: number) => `"${version}"`

/** RFC 9110 section 13.1.1: strong comparison; `*` fits any version, but not what is not there. */
export const preconditionOf: PreconditionOf = (wanted) => Object.assign((version: number | null) => {
  if (wanted === undefined || (version !== null && named(wanted, false).some((tag) => tag === '*' || tag === etagOf(version)))) return
  throw new Refusal('version_mismatch', 'The resource has another version by now. Read it again.')
}, { wanted })

/** The precondition of a request. */
export const precondition = (request: FastifyRequest): Precondition => preconditionOf(request.headers['if-match'])

/** RFC 9110 section 13.1.2: weak comparison. True if the reply has been sent as 304. */
export function notModified (request: FastifyRequest, reply: FastifyReply, version: number): boolean {
  reply.header('etag', etagOf(version))
  const known = request.headers['if-none-match']
  if (known === undefined || !named(known, true).some((tag) => tag === '*' || tag === etagOf(version))) return false
  void reply.code(304).send()
  return true
}

const named = (header: string, weak: boolean) =>
  header.split(',').map((tag) => weak ? tag.trim().replace(/^W\//, '') : tag.trim())

import type { FastifyInstance, FastifyRequest } from 'fastify'
import secureJson from 'secure-json-parse'
import { Refusal } from '../refusal.ts'
import { valuesOf } from './headers.ts'

export const bodyBytesMax = 16 * 1024
const depthMax = 16

declare module 'fastify' {
  /** The body may be left out, which is as good as `{}`. */
  interface FastifySchema { 'x-body-optional'?: true }
}

const malformed = (detail: string) => new Refusal('malformed_body', detail)

/**
 * Accepts JSON bodies only, and strictly: valid UTF-8, at most 16 levels deep, no key twice in an object, no NUL,
 * no lone surrogate, no `__proto__`. Everything else never reaches validation. Where no body is expected, none may come.
 */
export function acceptJsonOnly (app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, async (_request: FastifyRequest, body: Buffer) =>
    body.length === 0 ? undefined : parseStrictJson(body))
  app.addHook('preParsing', (request, _reply, _payload, next) => {
    if (request.routeOptions.schema?.body !== undefined) { next(mediaTypeFault(request)); return }
    if (hasBody(request)) { next(new Refusal('validation_failed', 'A body came where none belongs.', { errors: [{ pointer: '', code: 'unexpected', message: 'must not be there' }] })); return }
    delete request.raw.headers['content-type'] // some clients send one with every request
    next()
  })
  app.addHook('preValidation', (request, _reply, next) => {
    if (request.body === undefined && request.routeOptions.schema?.['x-body-optional']) request.body = {}
    next()
  })
}

const hasBody = ({ headers }: FastifyRequest) => headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0

/** What a media type that says `application/json` may yet hide: another character set, a coding, or a second media type. */
function mediaTypeFault (request: FastifyRequest): Refusal | null {
  const [type = '', ...others] = valuesOf(request, 'content-type')
  const charsets = [...type.matchAll(/;\s*charset\s*=\s*([^;]*)/gi)].map(([, charset]) => charset!.trim())
  const { 'content-encoding': coding = 'identity', 'transfer-encoding': framing = 'chunked' } = request.headers
  return others.length > 0 || !charsets.every((charset) => /^(?:utf-?8|"utf-?8")$/i.test(charset)) || !/^identity$/i.test(coding) || !/^chunked$/i.test(framing)
    ? new Refusal('unsupported_media_type', 'Send application/json in UTF-8, not encoded otherwise.')
    : null
}

export function parseStrictJson (body: Uint8Array): unknown {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body)
  } catch {
    throw malformed('The body is not valid UTF-8.')
  }
  if (text.startsWith('\ufeff')) throw malformed('The body starts with a byte order mark.')
  let value: unknown
  try {
    value = secureJson.parse(text, undefined, { protoAction: 'error', constructorAction: 'error' })
  } catch {
    throw malformed('The body is not well-formed JSON.')
  }
  const fault = structuralFault(text)
  if (fault) throw malformed(fault)
  return value
}

const stringLiteral = /"(?:[^"\\]|\\.)*"/y
const colon = /\s*:/y

/** Looks at well-formed JSON text for what `JSON.parse` lets pass in silence. */
export function structuralFault (text: string): string | undefined {
  const open: Array<Set<string> | null> = [] // the keys so far of each open object; null for an array
  for (let at = 0; at < text.length; at++) {
    const character = text[at]
    if (character === '{' || character === '[') {
      open.push(character === '{' ? new Set() : null)
      if (open.length > depthMax) return `The body is more than ${depthMax} levels deep.`
    } else if (character === '}' || character === ']') {
      open.pop()
    } else if (character === '"') {
      stringLiteral.lastIndex = at
      const literal = stringLiteral.exec(text)![0]
      at += literal.length - 1
      const content = JSON.parse(literal) as string
      if (content.includes('\u0000')) return 'A string holds the character NUL.'
      if (!content.isWellFormed()) return 'A string holds half a character (a lone surrogate).'
      const keys = open.at(-1)
      colon.lastIndex = at + 1
      if (keys && colon.test(text)) {
        if (keys.has(content)) return 'An object has the same key twice.'
        keys.add(content)
      }
    }
  }
  return undefined
}

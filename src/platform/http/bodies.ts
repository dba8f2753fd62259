import type { FastifyInstance, FastifyRequest } from 'fastify'
import secureJson from 'secure-json-parse'
import { Refusal } from '../refusal.ts'

export const bodyBytesMax = 16 * 1024
const depthMax = 16

const malformed = (detail: string) => new Refusal('malformed_body', detail)

/**
 * Accepts JSON bodies only, and strictly: valid UTF-8, at most 16 levels deep, no key twice in an object, no NUL,
 * no lone surrogate, no `__proto__`. Everything else never reaches validation.
 */
export function acceptJsonOnly (app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, async (request: FastifyRequest, body: Buffer) => {
    const charset = /;\s*charset\s*=\s*"?([^";\s]+)/i.exec(request.headers['content-type'] ?? '')?.[1]
    if (charset !== undefined && !/^utf-?8$/i.test(charset)) throw new Refusal('unsupported_media_type', 'Send application/json in UTF-8.')
    return body.length === 0 ? undefined : parseStrictJson(body)
  })
}

export function parseStrictJson (body: Uint8Array): unknown {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body)
  } catch {
    throw malformed('The body is not valid UTF-8.')
  }
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
      if (keys && /\s*:/y.test(text.slice(at + 1, at + 65))) {
        if (keys.has(content)) return 'An object has the same key twice.'
        keys.add(content)
      }
    }
  }
  return undefined
}

import { Type, type Static } from '@sinclair/typebox'
import { Ajv, type ErrorObject } from 'ajv'
import addFormats from 'ajv-formats'
import type { Fault } from '../../platform/refusal.ts'
import { roles, scopes, type Role, type Scope } from '../../vocabulary.ts'

const lastSecondOf9999 = 253_402_300_799

const oneOf = <T extends string>(values: readonly T[]) => Type.Unsafe<T>({ type: 'string', enum: values })

// One type list instead of a union: a union would report what is wrong once for each of its branches.
const authTime = Type.Unsafe<string | number>({
  type: ['string', 'number'], format: 'date-time', minimum: 0, maximum: lastSecondOf9999, description: 'RFC 3339 or epoch seconds',
})
const audience = Type.Unsafe<string | string[]>({
  type: ['string', 'array'], minLength: 1, maxLength: 255, minItems: 1, maxItems: 10, items: { type: 'string', minLength: 1, maxLength: 255 },
})

export const TokenRequest = Type.Object({
  tenant: Type.String({ pattern: '^[a-z0-9][a-z0-9-]{0,62}$' }),
  subject: Type.String({ pattern: '^(?!(?:me|\\.|\\.\\.)$)[A-Za-z0-9._@|:+=-]{1,128}$' }),
  kind: oneOf(['person', 'app']),
  roles: Type.Optional(Type.Array(oneOf<Role>(roles))),
  scopes: Type.Optional(Type.Array(oneOf<Scope>(scopes))),
  authTime: Type.Optional(authTime),
  amr: Type.Optional(Type.Array(Type.String({ pattern: '^[A-Za-z0-9._:-]{1,64}$' }))),
  audience: Type.Optional(audience),
  expiresIn: Type.Optional(Type.Integer({ minimum: 1, maximum: 86_400 })),
}, { additionalProperties: false })
export type TokenRequest = Static<typeof TokenRequest>

const ajv = new Ajv({ allErrors: true, allowUnionTypes: true, strictTypes: false })
addFormats.default(ajv, ['date-time'])
const matches = ajv.compile<TokenRequest>(TokenRequest)

/** The request, or everything that is wrong with it. Nothing is coerced and nothing dropped. */
export function checkTokenRequest (body: unknown): { request: TokenRequest } | { errors: Fault[] } {
  if (!matches(body)) return { errors: (matches.errors ?? []).map(toFault) }
  // The format admits a leap second, of which no clock here knows.
  if (typeof body.authTime === 'string' && Number.isNaN(Date.parse(body.authTime))) {
    return { errors: [{ pointer: '/authTime', code: 'invalid_format', message: 'must be a time' }] }
  }
  return { request: body }
}

const codes: Record<string, string> = {
  required: 'required', additionalProperties: 'unknown_field', type: 'wrong_type', enum: 'unknown_value',
  pattern: 'invalid_format', format: 'invalid_format',
}

function toFault ({ instancePath, keyword, params, message = 'is not valid' }: ErrorObject): Fault {
  const field: unknown = params['missingProperty'] ?? params['additionalProperty']
  const allowed: unknown = params['allowedValues']
  const types: unknown = params['type']
  return {
    pointer: typeof field === 'string' ? `${instancePath}/${field.replaceAll('~', '~0').replaceAll('/', '~1')}` : instancePath,
    code: codes[keyword] ?? 'out_of_range',
    message: Array.isArray(allowed) ? `must be one of ${allowed.join(', ')}` : Array.isArray(types) ? `must be ${types.join(' or ')}` : message,
  }
}

import { Type, type Static, type TSchema } from '@sinclair/typebox'

/** Points at a shared schema, so that OpenAPI names it once; the static type is unchanged. */
export const ref = <T extends TSchema>(schema: T) =>
  Type.Unsafe<Static<T>>({ $ref: `${(schema as { $id?: string }).$id}#` })

/** A string that is one of these; OpenAPI shows it as an enum. */
export const oneOf = <const T extends readonly string[]>(values: T, options: object = {}) =>
  Type.Unsafe<T[number]>({ type: 'string', enum: [...values], ...options })

/** A value or null: one schema of two types, which serializes faster and faults once; only an object needs a union. */
export const Nullable = <T extends TSchema>(schema: T, options: object = {}) => {
  const { type, enum: values } = schema as { type?: string, enum?: readonly string[] }
  return Type.Unsafe<Static<T> | null>(type === undefined || type === 'object'
    ? Type.Union([schema, Type.Null()], options)
    : { ...schema, type: [type, 'null'], ...(values && { enum: [...values, null] }), ...options })
}

export const Uuid = Type.String({ format: 'uuid', minLength: 36, maxLength: 36 })
export const Timestamp = Type.String({ format: 'date-time', description: 'RFC 3339, UTC, with milliseconds.', examples: ['2026-11-22T09:30:00.000Z'] })

/** A closed object: an unknown field is refused. */
export const closed = <T extends Record<string, TSchema>>(properties: T, options: object = {}) =>
  Type.Object(properties, { additionalProperties: false, ...options })

export const userIdMaxLength = 128

/** In a path: a user id, or `me` for the token's own subject. */
export const UserIdParam = Type.String({
  minLength: 1, maxLength: userIdMaxLength, pattern: '^(?!\\.{1,2}$)[A-Za-z0-9._@|:+=-]{1,128}$', examples: ['demo-user'],
  description: 'The caller\'s own id of the person (the `sub` of the identity provider), or `me` for the subject of the token.',
})

export const Limit = Type.Optional(Type.Integer({ minimum: 1, maximum: 200, default: 50, description: 'How many items at most.', examples: [50] }))
export const Cursor = Type.Optional(Type.String({ minLength: 1, maxLength: 1024, description: '`nextCursor` of the answer before. Opaque.', examples: ['WzIsIjEyIiwi4oCmIl0'] }))

const exampleOf = ({ examples }: TSchema): unknown => (examples as unknown[])[0]

/** A good answer of a route: what it means, the shared schema of its body, and its example unless this one fits better. */
export const answer = (schema: TSchema, description: string, headers?: Record<string, TSchema>, example: unknown = exampleOf(schema)) =>
  ({ description, ...(headers && { headers }), content: { 'application/json': { schema: ref(schema), example } } })

/** A good answer without a body. */
export const empty = (description: string, headers?: Record<string, TSchema>) => ({ description, type: 'null', ...(headers && { headers }) })

export const EtagHeader = { ETag: Type.String({ description: 'Version of the resource, for `If-Match` and `If-None-Match`.', examples: ['"1"'] }) }
export const locationHeader = (example: string) => ({ Location: Type.String({ description: 'Path of what was made.', examples: [example] }) })
export const ReplayedHeader = { 'Idempotent-Replayed': Type.Literal('true', { description: 'Only where this is the kept answer to an `Idempotency-Key` that came before.' }) }

/** The answer of a list. */
export const listOf = <T extends TSchema>(item: T, options: object) =>
  closed({ items: Type.Array(item), nextCursor: Type.Optional(Type.String({ description: 'Present while there is more.' })) }, options)

export const IfMatchHeader = closed({
  'if-match': Type.Optional(Type.String({ maxLength: 200, description: 'The `ETag` the change is based on; another one is 412 `version_mismatch`.', examples: ['"1"'] })),
}, { additionalProperties: true })

export const IfNoneMatchHeader = closed({
  'if-none-match': Type.Optional(Type.String({ maxLength: 200, description: 'An `ETag`; the same one is 304.', examples: ['"1"'] })),
}, { additionalProperties: true })

export const IdempotencyHeader = closed({
  'idempotency-key': Type.Optional(Type.String({
    minLength: 1, maxLength: 255,
    description: 'Any string of the caller\'s own. The same key and body within 24 h give the first answer again, with `Idempotent-Replayed: true`.',
    examples: ['5a1f3c0e-add-phone'],
  })),
}, { additionalProperties: true })

/** Its form is not looked at: what is no proof of the caller's is as if it had not come. */
export const ProofHeader = closed({
  'latchkey-proof': Type.Optional(Type.String({
    description: 'A proof that stands in for a fresh second factor: the `proof` of an approved challenge that the caller started, of purpose `stepUp`, or `recovery` to register.',
    examples: ['eyJhbGciOiJFUzI1NiIsInR5cCI6ImxhdGNoa2V5LXByb29mK2p3dCIsImtpZCI6IuKApiJ9.eyJqdGkiOiLigKYifQ.c2lnbmF0dXJl'],
  })),
}, { additionalProperties: true })

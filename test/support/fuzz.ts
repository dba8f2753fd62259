import fc, { type Arbitrary } from 'fast-check'

/** As much of a JSON schema as the OpenAPI document uses. */
export interface Schema {
  $ref?: string
  type?: string | string[]
  enum?: unknown[]
  const?: unknown
  anyOf?: Schema[]
  properties?: Record<string, Schema>
  required?: string[]
  items?: Schema
  pattern?: string
  minLength?: number
  maxLength?: number
  minimum?: number
  maximum?: number
  minItems?: number
  maxItems?: number
}

export interface Parameter { in: 'path' | 'query' | 'header', name: string, required?: boolean, schema: Schema }

/** Values that mean something, by the name of the field: with them a request gets past the schema and deep inside. */
export type Known = Record<string, readonly unknown[]>

/** Any characters that there are, halves of pairs among them. fast-check's own `binary` looks each of the million up before the first text. */
export const anyText = (maxLength: number): Arbitrary<string> => fc.string({ unit: fc.integer({ min: 0, max: 0x10ffff }).map((point) => String.fromCodePoint(point)), maxLength })

const strangeTexts = [
  '', ' ', '\0', 'a\0b', '\ud800', '\udfff\ud800', '\ufeff', '\u202e', '\u2028', 'e\u0301', 'ß', 'İ', 'ſ', '😀', '\u{10ffff}', '\r\n', '\t', '\\', '"', '\'', '%', '%00', '_', '%\\', '\\x00', '\'; drop table users; --', '${7*7}', '{{x}}',
  '../..', 'null', 'undefined', 'NaN', 'true', '0', '-1', '1e999', '0x10', 'me', '.', '..', '__proto__', 'constructor', 'toString', 'hasOwnProperty', '2016-12-31T23:59:60Z', '0000-01-01T00:00:00Z', '9999-12-31T23:59:59.999Z', '-000001-01-01T00:00:00Z',
  '2026-11-22T09:30:00-23:59', '2026-11-22t09:30:00z', '2026-11-22T09:30:00.1234567890123456789Z', '00000000-0000-0000-0000-000000000000', 'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF', 'urn:uuid:00000000-0000-0000-0000-0000', '١٢٣٤٥٦', '１２３', '+', '@', 'a@b', ';ext=', 'tel:', 'A'.repeat(400),
]

const strangeText = fc.oneof(fc.constantFrom(...strangeTexts), anyText(30), fc.string({ unit: 'grapheme', maxLength: 400 }), fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 12 }).map((units) => String.fromCharCode(...units)))
const strangeNumber = fc.oneof(fc.constantFrom(0, -0, -1, 0.1, 1e21, 1e308, -1e308, 5e-324, 2 ** 31, 2 ** 32, 2 ** 53, 2 ** 53 + 2, 2 ** 63, 2 ** 64), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.integer())
/** Anything that JSON can hold. */
export const anything: Arbitrary<unknown> = fc.oneof(strangeText, strangeNumber, fc.constantFrom(null, true, false, [], {}, [null], [[[[[[[[]]]]]]]]), fc.dictionary(strangeText, fc.oneof(strangeText, strangeNumber), { maxKeys: 4 }), fc.array(fc.oneof(strangeText, strangeNumber), { maxLength: 5 }))

const mostly = <T>(usual: Arbitrary<T>, seldom: Arbitrary<T>, weight = 30): Arbitrary<T> => fc.oneof({ weight, arbitrary: usual }, { weight: 1, arbitrary: seldom })

/** Values of a schema, now and then with something strange in their place. */
export function valueOf (schema: Schema, named: (ref: string) => Schema, known: Known, name = ''): Arbitrary<unknown> {
  if (schema.$ref !== undefined) return valueOf(named(schema.$ref), named, known, name)
  const fitting = fittingOf(schema, named, known, name)
  const pool = known[name]
  return mostly(pool ? mostly(fc.constantFrom(...pool), fitting, 8) : fitting, anything)
}

function fittingOf (schema: Schema, named: (ref: string) => Schema, known: Known, name: string): Arbitrary<unknown> {
  if (schema.anyOf) return fc.oneof(...schema.anyOf.map((one) => valueOf(one, named, known, name)))
  if (schema.enum) return fc.constantFrom(...schema.enum)
  if (schema.const !== undefined) return fc.constant(schema.const)
  if (Array.isArray(schema.type)) return fc.oneof(...schema.type.map((type) => fittingOf({ ...schema, type }, named, known, name)))
  if (schema.type === 'object') return objectOf(schema, named, known)
  if (schema.type === 'array') return fc.array(valueOf(schema.items ?? {}, named, known, name), { minLength: schema.minItems ?? 0, maxLength: Math.min(schema.maxItems ?? 4, 4) })
  if (schema.type === 'integer') return fc.integer({ min: schema.minimum ?? -10, max: schema.maximum ?? 1_000 })
  if (schema.type === 'number') return fc.double({ min: schema.minimum ?? -10, max: schema.maximum ?? 1_000, noNaN: true })
  if (schema.type === 'boolean') return fc.boolean()
  if (schema.type === 'null') return fc.constant(null)
  if (schema.type === 'string') return textOf(schema)
  return anything
}

function textOf ({ pattern, minLength = 0, maxLength = 40 }: Schema): Arbitrary<string> {
  const free = fc.string({ unit: 'grapheme', minLength, maxLength })
  if (pattern === undefined || pattern.includes('(?!')) return free
  return mostly(fc.stringMatching(new RegExp(pattern)).map((text) => text.slice(0, maxLength)), free, 6)
}

function objectOf ({ properties = {}, required = [] }: Schema, named: (ref: string) => Schema, known: Known): Arbitrary<unknown> {
  const fields = Object.entries(properties).map(([name, schema]) =>
    fc.tuple(fc.constant(name), valueOf(schema, named, known, name), fc.integer({ min: 0, max: 99 }).map((dice) => dice < (required.includes(name) ? 97 : known[name] ? 70 : 25))))
  const surplus = mostly(fc.constant<[string, unknown, boolean][]>([]), fc.tuple(strangeText, anything, fc.constant(true)).map((one) => [one]), 20)
  return fc.tuple(fc.tuple(...fields), surplus).map(([own, more]) => Object.fromEntries([...own, ...more].filter(([, , present]) => present).map(([name, value]) => [name, value])))
}

/** Percent-encoded as it is: half a character becomes the bytes that nobody may send. */
export const encoded = (text: string) => [...text].map((character) => character.isWellFormed() ? encodeURIComponent(character) : '%ED%A0%80').join('')

/** What may stand in a header at all. */
export const headerText = fc.oneof(fc.constantFrom('"1"', '"2"', 'W/"1"', '*', 'x', '"', '""', ',', '"1", "2"', 'a'.repeat(255)), fc.string({ unit: fc.integer({ min: 0x20, max: 0xff }).filter((code) => code !== 0x7f).map((code) => String.fromCharCode(code)), maxLength: 300 }))

import { Ajv, type AnySchema, type ValidateFunction } from 'ajv'
import addFormats from 'ajv-formats'

/**
 * Fastify's own validator turns `null` into `""` and drops unknown fields. This one changes nothing: what does not fit
 * is refused. Only in the query string, where all is text, numbers and booleans are read first.
 */
export function buildValidator (shared: Record<string, unknown>) {
  const ajv = new Ajv({
    useDefaults: true, removeAdditional: false, allErrors: true, discriminator: true,
    strict: true, strictTypes: false, strictRequired: false,
    validateSchema: false, meta: false, // the tests check the schemas; each start would pay for it
    keywords: ['x-codes', 'example'],
  })
  addFormats.default(ajv)
  for (const schema of Object.values(shared)) ajv.addSchema(schema as object)
  // Fastify's types say that this gets a bare schema; what it gets is the schema and the part of the request it is for.
  return (route: unknown) => {
    const { schema, httpPart } = route as { schema: AnySchema, httpPart?: string }
    const validate = ajv.compile(schema)
    return httpPart === 'querystring' ? readingText(schema as QuerySchema, validate) : validate
  }
}

interface QuerySchema { properties?: Record<string, { type?: string }> }

const plainNumber = /^-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,9})?$/

/** Ajv's own coercion would also take `0x10`, ` 5` and `Infinity`, and holds no bound against the last. */
function readingText ({ properties = {} }: QuerySchema, validate: ValidateFunction): ValidateFunction {
  const check = (query: Record<string, unknown>) => {
    for (const [name, { type }] of Object.entries(properties)) {
      const text = query[name]
      if (typeof text !== 'string') continue
      if ((type === 'integer' || type === 'number') && plainNumber.test(text)) query[name] = Number(text)
      if (type === 'boolean' && (text === 'true' || text === 'false')) query[name] = text === 'true'
    }
    const fits = validate(query)
    check.errors = validate.errors
    return fits
  }
  check.errors = validate.errors
  return check as ValidateFunction
}

import { Ajv, type AnySchema } from 'ajv'
import addFormats from 'ajv-formats'

/**
 * Fastify's own validator turns `null` into `""` and drops unknown fields. This one changes nothing in a body:
 * what does not fit is refused. Only path, query and header parameters, which arrive as text, are coerced.
 */
export function buildValidator (shared: Record<string, unknown>) {
  const make = (coerceTypes: boolean) => {
    const ajv = new Ajv({
      coerceTypes, useDefaults: true, removeAdditional: false, allErrors: true, discriminator: true,
      strict: true, strictTypes: false, strictRequired: false,
      keywords: ['x-codes', 'example'],
    })
    addFormats.default(ajv)
    for (const schema of Object.values(shared)) ajv.addSchema(schema as object)
    return ajv
  }
  const body = make(false)
  const parameters = make(true)
  // Fastify's types say that this gets a bare schema; what it gets is the schema and the part of the request it is for.
  return (route: unknown) => {
    const { schema, httpPart } = route as { schema: AnySchema, httpPart?: string }
    return (httpPart === 'body' ? body : parameters).compile(schema)
  }
}

import type { SwaggerTransformObject } from '@fastify/swagger'
import type { RefusalCode } from '../refusal.ts'
import { problemExample } from './problem-examples.ts'
import { problemMediaType } from './problems.ts'

interface Parameter { name: string, in: string, required?: boolean, example?: unknown, schema: { examples?: unknown[] } }
interface Response { content?: Record<string, { examples?: object }>, 'x-codes'?: string[] }
interface Body { schema: { $ref: string }, example?: unknown }
interface Operation {
  parameters?: Parameter[]
  requestBody?: { required: boolean, content: Record<string, Body> }
  'x-body-optional'?: true
  responses: Record<string, Response>
}

const places = ['path', 'query', 'header']

/** Says what @fastify/swagger cannot: an example for every body and problem, the codes of each answer, parameters as a reader expects them. */
export const finishDocument: SwaggerTransformObject = (collected) => {
  if (!('openapiObject' in collected)) throw new Error('The document is not OpenAPI')
  const { openapi, info, servers, tags, paths, components } = collected.openapiObject
  const used = new Set<RefusalCode>()
  for (const operation of Object.values(paths ?? {}).flatMap((path) => Object.values(path ?? {}) as Operation[])) {
    operation.parameters?.sort((a, b) => places.indexOf(a.in) - places.indexOf(b.in))
    operation.parameters?.forEach(finishParameter)
    for (const body of Object.values(operation.requestBody?.content ?? {})) {
      const schema = components?.schemas?.[body.schema.$ref.split('/').at(-1)!] as { examples: unknown[] }
      body.example = schema.examples[0]
    }
    if (operation.requestBody) operation.requestBody.required = !operation['x-body-optional']
    delete operation['x-body-optional']
    for (const response of Object.values(operation.responses)) {
      const codes = Object.keys(response.content?.[problemMediaType]?.examples ?? {}) as RefusalCode[]
      if (codes.length > 0) response['x-codes'] = codes
      for (const code of codes) used.add(code)
    }
  }
  const examples = Object.fromEntries([...used].toSorted().map((code) => [code, problemExample(code)]))
  return { openapi, info, servers, tags, paths, components: { ...components, examples } } as ReturnType<SwaggerTransformObject>
}

/**
 * Swagger UI fills in `example`, and sends it. So only what must be sent has one; anything else has its example in the
 * schema, where it is shown and not sent: an operation runs as it stands.
 */
function finishParameter (parameter: Parameter): void {
  if (parameter.in === 'header') parameter.name = parameter.name.replace(/(?:^|-)[a-z]/g, (start) => start.toUpperCase())
  if (parameter.required || parameter.example === undefined) return
  parameter.schema.examples = [parameter.example]
  delete parameter.example
}

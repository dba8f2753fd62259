import { readFileSync } from 'node:fs'
import type { Role } from '../../src/vocabulary.ts'
import type { Answer, Client } from './service.ts'
import type { Caller } from './tokens.ts'

/** The committed OpenAPI document, as the walks of the contract go through it. */
export const documentText = readFileSync(new URL('../../openapi/openapi.json', import.meta.url), 'utf8')
export const document = JSON.parse(documentText)

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

export interface Parameter { name: string, in: 'path' | 'query' | 'header', required: boolean, description?: string, example?: unknown, schema: { examples?: unknown[] } }

export interface Operation {
  id: string
  method: Method
  path: string
  permission: string
  roles: string[]
  scope: string | null
  /** A person may do it to themself. */
  self: boolean
  parameters: Parameter[]
  /** The example of its body, if it takes one. */
  body: Record<string, unknown> | undefined
  /** Everything else that the document says of it. */
  said: Record<string, any>
}

export const operations: Operation[] = Object.entries(document.paths as Record<string, Record<string, Record<string, any>>>).flatMap(([path, item]) =>
  Object.entries(item).map(([method, said]) => ({
    id: said.operationId, method: method.toUpperCase() as Method, path, permission: said['x-permission'], roles: said['x-roles'], scope: said['x-scope'], self: said['x-self'],
    parameters: said.parameters ?? [], body: said.requestBody?.content['application/json'].example, said,
  })))

/** What stands in the place of the ids of the examples. */
export type Ids = Partial<Record<'userId' | 'methodId' | 'authenticatorId' | 'challengeId' | 'approvalId' | 'resetId' | 'prefix', string>>

/** The operation's own example, about these ids. */
export function requestOf ({ method, path, parameters, body }: Operation, ids: Ids): { method: Method, url: string, body?: Record<string, unknown> } {
  const examples: Record<string, unknown> = Object.fromEntries(parameters.filter((one) => one.in === 'path').map(({ name, example }) => [name, example]))
  const url = path.replace(/\{(\w+)\}/g, (_whole, name: string) => encodeURIComponent(String(ids[name as keyof Ids] ?? examples[name])))
  return { method, url, ...(body && { body: { ...body, ...Object.fromEntries(Object.entries(ids).filter(([name]) => name in body)) } }) }
}

/** Which ids an operation takes, in its path or its body. */
export const idsIn = ({ path, body }: Operation): (keyof Ids)[] =>
  (['userId', 'methodId', 'authenticatorId', 'challengeId', 'approvalId', 'resetId', 'prefix'] as const).filter((name) => path.includes(`{${name}}`) || (body && name in body))

/** Sends what `requestOf` made. */
export function ask (client: Client, { method, url, body }: ReturnType<typeof requestOf>): Promise<Answer> {
  if (method === 'GET') return client.get(url)
  if (method === 'DELETE') return client.delete(url)
  return client[method.toLowerCase() as 'post' | 'put' | 'patch'](url, body)
}

/** Someone whom the document allows this: the person themself where that is enough, else the holder of a role. */
export const allowedCaller = ({ self, roles }: Operation, tenant: string, subject = 'ann'): Caller =>
  self ? { tenant, subject } : { tenant, subject: `the-${roles[0]}`, roles: [roles[0] as Role] }

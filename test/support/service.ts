import { Writable } from 'node:stream'
import type { LightMyRequestResponse } from 'fastify'
import type { Test } from 'tap'
import { createTenant, type NewTenant } from '../../src/features/organization/create-tenant.ts'
import { openDb, type Db } from '../../src/platform/db/index.ts'
import { databasePasswordOf, parseKeyRing } from '../../src/platform/keys.ts'
import { loginRoleOf, type LoginKind } from '../../src/platform/db/roles.ts'
import { createLog } from '../../src/platform/log.ts'
import { systemRandom } from '../../src/platform/random.ts'
import { createService, type Service, type ServiceOptions } from '../../src/service.ts'
import { cloneDatabase, templateName } from './cluster.ts'
import { testKeyRingText } from './keys.ts'
import { startTestIssuer, type Caller, type TestIssuer } from './tokens.ts'



export interface Answer<Body = any> { status: number, body: Body, headers: LightMyRequestResponse['headers'], text: string } // eslint-disable-line @typescript-eslint/no-explicit-any

export interface Client {
  get: (url: string, headers?: Record<string, string>) => Promise<Answer>
  post: (url: string, body?: unknown, headers?: Record<string, string>) => Promise<Answer>
  put: (url: string, body?: unknown, headers?: Record<string, string>) => Promise<Answer>
  patch: (url: string, body?: unknown, headers?: Record<string, string>) => Promise<Answer>
  delete: (url: string, headers?: Record<string, string>) => Promise<Answer>
  token: string
}

export interface TestService extends Service {
  issuer: TestIssuer
  database: { name: string, ownerUrl: string, serviceUrl: string, workerUrl: string }
  /** The database as its owner. With the embedded server that is a superuser, who sees every row. */
  owner: Db
  /** Makes a tenant (a sandbox in the US unless told) and gives its slug. */
  tenant: (settings?: Partial<NewTenant>) => Promise<string>
  tenantIdOf: (slug: string) => Promise<string>
  /** Speaks as someone, through the front door. */
  as: (caller: Caller) => Promise<Client>
  /** Log lines so far. */
  logged: () => string[]
}

const ring = parseKeyRing(testKeyRingText)

/** The test cluster's roles belong to the template, which every database is a copy of. */
export function roleUrl (ownerUrl: string, kind: LoginKind): string {
  const role = loginRoleOf(templateName, kind)
  const url = new URL(ownerUrl)
  url.username = role
  url.password = databasePasswordOf(ring, role)
  return url.href
}

let tenants = 0

/** The whole service on a database of its own. Ends with the test, and fails it if a route refused with a code it does not declare. */
export async function testService (t: Test, options: Partial<ServiceOptions> = {}): Promise<TestService> {
  const clone = await cloneDatabase()
  const issuer = await startTestIssuer()
  const database = { name: clone.name, ownerUrl: clone.ownerUrl, serviceUrl: roleUrl(clone.ownerUrl, 'service'), workerUrl: roleUrl(clone.ownerUrl, 'worker') }
  const owner = openDb({ url: clone.ownerUrl, applicationName: 'latchkey-test-owner', connectionsMax: 3, onError: () => undefined })
  const lines: string[] = []
  const undeclared: string[] = []
  const service = await createService({
    ...database, keyRing: ring, issuers: [issuer.trusted], signIn: null, adminTokenMaxSeconds: 3600, sandboxAllowed: true, trustedProxies: [], production: false,
    log: createLog('info', new Writable({ write (chunk, _encoding, done) { lines.push(String(chunk)); done() } })),
    onUndeclared: (code, route) => undeclared.push(`${route} → ${code}`),
    ...options,
  })
  let stopping: Promise<void> | undefined
  const stop = () => stopping ??= service.stop()
  t.teardown(async () => {
    await stop()
    await owner.close()
    await issuer.close()
    await clone.drop()
    // Too late for an assertion, but not for a failure.
    if (undeclared.length > 0) throw new Error(`routes refused with codes they do not declare: ${undeclared.join(', ')}`)
  })

  const tools = { keys: service.deps.keys, random: systemRandom }
  return {
    ...service, stop, issuer, database, owner,
    async tenant (settings = {}) {
      const slug = settings.slug ?? `tenant-${++tenants}`
      await createTenant(owner, tools, { slug, country: 'US', name: 'Test Ltd', sandbox: true, ...settings }, { kind: 'operator', subject: 'test' })
      return slug
    },
    tenantIdOf: async (slug) => (await owner.tenantBySlug(slug))!.tenant_id,
    as: async (caller) => clientOf(service, await issuer.tokenOf(caller)),
    logged: () => lines,
  }
}

/** Requests with a token, through Fastify's own entry. */
export function clientOf ({ app }: Pick<Service, 'app'>, token: string): Client {
  const send = async (method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', url: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> => {
    const reply = await app.inject({ method, url, headers: { authorization: `Bearer ${token}`, ...headers }, ...(body !== undefined && { payload: body as object }) })
    const type = reply.headers['content-type'] ?? ''
    return { status: reply.statusCode, body: /\bjson\b/.test(type) && reply.body !== '' ? JSON.parse(reply.body) as unknown : undefined, headers: reply.headers, text: reply.body }
  }
  return {
    get: (url, headers) => send('GET', url, undefined, headers),
    post: (url, body, headers) => send('POST', url, body, headers),
    put: (url, body, headers) => send('PUT', url, body, headers),
    patch: (url, body, headers) => send('PATCH', url, body, headers),
    delete: (url, headers) => send('DELETE', url, undefined, headers),
    token,
  }
}

/** The code of a challenge, from the inbox. */
export async function codeOf (client: Client, challengeId: string): Promise<string> {
  const { body } = await client.get(`/v1/sandbox/messages?challengeId=${challengeId}&waitSeconds=10`)
  const [message] = body.items as Array<{ code: string }>
  if (!message) throw new Error('no message came')
  return message.code
}

/** Adds a method, gets its code and verifies it; gives the active method. */
export async function verifiedMethod (client: Client, input: { kind: string, value: string, [field: string]: unknown }, userId = 'me'): Promise<{ id: string, version: number, [field: string]: any }> { // eslint-disable-line @typescript-eslint/no-explicit-any
  const added = await client.post(`/v1/users/${userId}/contact-methods`, input)
  if (added.status !== 201) throw new Error(`adding answered ${added.status} ${added.text}`)
  const challenge = await client.post('/v1/challenges', { userId, purpose: 'verifyContact', methodId: added.body.id })
  if (challenge.status !== 201) throw new Error(`starting answered ${challenge.status} ${challenge.text}`)
  const approved = await client.post(`/v1/challenges/${challenge.body.id}/verify`, { code: await codeOf(client, challenge.body.id) })
  if (approved.status !== 200) throw new Error(`verifying answered ${approved.status} ${approved.text}`)
  return (await client.get(`/v1/users/${userId}/contact-methods/${added.body.id}`)).body
}

/** A six-digit code that is not this one. */
export const otherCode = (code: string) => String((Number(code) + 1) % 10 ** code.length).padStart(code.length, '0')

/** Moves the tenant's clock this far ahead of the real time. */
export async function moveClock (client: Client, offsetSeconds: number): Promise<void> {
  const { status, text } = await client.put('/v1/sandbox/clock', { offsetSeconds })
  if (status !== 200) throw new Error(`moving the clock answered ${status} ${text}`)
}

import { isIP } from 'node:net'
import { Type, type Static } from '@sinclair/typebox'
import { envSchema } from 'env-schema'
import type { TrustedIssuer } from './platform/http/tokens.ts'

const text = (description: string) => Type.Optional(Type.String({ minLength: 1, description }))
const port = (description: string) => Type.Optional(Type.Integer({ minimum: 0, maximum: 65_535, description }))

/** The environment. `docs/configuration.md` is checked against it by a test. */
export const Environment = Type.Object({
  NODE_ENV: Type.Optional(Type.String({ description: '`production` refuses everything that is for development only.' })),
  PORT: port('Where the service listens (3000).'),
  DEV_ISSUER_PORT: port('Where the development issuer listens (`PORT` + 1).'),
  DEV_HOST: text('Where both listen outside production (127.0.0.1).'),
  DATA_DIR: text('Embedded database and development keys (`.data`).'),
  DATABASE_URL: text('The database as its owner: it migrates, nothing else.'),
  SERVICE_DATABASE_URL: text('The database as the service\'s own role.'),
  KEY_RING: text('`version:base64` entries, comma-separated, each secret of 32 bytes. Needed in production.'),
  ISSUERS: text('Trusted token issuers, as JSON. Needed in production.'),
  PUBLIC_URL: text('Origin at which callers reach the service, https in production: its name in proofs (`latchkey`), and where links in notices lead.'),
  TRUSTED_PROXIES: text('Addresses or CIDR ranges, comma-separated, whose `X-Forwarded-For` is believed.'),
  SANDBOX: Type.Optional(Type.Unsafe<'allowed' | 'off'>({ type: 'string', enum: ['allowed', 'off'], description: 'Whether sandbox tenants work in production (`off`); always allowed in development.' })),
  ADMIN_TOKEN_MAX_SECONDS: Type.Optional(Type.Integer({ minimum: 30, maximum: 86_400, description: 'How old a token with an administrator\'s role may be (300 in production, else 3600).' })),
  LOG_LEVEL: Type.Optional(Type.Unsafe<'debug' | 'info' | 'warn' | 'error'>({ type: 'string', enum: ['debug', 'info', 'warn', 'error'], description: 'Least serious level that is logged (`info`).' })),
  LATCHKEY_LEAK: Type.Optional(Type.Literal('1', { description: 'Test of the tests: logs request bodies. Refused in production.' })),
})

export interface Config {
  production: boolean
  host: string
  port: number
  issuerPort: number
  dataDirectory: string
  ownerUrl: string | null
  serviceUrl: string | null
  keyRingText: string | null
  issuers: ConfiguredIssuer[]
  /** An origin without a slash at its end. */
  publicUrl: string | null
  trustedProxies: string[]
  sandboxAllowed: boolean
  adminTokenMaxSeconds: number
  logLevel: 'debug' | 'info' | 'warn' | 'error'
  leaks: boolean
}

/** A trusted issuer, with where Swagger UI may sign in. */
export interface ConfiguredIssuer extends TrustedIssuer {
  authorizationUrl?: string
  tokenUrl?: string
  swaggerClientId?: string
}

/** What keeps the service from starting. The message says what to do, and never a value. */
export class ConfigurationError extends Error {}

/** Reads the environment, the only place that does. Throws with every fault at once, and never prints a value. */
export function readConfig (environment: NodeJS.ProcessEnv = process.env): Config {
  const given = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ''))
  let read: Static<typeof Environment>
  try {
    read = envSchema<Static<typeof Environment>>({ schema: Environment, data: given, env: false })
  } catch (error) {
    throw new ConfigurationError(`The configuration is not valid: ${(error as Error).message}`)
  }
  const production = read.NODE_ENV === 'production'
  const listen = read.PORT ?? 3000
  return {
    production,
    host: production ? '0.0.0.0' : read.DEV_HOST ?? '127.0.0.1',
    port: listen,
    issuerPort: read.DEV_ISSUER_PORT ?? (listen === 0 ? 0 : listen + 1),
    dataDirectory: read.DATA_DIR ?? '.data',
    ownerUrl: databaseAddress(read, 'DATABASE_URL'),
    serviceUrl: databaseAddress(read, 'SERVICE_DATABASE_URL'),
    keyRingText: read.KEY_RING ?? null,
    issuers: read.ISSUERS === undefined ? [] : readIssuers(read.ISSUERS),
    publicUrl: read.PUBLIC_URL === undefined ? null : origin(read.PUBLIC_URL),
    trustedProxies: proxyRanges(read.TRUSTED_PROXIES ?? ''),
    sandboxAllowed: !production || read.SANDBOX === 'allowed',
    adminTokenMaxSeconds: read.ADMIN_TOKEN_MAX_SECONDS ?? (production ? 300 : 3600),
    logLevel: read.LOG_LEVEL ?? 'info',
    leaks: read.LATCHKEY_LEAK === '1',
  }
}

/** The server on which `npm run generate` makes its throw-away database, where it is not to start one; tests use it too. */
export const testServerUrl = (environment: NodeJS.ProcessEnv = process.env): string | null => environment.TEST_DATABASE_URL || null

function databaseAddress (read: Static<typeof Environment>, name: 'DATABASE_URL' | 'SERVICE_DATABASE_URL'): string | null {
  const address = read[name]
  if (address === undefined) return null
  const url = URL.canParse(address) ? new URL(address) : null
  if (url && ['postgres:', 'postgresql:'].includes(url.protocol) && url.hostname !== '' && url.pathname.length > 1) return address
  throw new ConfigurationError(`${name} must be the address of a database: postgres://role:password@host:port/database`)
}

/** Who checks proofs compares the issuer letter by letter, so that nothing but the origin may stand in it. */
function origin (address: string): string {
  const url = URL.canParse(address) ? new URL(address) : null
  if (url && ['https:', 'http:'].includes(url.protocol) && url.href === `${url.origin}/`) return url.origin
  throw new ConfigurationError('PUBLIC_URL must be an origin: https://host or https://host:port')
}

/** `X-Forwarded-For` is believed from exactly these; a slip of the pen must not open it to everyone. */
function proxyRanges (list: string): string[] {
  const ranges = list.split(',').map((range) => range.trim()).filter(Boolean)
  for (const range of ranges) {
    const [address = '', bits, more] = range.split('/')
    const most = { 0: -1, 4: 32, 6: 128 }[isIP(address)]!
    if (most < 0 || more !== undefined || (bits !== undefined && !(/^\d{1,3}$/.test(bits) && Number(bits) <= most))) {
      throw new ConfigurationError('TRUSTED_PROXIES must name addresses or CIDR ranges, comma-separated')
    }
  }
  return ranges
}

const asymmetric = ['ES256', 'ES384', 'RS256', 'PS256', 'EdDSA']

function readIssuers (json: string): ConfiguredIssuer[] {
  const fault = (what: string) => new ConfigurationError(`ISSUERS ${what}`)
  let list: unknown
  try {
    list = JSON.parse(json)
  } catch {
    throw fault('is not valid JSON')
  }
  if (!Array.isArray(list) || list.length === 0) throw fault('must be a list of issuers')
  return list.map((entry: Record<string, unknown>, index): ConfiguredIssuer => {
    const needed = (name: string) => {
      const value = entry[name]
      if (typeof value !== 'string' || value === '') throw fault(`[${index}] needs "${name}"`)
      return value
    }
    const optional = (name: string) => entry[name] === undefined ? undefined : needed(name)
    const algorithms = (entry.algorithms ?? ['ES256', 'RS256']) as string[]
    if (!Array.isArray(algorithms) || !algorithms.every((name) => asymmetric.includes(name))) throw fault(`[${index}] may name these algorithms only: ${asymmetric.join(', ')}`)
    const claims = (entry.claims ?? {}) as Record<string, string>
    const issuer: ConfiguredIssuer = {
      issuer: needed('issuer'), jwksUri: needed('jwksUri'), audience: needed('audience'), typ: optional('typ') ?? 'at+jwt', algorithms,
      claims: { tenant: claims.tenant ?? 'tenant', roles: claims.roles ?? 'roles', scope: claims.scope ?? 'scope', kind: claims.kind ?? null },
    }
    for (const name of ['authorizationUrl', 'tokenUrl', 'swaggerClientId'] as const) {
      const value = optional(name)
      if (value !== undefined) issuer[name] = value
    }
    if (!URL.canParse(issuer.issuer) || !URL.canParse(issuer.jwksUri)) throw fault(`[${index}] needs "issuer" and "jwksUri" to be URLs`)
    return issuer
  })
}

const isLoopback = (url: URL) => ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname)

/** Refuses in production, before anything is opened, what is for development only. */
export function refuseDevelopmentSettings (config: Config): void {
  const faults = config.production ? developmentSettings(config) : []
  if (faults.length > 0) throw new ConfigurationError(`Refusing to start in production:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`)
}

/** What of the configuration production refuses, in plain words. */
export function developmentSettings (config: Config): string[] {
  const faults: string[] = []
  if (config.issuers.length === 0) faults.push('the development issuer is not for production: set ISSUERS')
  for (const { issuer, jwksUri } of config.issuers) {
    if (new URL(issuer).protocol !== 'https:') faults.push(`the development issuer is not for production: issuer ${issuer} is not https`)
    const keys = new URL(jwksUri)
    if (keys.protocol !== 'https:' && !isLoopback(keys)) faults.push(`the keys of issuer ${issuer} must come over https`)
  }
  if (config.keyRingText === null) faults.push('there is no key ring: set KEY_RING')
  if (config.serviceUrl === null) faults.push('there is no database: set SERVICE_DATABASE_URL (the owner\'s DATABASE_URL is for `npm run migrate`)')
  if (config.publicUrl?.startsWith('http:')) faults.push('PUBLIC_URL must be https')
  if (config.leaks) faults.push('LATCHKEY_LEAK logs what people send')
  return faults
}

import { join } from 'node:path'
import type { AddressInfo } from 'node:net'
import type { Logger } from 'pino'
import { ConfigurationError, refuseDevelopmentSettings, type Config, type ConfiguredIssuer } from './config.ts'
import { keyRingOf, openOwned, sandboxFaults } from './database.ts'
import { openDb } from './platform/db/index.ts'
import { migrate } from './platform/db/migrate.ts'
import { loginUrl, workerUrlFrom } from './platform/db/roles.ts'
import { databaseFaults } from './platform/db/safety.ts'
import type { SignIn } from './platform/http/openapi.ts'
import { keysOf, type KeyRing } from './platform/keys.ts'
import { createLog } from './platform/log.ts'
import { systemRandom } from './platform/random.ts'
import { createService } from './service.ts'

export interface RunningProcess { log: Logger, drain: () => void, stop: () => Promise<void> }

const say = (line: string) => { process.stdout.write(`${line}\n`) }

/** Configuration → database → service → listening. What fails on the way is undone before the error is passed on. */
export async function startProcess (config: Config): Promise<RunningProcess> {
  refuseDevelopmentSettings(config)
  const undo: Array<() => Promise<void>> = []
  try {
    return await start(config, undo)
  } catch (error) {
    await undoAll(undo).catch(() => undefined) // the first error says more
    throw error
  }
}

/** Every step is taken, in the opposite order, even if one fails; then the first failure is passed on. */
async function undoAll (steps: ReadonlyArray<() => Promise<void>>): Promise<void> {
  const failures: unknown[] = []
  for (const step of steps.toReversed()) await step().catch((error: unknown) => failures.push(error))
  if (failures.length > 0) throw failures[0]
}

async function start (config: Config, undo: Array<() => Promise<void>>): Promise<RunningProcess> {
  const log = createLog(config.logLevel)
  const database = await openDatabase(config, undo)
  await refuseUnsafeDatabase(config, database)
  if (config.production && config.sandboxAllowed) log.warn('SANDBOX=allowed: sandbox tenants work in this production. Nothing is sent to their people.')
  if (config.production && config.publicUrl === null) log.warn('There is no PUBLIC_URL: nobody can follow the links in notices.')

  const issuer = config.issuers.length > 0 ? null : await startIssuer(config, database, undo)
  const issuers = issuer ? [issuer.trusted] : config.issuers
  const service = await createService({
    serviceUrl: database.serviceUrl, workerUrl: database.workerUrl, keyRing: database.keyRing, issuers, signIn: signInOf(issuers),
    adminTokenMaxSeconds: config.adminTokenMaxSeconds, sandboxAllowed: config.sandboxAllowed, trustedProxies: config.trustedProxies,
    production: config.production, leaks: config.leaks, log, ...(config.publicUrl !== null && { proofIssuer: config.publicUrl }),
    publicUrl: config.publicUrl ?? (config.production || config.port === 0 ? '' : `http://${config.host}:${config.port}`),
  })
  undo.push(service.stop)
  await service.app.listen({ host: config.host, port: config.port })
  const { port } = service.app.server.address() as AddressInfo
  issuer?.apiIsAt(port)
  if (config.production) log.info({ port, carrier: 'none' }, 'ready; no carrier is configured, so that challenges which need a message will fail')
  else announce(`http://${config.host}:${port}`, issuer?.trusted.issuer ?? null)
  return {
    log,
    drain: service.drain,
    stop: () => undoAll(undo),
  }
}

interface OpenDatabase { ownerUrl: string | null, serviceUrl: string, workerUrl: string, keyRing: KeyRing }

/** The configured server, or the embedded one; migrated where the owner is known. */
async function openDatabase (config: Config, undo: Array<() => Promise<void>>): Promise<OpenDatabase> {
  const keyRing = await keyRingOf(config)
  let ownerUrl: string | null = null
  if (!config.production && (config.ownerUrl !== null || config.serviceUrl === null)) {
    const owned = await openOwned(config, say)
    undo.push(owned.close)
    ownerUrl = owned.ownerUrl
    await migrate({ ownerUrl, keyRing, log: say })
  }
  const serviceUrl = config.serviceUrl ?? loginUrl(ownerUrl!, keyRing, 'service')
  return { ownerUrl, serviceUrl, workerUrl: workerUrlFrom(serviceUrl, keyRing), keyRing }
}

/** The workers' login is looked at only if the service's is right: it is found through it. */
async function refuseUnsafeDatabase (config: Config, { serviceUrl, workerUrl }: OpenDatabase): Promise<void> {
  let faults = await databaseFaults(serviceUrl, config.production)
  if (faults.length === 0) faults = await databaseFaults(workerUrl, config.production, 'worker')
  if (faults.length === 0) faults = await sandboxFaults(config, workerUrl)
  if (faults.length > 0) throw new ConfigurationError(`Refusing to start:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`)
}

/** The development issuer with its demo people. It creates tenants, which only the owner of the database may. */
async function startIssuer (config: Config, { ownerUrl, keyRing }: OpenDatabase, undo: Array<() => Promise<void>>) {
  if (ownerUrl === null) throw new ConfigurationError('The development issuer creates tenants and needs DATABASE_URL (the owner); or set ISSUERS.')
  const { startDevelopmentIssuer } = await import('./dev/issuer/issuer.ts')
  const { demoUsers, makeDemoData, tenantMaker } = await import('./dev/demo.ts')
  const ownerDb = openDb({ url: ownerUrl, applicationName: 'latchkey-dev', connectionsMax: 2, onError: () => undefined })
  undo.push(ownerDb.close)
  const tools = { keys: keysOf(keyRing), random: systemRandom }
  const makeTenant = tenantMaker(ownerDb, tools)
  await makeDemoData(ownerDb, tools, makeTenant)
  let apiPort = config.port
  const issuer = await startDevelopmentIssuer({
    host: config.host, port: config.issuerPort, audience: 'latchkey', apiOrigin: () => `http://${config.host}:${apiPort}`,
    keyFile: join(config.dataDirectory, 'issuer-keys.json'), ensureTenant: (slug) => makeTenant(slug), demoUsers, log: say,
  })
  undo.push(issuer.close)
  const trusted: ConfiguredIssuer = {
    issuer: issuer.issuer, jwksUri: issuer.jwksUri, audience: issuer.audience, typ: 'at+jwt', algorithms: ['ES256'],
    claims: { tenant: 'tenant', roles: 'roles', scope: 'scope', kind: null },
    authorizationUrl: issuer.authorizationUrl, tokenUrl: issuer.tokenUrl, swaggerClientId: issuer.swaggerClientId,
  }
  return { trusted, apiIsAt: (port: number) => { apiPort = port } }
}

function signInOf ([issuer]: readonly ConfiguredIssuer[]): SignIn | null {
  return issuer?.authorizationUrl && issuer.tokenUrl && issuer.swaggerClientId
    ? { authorizationUrl: issuer.authorizationUrl, tokenUrl: issuer.tokenUrl, clientId: issuer.swaggerClientId }
    : null
}

function announce (origin: string, issuer: string | null): void {
  const lines = [
    '', 'Latchkey is ready.', `  API         ${origin}/v1`, `  Swagger UI  ${origin}/docs`, `  Inbox       ${origin}/v1/sandbox/messages`,
    ...(issuer ? [
      `  Tokens      ${issuer}/dev/tokens`, '', 'Try:',
      `  TOKEN=$(curl -s ${issuer}/dev/tokens -H 'content-type: application/json' -d '{"tenant":"demo","subject":"demo-user","kind":"person"}' | sed 's/.*"accessToken":"\\([^"]*\\)".*/\\1/')`,
      `  curl -s ${origin}/v1/users/me/contact-methods -H "authorization: Bearer $TOKEN" -H 'content-type: application/json' -d '{"kind":"mobilePhone","value":"+1 (415) 555-0132"}'`,
      `  curl -s ${origin}/v1/users/me/contact-methods -H "authorization: Bearer $TOKEN"`,
    ] : []),
    '',
  ]
  for (const line of lines) say(line)
}

import { setTimeout as pause } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import type { Logger } from 'pino'
import { buildApp } from './app.ts'
import { forgetAudit, tendAuditMonths } from './features/audit/forget.ts'
import { sealAll, sealTenant, writeCountedRefusals } from './features/audit/sealer.ts'
import { failChallenge, whichWait } from './features/challenges/challenges.ts'
import { createDispatcher } from './features/delivery/dispatch.ts'
import { eraseDue } from './features/offboarding/erase.ts'
import { sandboxProvider } from './features/sandbox/provider.ts'
import { databaseClock, type DatabaseClock } from './platform/db/clock.ts'
import { isDatabaseUnavailable } from './platform/db/errors.ts'
import { openDb } from './platform/db/index.ts'
import { openWorkerDb, type WorkerDb } from './platform/db/worker.ts'
import type { Deps, Job, Random } from './platform/deps.ts'
import type { SignIn } from './platform/http/openapi.ts'
import { tokenVerifier, type TrustedIssuer } from './platform/http/tokens.ts'
import { startLoop } from './platform/jobs/loop.ts'
import { forEachTenant, forgetExpiredKeys, forgetOld } from './platform/jobs/retention.ts'
import { keysOf, type KeyRing } from './platform/keys.ts'
import { errorFields } from './platform/log.ts'
import { systemRandom } from './platform/random.ts'

export interface ServiceOptions {
  serviceUrl: string
  workerUrl: string
  keyRing: KeyRing
  issuers: readonly TrustedIssuer[]
  signIn: SignIn | null
  adminTokenMaxSeconds: number
  sandboxAllowed: boolean
  trustedProxies: string[]
  production: boolean
  log: Logger
  /** Latchkey's own name in proofs (`latchkey`); all replicas must have the same. */
  proofIssuer?: string
  /** Origin of the links in messages; without one they are paths. */
  publicUrl?: string
  random?: Random
  connectionsMax?: number
  leaks?: boolean
  onUndeclared?: (code: string, route: string) => void
}

export interface Service {
  app: FastifyInstance
  deps: Deps
  /** From now on `/health/ready` says no; requests are still answered. */
  drain: () => void
  /** Ends requests and sends that are under way, then closes everything. */
  stop: () => Promise<void>
}

const deliverEveryMs = 1_000
const sealEveryMs = 500
const sweepEveryMs = 15_000
const forgetEveryMs = 3_600_000
const startPatienceMs = 5_000

/** Puts the parts together: doors to the database, workers, the HTTP side. Does not listen. */
export async function createService (options: ServiceOptions): Promise<Service> {
  const { serviceUrl, workerUrl, keyRing, log, connectionsMax } = options
  const readiness = { draining: false, closed: false }
  const onError = (error: Error) => { if (!readiness.closed) log.warn(errorFields(error), 'a database connection was lost') }
  const db = openDb({ url: serviceUrl, applicationName: 'latchkey', onError, ...(connectionsMax !== undefined && { connectionsMax }) })
  const workers = openWorkerDb({ url: workerUrl, onError })
  const keys = keysOf(keyRing)
  const random = options.random ?? systemRandom
  const clock = databaseClock(db)
  await firstMeasure(clock)

  const sandbox = sandboxProvider(workers, keys)
  const isSandbox = sandboxDirectory(workers)
  const dispatcher = createDispatcher({
    db: workers, keys, log,
    providerOf: async (tenantId) => options.sandboxAllowed && await isSandbox(tenantId) ? sandbox : null,
    whichWait, onFailed: failChallenge,
  })
  const stopping = () => readiness.draining
  const forget = async (tenantId: string) => {
    await eraseDue(workers, { keys, random }, tenantId, stopping)
    await forgetOld(workers, tenantId, stopping)
    await forgetAudit(workers, keys, tenantId, stopping)
  }
  const loops = {
    deliver: startLoop('deliver', deliverEveryMs, dispatcher.sweep, log),
    seal: startLoop('seal', sealEveryMs, () => sealAll(workers, keys), log),
    sweep: startLoop('sweep', sweepEveryMs, async () => {
      await writeCountedRefusals(workers, { keys, random })
      await forgetExpiredKeys(workers)
    }, log),
    forget: startLoop('forget', forgetEveryMs, () => forEachTenant(workers, forget, stopping), log),
    months: startLoop('months', forgetEveryMs, () => tendAuditMonths(workers), log),
  }
  const deps: Deps = {
    db, keys, random, log,
    proofIssuer: options.proofIssuer ?? 'latchkey',
    publicUrl: options.publicUrl ?? '',
    wake: (job: Job) => loops[job].wake(),
    sealAudit: async (tenantId) => { await sealTenant(workers, keys, tenantId) },
    catchUp: async (tenantId) => {
      await dispatcher.catchUp(tenantId)
      await forget(tenantId)
      await sealTenant(workers, keys, tenantId)
    },
  }
  const tokens = tokenVerifier(options.issuers, clock.now)
  const app = await buildApp(deps, {
    verifyToken: tokens.verify, clock: clock.now, adminTokenMaxSeconds: options.adminTokenMaxSeconds, sandboxAllowed: options.sandboxAllowed,
    trustedProxies: options.trustedProxies, signIn: options.signIn, readiness, production: options.production, leaks: options.leaks ?? false,
    ...(options.onUndeclared && { onUndeclared: options.onUndeclared }),
  })
  return {
    app, deps,
    drain () { readiness.draining = true },
    async stop () {
      readiness.draining = true
      await app.close()
      await Promise.all(Object.values(loops).map((loop) => loop.stop()))
      await dispatcher.close()
      tokens.close()
      clock.close()
      readiness.closed = true // a server that stops at the same moment may be faster than our goodbye
      await Promise.all([db.close(), workers.close()])
    },
  }
}

/** Nobody waits for the service yet: where the first connection takes long, it is tried again. */
async function firstMeasure (clock: DatabaseClock): Promise<void> {
  for (const until = performance.now() + startPatienceMs; ;) {
    try {
      return await clock.measure()
    } catch (error) {
      if (!isDatabaseUnavailable(error) || performance.now() > until) throw error
      await pause(200)
    }
  }
}

const rememberedTenantsMax = 10_000

/** Whether a tenant is a sandbox: that never changes, so it is asked once. */
function sandboxDirectory (db: WorkerDb): (tenantId: string) => Promise<boolean> {
  const known = new Map<string, boolean>()
  return async (tenantId) => {
    const remembered = known.get(tenantId)
    if (remembered !== undefined) return remembered
    const row = await db.inTenant(tenantId, (tx) => tx.db.selectFrom('tenants').select('sandbox').where('tenant_id', '=', tenantId).executeTakeFirst())
    if (!row) return false
    if (known.size >= rememberedTenantsMax) known.clear()
    known.set(tenantId, row.sandbox)
    return row.sandbox
  }
}

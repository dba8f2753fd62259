import Fastify, { LogController, type FastifyInstance, type FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import { errorFields } from '../log.ts'
import { Refusal, statusOf } from '../refusal.ts'
import { acceptJsonOnly, bodyBytesMax } from './bodies.ts'
import { answerEveryRequest, brokenHttp } from './broken-http.ts'
import { valuesOf } from './headers.ts'
import { declaredCodes, refusalOf, sendProblem } from './problems.ts'
import { knownPaths } from './paths.ts'
import { buildValidator } from './validator.ts'

export interface ServerOptions {
  log: Logger
  uuid: () => string
  trustedProxies: string[]
  /** While true, each answer ends its connection, so that clients move to another replica between two requests. */
  isDraining?: () => boolean
  /** Tells browsers to come by https only: production stands behind TLS. */
  hsts?: boolean
  /** Called for every refusal before it is sent; what it throws is logged and changes nothing. */
  onRefusal?: (error: Error, request: FastifyRequest) => Promise<void>
  /** Called when a route refuses with a code that it does not declare: a fault of ours that tests must see. */
  onUndeclared?: (code: string, route: string) => void
  /** Logs bodies: the negative control of the test that looks for leaks. */
  leaks?: boolean
}

const requestTimeoutMs = 10_000
const headersTimeoutMs = 5_000
const paramCharactersMax = 512

/** Fastify with everything at the edge: limits, strict bodies, problem details for every error, request ids, a log without personal data. */
export function createServer (options: ServerOptions): FastifyInstance {
  const { log, uuid, trustedProxies } = options
  const answerBroken = brokenHttp(log, uuid)
  // Pages that may be kept say so themselves: a path can be spelled in more ways than a prefix tells.
  const everyAnswer = {
    'cache-control': 'no-store', 'x-content-type-options': 'nosniff',
    ...(options.hsts && { 'strict-transport-security': 'max-age=31536000; includeSubDomains' }),
  }
  const app = Fastify({
    bodyLimit: bodyBytesMax,
    requestTimeout: requestTimeoutMs,
    connectionTimeout: 15_000,
    keepAliveTimeout: 72_000,
    forceCloseConnections: 'idle',
    return503OnClosing: false, // what still arrives on an open connection is answered; the database closes later
    logController: new LogController({ disableRequestLogging: true }),
    loggerInstance: log,
    trustProxy: trustedProxies.length > 0 ? trustedProxies : false,
    requestIdHeader: false,
    genReqId: (request) => acceptedId(request.headers['x-request-id']) ?? uuid(),
    routerOptions: { maxParamLength: paramCharactersMax, ignoreTrailingSlash: false },
    schemaController: { compilersFactory: { buildValidator } },
    frameworkErrors: (error, request, reply) => { // no hook runs here
      sendProblem(reply.headers({ ...everyAnswer, 'x-request-id': request.id }), refusalOf(error, request))
      log.info({ requestId: request.id, method: request.method, route: null, status: reply.statusCode }, 'request')
    },
    clientErrorHandler: answerBroken,
    // Node looks for slow clients every 30 s unless told, and itself answers a missing `Host` without a body.
    http: { headersTimeout: headersTimeoutMs, connectionsCheckingInterval: 1_000, maxHeaderSize: 16 * 1024, requireHostHeader: false },
  }) as unknown as FastifyInstance
  answerEveryRequest(app, answerBroken)
  acceptJsonOnly(app)
  const paths = knownPaths(app)

  // Hooks of every request take a callback: a promise each would cost more than what they do.
  app.addHook('onRequest', (request, reply, next) => {
    reply.headers(everyAnswer).header('x-request-id', request.id)
    if (!isReadable(request.url)) next(new Refusal('malformed_url', 'The URL is not well-formed UTF-8.'))
    else if (!namesOneHost(request)) next(new Refusal('malformed_url', 'Send one Host header.'))
    else if (request.is404) next(notAnswered(request)) // before a body is looked at
    else next()
  })
  app.addHook('onSend', (_request, reply, payload, next) => {
    if (options.isDraining?.()) reply.header('connection', 'close')
    next(null, payload)
  })
  if (options.leaks) app.addHook('preHandler', async (request) => { log.info({ leaked: request.body }, 'LATCHKEY_LEAK') })
  app.addHook('onResponse', (request, reply, next) => {
    log.info({
      requestId: request.id, method: request.method, route: request.routeOptions.url ?? null, status: reply.statusCode, ms: Math.round(reply.elapsedTime),
      ...traceOf(request.headers.traceparent),
    }, 'request')
    next()
  })

  app.setErrorHandler(async (error: Error, request, reply) => {
    const refusal = refusalOf(error, request)
    if (refusal.code === 'internal_error') log.error({ requestId: request.id, route: request.routeOptions.url ?? null, ...errorFields(error) }, 'internal error')
    if (request.routeOptions.schema?.['x-permission'] && !declaredCodes(request, statusOf(refusal.code)).includes(refusal.code)) {
      log.error({ requestId: request.id, route: request.routeOptions.url, refusal: refusal.code }, 'undeclared refusal')
      options.onUndeclared?.(refusal.code, `${request.method} ${request.routeOptions.url}`)
    }
    try {
      await options.onRefusal?.(error, request)
    } catch (failure) {
      log.error({ requestId: request.id, ...errorFields(failure) }, 'a refusal could not be recorded')
    }
    return sendProblem(reply, refusal)
  })

  const notAnswered = ({ url }: FastifyRequest) => {
    const allow = paths.methodsOf(url)
    return allow.length > 0
      ? new Refusal('method_not_allowed', `This path answers ${allow.join(', ')}.`, { allow: allow.join(', ') })
      : new Refusal('not_found', 'There is no such path.')
  }
  app.setNotFoundHandler(async (request) => { throw notAnswered(request) })
  return app
}

const acceptedId = (header: string | string[] | undefined) =>
  typeof header === 'string' && /^[A-Za-z0-9._-]{1,128}$/.test(header) ? header : undefined

/** RFC 9112 section 3.2. */
const namesOneHost = (request: FastifyRequest) => valuesOf(request, 'host').length === 1 || request.raw.httpVersion === '1.0'

function isReadable (url: string): boolean {
  if (!url.includes('%')) return true
  try {
    return !decodeURIComponent(url).includes('\u0000')
  } catch {
    return false
  }
}

/** W3C Trace Context: version, trace id, parent id, flags. Anything else is as if it were not there. */
function traceOf (header: unknown): { traceId?: string, parentId?: string } {
  const [, traceId, parentId] = (typeof header === 'string' && /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}$/.exec(header)) || []
  return traceId === undefined || parentId === undefined ? {} : { traceId, parentId }
}

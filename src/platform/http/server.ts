import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import type { Socket } from 'node:net'
import type { Logger } from 'pino'
import { errorFields } from '../log.ts'
import { Refusal, statusOf } from '../refusal.ts'
import { acceptJsonOnly, bodyBytesMax } from './bodies.ts'
import { declaredCodes, problemMediaType, problemOf, refusalOf, sendProblem } from './problems.ts'
import { knownPaths } from './paths.ts'
import { buildValidator } from './validator.ts'

export interface ServerOptions {
  log: Logger
  uuid: () => string
  trustedProxies: string[]
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
  const app = Fastify({
    bodyLimit: bodyBytesMax,
    requestTimeout: requestTimeoutMs,
    connectionTimeout: 15_000,
    keepAliveTimeout: 72_000,
    forceCloseConnections: 'idle',
    disableRequestLogging: true,
    loggerInstance: log,
    trustProxy: trustedProxies.length > 0 ? trustedProxies : false,
    requestIdHeader: false,
    genReqId: (request) => acceptedId(request.headers['x-request-id']) ?? uuid(),
    routerOptions: { maxParamLength: paramCharactersMax, ignoreTrailingSlash: false },
    schemaController: { compilersFactory: { buildValidator } },
    frameworkErrors: (error, request, reply) => { sendProblem(reply.header('x-request-id', request.id), refusalOf(error, request)) },
    clientErrorHandler: answerBrokenHttp,
    http: { headersTimeout: headersTimeoutMs, maxHeaderSize: 16 * 1024 },
  }) as unknown as FastifyInstance
  acceptJsonOnly(app)
  const paths = knownPaths(app)

  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id)
    if (request.url.startsWith('/v1')) reply.header('cache-control', 'no-store')
    if (!isReadable(request.url)) throw new Refusal('malformed_url', 'The URL is not well-formed UTF-8.')
  })
  if (options.leaks) app.addHook('preHandler', async (request) => { log.info({ leaked: request.body }, 'LATCHKEY_LEAK') })
  app.addHook('onResponse', async (request, reply) => {
    log.info({
      requestId: request.id, method: request.method, route: request.routeOptions.url ?? null, status: reply.statusCode, ms: Math.round(reply.elapsedTime),
      ...traceOf(request.headers.traceparent),
    }, 'request')
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

  app.setNotFoundHandler(async (request, reply) => {
    const allow = paths.methodsOf(request.url)
    const refusal = allow.length > 0
      ? new Refusal('method_not_allowed', `This path answers ${allow.join(', ')}.`, { allow: allow.join(', ') })
      : new Refusal('not_found', 'There is no such path.')
    return sendProblem(reply, refusal)
  })
  return app
}

const acceptedId = (header: string | string[] | undefined) =>
  typeof header === 'string' && /^[A-Za-z0-9._-]{1,128}$/.test(header) ? header : undefined

function isReadable (url: string): boolean {
  try {
    return !decodeURIComponent(url).includes('\u0000')
  } catch {
    return false
  }
}

/** W3C Trace Context: version, trace id, parent id, flags. Anything else is as if it were not there. */
function traceOf (header: unknown): { traceId?: string, parentId?: string } {
  const [, traceId, parentId] = (typeof header === 'string' && /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}$/.exec(header)) || []
  return traceId === undefined || parentId === undefined || /^0+$/.test(traceId) ? {} : { traceId, parentId }
}

/** What is not even HTTP gets a problem too, and the connection ends. */
function answerBrokenHttp (error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) { socket.destroy(); return }
  const [status, reason, code] = error.code === 'HPE_HEADER_OVERFLOW' ? [431, 'Request Header Fields Too Large', 'malformed_url'] as const
    : error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? [408, 'Request Timeout', 'malformed_body'] as const
      : [400, 'Bad Request', 'malformed_url'] as const
  const body = JSON.stringify({ ...problemOf(code, 'The request is not well-formed HTTP, too large or too slow.', '-'), status })
  socket.end(`HTTP/1.1 ${status} ${reason}\r\ncontent-type: ${problemMediaType}\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`)
}


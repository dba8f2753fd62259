import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { Logger } from 'pino'
import { problemMediaType, problemOf } from './problems.ts'

export type AnswerBroken = (error: Error & { code?: string }, socket: Socket) => void

const answers: Record<string, readonly [status: number, reason: string, code: 'malformed_url' | 'malformed_body']> = {
  HPE_HEADER_OVERFLOW: [431, 'Request Header Fields Too Large', 'malformed_url'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'Request Timeout', 'malformed_body'],
}
const unreadable = [400, 'Bad Request', 'malformed_url'] as const

/** What is not even HTTP gets a problem too, with an id that is in the log, and the connection ends. */
export const brokenHttp = (log: Logger, uuid: () => string): AnswerBroken => (error, socket) => {
  // The answer to an earlier request of the connection may be half written: nothing can follow it.
  const { _httpMessage: earlier } = socket as Socket & { _httpMessage?: ServerResponse | null }
  if (error.code === 'ECONNRESET' || !socket.writable || earlier?.headersSent) { socket.destroy(); return }
  const [status, reason, code] = answers[error.code ?? ''] ?? unreadable
  const requestId = uuid()
  const body = JSON.stringify({ ...problemOf(code, 'The request is not well-formed HTTP, too large or too slow.', requestId), status })
  socket.end(`HTTP/1.1 ${status} ${reason}\r\ncontent-type: ${problemMediaType}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n` +
    `x-request-id: ${requestId}\r\ncache-control: no-store\r\nconnection: close\r\n\r\n${body}`)
  log.info({ requestId, method: null, route: null, status }, 'request')
}

/** Two kinds of requests that Node would answer by itself, or not at all. */
export function answerEveryRequest (app: FastifyInstance, answerBroken: AnswerBroken): void {
  // RFC 9110 section 10.1.1: an expectation that is not known may be ignored.
  app.server.on('checkExpectation', (request, response) => { app.server.emit('request', request, response) })
  app.server.on('connect', (_request, socket) => { answerBroken(new Error('This is no proxy'), socket as Socket) })
}

import type { IncomingMessage, ServerResponse } from 'node:http'
import { statusOf, titleOf, type Fault, type RefusalCode } from '../../platform/refusal.ts'

const maxBodyBytes = 16 * 1024
const maxReadBytes = 1024 * 1024

/** Answers in the form of the API's own errors (RFC 9457), so that one client code reads both. */
export function sendProblem (response: ServerResponse, code: RefusalCode, detail?: string, errors?: Fault[]) {
  const [status, title] = [statusOf(code), titleOf(code)]
  send(response, status, 'application/problem+json', { type: `/problems/${code}`, title, status, detail: detail ?? `${title}.`, code, errors })
}

export function sendJson (response: ServerResponse, body: object) {
  send(response, 200, 'application/json', body)
}

function send (response: ServerResponse, status: number, type: string, body: object) {
  const text = JSON.stringify(body)
  response.writeHead(status, {
    'Content-Type': `${type}; charset=utf-8`, 'Content-Length': Buffer.byteLength(text), 'Cache-Control': 'no-store',
  }).end(text)
}

/**
 * The body, or undefined where it is too large. It reads on past the limit, keeping nothing: a client that is still
 * sending would see a broken connection instead of the answer. Past a megabyte it sees just that.
 */
export async function readBody (request: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes <= maxBodyBytes) chunks.push(chunk)
    if (bytes > maxReadBytes) break
  }
  return bytes > maxBodyBytes ? undefined : Buffer.concat(chunks)
}

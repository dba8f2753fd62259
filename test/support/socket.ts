import { once } from 'node:events'
import { connect } from 'node:net'
import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'

/** What came back over a real connection, read by a parser of our own that forgives nothing. */
export interface Reply { status: number, headers: Map<string, string>, text: string, body: any, closed: boolean }

/** Listens on a free port of the loopback and answers which. The service closes it when it stops. */
export async function listen (app: FastifyInstance): Promise<number> {
  await app.listen({ host: '127.0.0.1', port: 0 })
  return (app.server.address() as AddressInfo).port
}

const silenceMs = 15_000

type Bytes = string | Uint8Array

/** Sends exactly these bytes and reads until the other side has closed or has answered `replies` times. `hangUp` ends our side after the last byte. */
export async function exchange (port: number, sent: Bytes | readonly Bytes[], { replies = 1, hangUp = false } = {}): Promise<Reply[]> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true })
  socket.on('error', () => { /* A reset ends the reading, like a close. */ })
  await once(socket, 'connect')
  const parts = typeof sent === 'string' || sent instanceof Uint8Array ? [sent] : sent
  const bodiless = Buffer.from(parts[0] ?? '').subarray(0, 5).toString() === 'HEAD '
  let received = Buffer.alloc(0)
  const finished = new Promise<boolean>((resolve) => {
    const timer = setTimeout(() => resolve(false), silenceMs)
    const done = (closed: boolean) => { clearTimeout(timer); resolve(closed) }
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk])
      if (parse(received, bodiless).length >= replies) done(false)
    })
    socket.on('close', () => done(true))
    socket.on('end', () => done(true))
  })
  for (const part of parts) socket.write(part)
  if (hangUp) socket.end()
  const closed = await finished
  socket.destroy()
  return parse(received, bodiless).map((reply) => ({ ...reply, closed }))
}

/** The complete answers in what was received. */
function parse (received: Buffer, bodiless: boolean): Omit<Reply, 'closed'>[] {
  const replies: Omit<Reply, 'closed'>[] = []
  for (let rest = received; ;) {
    const end = rest.indexOf('\r\n\r\n')
    if (end < 0) return replies
    const [line, ...fields] = rest.subarray(0, end).toString('latin1').split('\r\n')
    const headers = new Map(fields.map((field) => {
      const [, name, value] = /^([^:]+):\s*(.*)$/.exec(field) ?? []
      return [name!.toLowerCase(), value!] as const
    }))
    const length = bodiless ? 0 : Number(headers.get('content-length') ?? 0)
    const text = rest.subarray(end + 4, end + 4 + length)
    if (text.length < length) return replies
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(line!)?.[1])
    if (status >= 200) replies.push({ status, headers, text: text.toString(), body: bodyOf(text.toString(), headers) })
    rest = rest.subarray(end + 4 + length)
  }
}

function bodyOf (text: string, headers: Map<string, string>): unknown {
  return headers.get('content-type')?.includes('json') && text !== '' ? JSON.parse(text) : undefined
}

/** One request, written out: `headers` as given, plus host and the end of the connection. */
export function requestText (method: string, target: string, headers: Record<string, string> = {}, body: string | Uint8Array = ''): Uint8Array {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body
  const length = bytes.length > 0 && !('content-length' in headers) && !('transfer-encoding' in headers) ? { 'content-length': String(bytes.length) } : {}
  const lines = Object.entries({ host: 'latchkey.test', connection: 'close', ...length, ...headers }).map(([name, value]) => `${name}: ${value}\r\n`)
  return Buffer.concat([Buffer.from(`${method} ${target} HTTP/1.1\r\n${lines.join('')}\r\n`, 'latin1'), bytes])
}

import { Writable } from 'node:stream'
import t from 'tap'
import { createLog } from '../../../src/platform/log.ts'
import { testService } from '../../support/service.ts'
import { exchange, listen, requestText } from '../../support/socket.ts'

const service = await testService(t)
const tenant = await service.tenant()
const port = await listen(service.app)
const { token } = await service.as({ tenant, subject: 'ann' })
const authorization = `Bearer ${token}`
const made = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
const lineOf = (id: string | undefined) => service.logged().map((line) => JSON.parse(line)).find((line) => line.requestId === id)

t.test('a sane x-request-id comes back, is in the problem and in the log; any other is replaced', async (t) => {
  for (const id of ['a', 'req-1', '0199c0de-0000-7000-8000-000000000000', 'A.b_C-9', 'x'.repeat(128)]) {
    const [reply] = await exchange(port, requestText('GET', '/v1/users/nobody', { authorization, 'x-request-id': id }))
    t.equal(reply?.headers.get('x-request-id'), id)
    t.equal(reply?.body.instance, id)
    t.match(lineOf(id), { method: 'GET', route: '/v1/users/:userId', status: 404, msg: 'request' })
  }
  const strange = ['', ' ', 'x'.repeat(129), 'x'.repeat(5_000), 'a b', 'a,b', 'a;b', 'a/b', '{"level":"error"}', '<script>', '${jndi:ldap://a}', 'a%0d%0aset-cookie:x', 'a\tb', '\u00e9', '"', '\\n', '../../x']
  for (const id of strange) {
    const [reply] = await exchange(port, requestText('GET', '/v1/users/nobody', { authorization, 'x-request-id': id }))
    t.match(reply?.headers.get('x-request-id'), made, JSON.stringify(id.slice(0, 40)))
    t.notMatch(service.logged().at(-1)!, /jndi|script|set-cookie|\.\./)
  }
  const [folded] = await exchange(port, `GET /v1/users/nobody HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx-request-id: a\r\nx-request-id: b\r\n\r\n`)
  t.match(folded?.headers.get('x-request-id'), made, 'sent twice')
  const [injected] = await exchange(port, `GET /v1/users/nobody HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx-request-id: a\r\nset-cookie: b\r\n\r\n`)
  t.equal(injected?.headers.get('set-cookie'), undefined)
  const [broken] = await exchange(port, `GET /v1/users/nobody HTTP/1.1\r\nhost: a\r\nx-request-id: a\rb\r\n\r\n`)
  t.match(broken?.headers.get('x-request-id'), made)
  const [unreadable] = await exchange(port, requestText('GET', '/v1/users/%zz', { 'x-request-id': 'mine' }))
  t.equal(unreadable?.body.instance, 'mine', 'also where the URL cannot be read')
  t.match(lineOf('mine'), { status: 400 })
})

t.test('two requests never get the same id', async (t) => {
  const ids = await Promise.all(Array.from({ length: 50 }, async () => (await service.app.inject({ url: '/v1/users/me' })).headers['x-request-id']))
  t.equal(new Set(ids).size, 50)
})

t.test('a W3C traceparent is in the log; what is none is as if it were not there', async (t) => {
  const [trace, parent] = ['4bf92f3577b34da6a3ce929d0e0e4736', '00f067aa0ba902b7']
  const logOf = async (traceparent: string) => {
    const [reply] = await exchange(port, requestText('GET', '/v1/users/me', { authorization, traceparent, tracestate: 'x=1' }))
    t.equal(reply?.status, 200)
    return lineOf(reply?.headers.get('x-request-id'))
  }
  for (const flags of ['00', '01']) t.match(await logOf(`00-${trace}-${parent}-${flags}`), { traceId: trace, parentId: parent })
  const wrong = ['', 'x', `00-${trace}-${parent}`, `00-${'0'.repeat(32)}-${parent}-01`, `00-${trace}-${'0'.repeat(16)}-01`, `ff-${trace}-${parent}-01`, `00-${trace.toUpperCase()}-${parent}-01`, `00-${trace}-${parent}-01-more`, `00-${trace}zz-${parent}-01`, `00-${trace}-${parent}-01, 00-${trace}-${parent}-01`]
  for (const header of wrong) t.equal((await logOf(header)).traceId, undefined, header)
})

t.test('a log line names what was asked and how it ended, and nothing that was sent', async (t) => {
  const [reply] = await exchange(port, requestText('PUT', '/v1/users/canary-id?canary-query=1', { authorization, 'content-type': 'application/json', cookie: 'canary-cookie', 'user-agent': 'canary-agent' }, '{"displayName":"canary-body"}'))
  const line = lineOf(reply?.headers.get('x-request-id'))
  t.strictSame(Object.keys(line).toSorted(), ['level', 'method', 'ms', 'msg', 'requestId', 'route', 'status', 'time'])
  t.notOk(service.logged().some((one) => one.includes('canary') || one.includes(token.split('.')[1]!)))
})

t.test('what is logged stays one JSON object a line, whatever characters it holds', async (t) => {
  const lines: string[] = []
  const log = createLog('info', new Writable({ write (chunk, _encoding, done) { lines.push(String(chunk)); done() } }))
  const strange = '\n\r\u2028\u0000"\\{}\ud800 😀'
  log.info({ [strange]: strange }, strange)
  t.equal(lines.length, 1)
  t.equal(lines[0]!.split('\n').length, 2)
  t.type(JSON.parse(lines[0]!), 'object')
})

import t from 'tap'
import { contentsOf, fitsEveryProblem } from '../../support/edge.ts'
import { testService } from '../../support/service.ts'
import { exchange, listen, requestText } from '../../support/socket.ts'

const service = await testService(t)
const tenant = await service.tenant()
const port = await listen(service.app)
const { token } = await service.as({ tenant, subject: 'boss', roles: ['privilegedAdmin'] })
const authorization = `Bearer ${token}`
await exchange(port, requestText('GET', '/v1/users/me', { authorization }))
const before = await contentsOf(service)
const start = `GET /v1/users/me HTTP/1.1\r\nhost: a\r\nauthorization: ${authorization}\r\n`

t.test('what is not HTTP gets a problem with an id that is in the log, and the connection ends', async (t) => {
  const broken: Record<string, [status: number, bytes: string | Uint8Array]> = {
    'a TLS handshake': [400, Uint8Array.from([0x16, 0x03, 0x01, 0x00, 0xa5, 0x01, 0x00, 0x0d, 0x0a])],
    'a preface of HTTP/2': [400, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    'HTTP/9': [400, 'GET / HTTP/9.9\r\nhost: a\r\n\r\n'],
    'no version': [400, 'GET /\r\n\r\n'],
    'an unknown method': [400, 'BREW /v1/users/me HTTP/1.1\r\nhost: a\r\n\r\n'],
    'a method in lower case': [400, 'get /v1/users/me HTTP/1.1\r\nhost: a\r\n\r\n'],
    'a request to a proxy': [400, 'CONNECT bank.example:443 HTTP/1.1\r\nhost: bank.example:443\r\n\r\n'],
    'a target without a slash': [400, 'GET v1/users/me HTTP/1.1\r\nhost: a\r\n\r\n'],
    'raw bytes in the target': [400, Buffer.from('GET /v1/users/\xff\xfe HTTP/1.1\r\nhost: a\r\n\r\n', 'latin1')],
    'a space in the target': [400, 'GET /v1/users/a b HTTP/1.1\r\nhost: a\r\n\r\n'],
    'lines that end in LF alone': [400, 'GET /v1/users/me HTTP/1.1\nhost: a\n\n'],
    'a NUL in a header': [400, `${start}x-a: a\0b\r\n\r\n`],
    'a CR in a header': [400, `${start}x-a: a\rb\r\n\r\n`],
    'a header without a colon': [400, `${start}x-a\r\n\r\n`],
    'a space before the colon': [400, `${start}content-length : 5\r\n\r\n`],
    'a folded header': [400, `${start}x-a: a\r\n  b\r\n\r\n`],
    'a header with a name of no letters': [400, `${start}(x): a\r\n\r\n`],
    'no host': [400, `GET /v1/users/me HTTP/1.1\r\nconnection: close\r\nauthorization: ${authorization}\r\n\r\n`],
    'two hosts': [400, `${start}host: b\r\nconnection: close\r\n\r\n`],
    'a length and chunks': [400, 'POST /v1/users/search HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n'],
    'two lengths': [400, 'POST /v1/users/search HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}'],
    'a header of 20 KB': [431, `${start}x-a: ${'a'.repeat(20_000)}\r\n\r\n`],
    'a target of 20 KB': [431, `GET /v1/users/me?${'a'.repeat(20_000)} HTTP/1.1\r\nhost: a\r\n\r\n`],
    '3,000 headers': [431, `${start}${Array.from({ length: 3_000 }, (_none, index) => `h${index}: 1\r\n`).join('')}\r\n`],
    'headers that never end, then we hang up': [400, start],
  }
  for (const [name, [status, bytes]] of Object.entries(broken)) {
    const replies = await exchange(port, bytes, { replies: 2, hangUp: true })
    t.equal(replies.length, 1, `${name}: one answer`)
    const [reply] = replies
    t.match(reply, { status, closed: true, body: { code: 'malformed_url' } }, name)
    fitsEveryProblem(t, reply, name)
    const id = reply?.headers.get('x-request-id')
    t.ok(service.logged().some((line) => { const { requestId, msg, status: logged } = JSON.parse(line); return requestId === id && msg === 'request' && logged === status }), `${name}: logged`)
  }
})

t.test('what follows a broken request on the same connection is not answered', async (t) => {
  const smuggled = 'DELETE /v1/users/bob/contact-methods/1 HTTP/1.1\r\nhost: a\r\n\r\n'
  for (const bytes of [`GET / HTTP/1.1\r\nhost: a\r\nx y: z\r\n\r\n${smuggled}`, `POST /v1/users/search HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`]) {
    t.match(await exchange(port, bytes, { replies: 2, hangUp: true }), [{ status: 400, closed: true }])
  }
})

t.test('unusual, but allowed: HTTP/1.0, an expectation, an upgrade, requests one behind the other', async (t) => {
  const ok = { status: 200, body: { userId: 'boss' } }
  t.match((await exchange(port, `GET /v1/users/me HTTP/1.0\r\nauthorization: ${authorization}\r\n\r\n`))[0], ok, 'HTTP/1.0 without a host')
  t.match((await exchange(port, requestText('GET', '/v1/users/me', { authorization, expect: 'coffee' })))[0], ok, 'an unknown expectation')
  t.match((await exchange(port, requestText('GET', '/v1/users/me', { authorization, connection: 'upgrade', upgrade: 'websocket' })))[0], ok, 'an upgrade to what we do not speak')
  t.match((await exchange(port, requestText('GET', 'http://elsewhere.test/v1/users/me', { authorization })))[0], { ...ok, headers: new Map([['cache-control', 'no-store']]) }, 'a target in absolute form')
  const expecting = requestText('POST', '/v1/users/search', { authorization, 'content-type': 'application/json', expect: '100-continue' }, '{"email":"ann@example.org"}')
  t.match((await exchange(port, expecting))[0], { status: 200, body: { items: [] } })
  const one = requestText('GET', '/v1/users/me', { authorization, connection: 'keep-alive' })
  const replies = await exchange(port, Buffer.concat([one, one, requestText('GET', '/v1/nope', { connection: 'keep-alive' }), one]), { replies: 4 })
  t.strictSame(replies.map(({ status }) => status), [200, 200, 404, 200], 'in their order')
})

t.test('none of this changed anything, or put more than one JSON object in a line of the log', async (t) => {
  t.equal(await contentsOf(service), before)
  for (const line of service.logged()) t.equal(line.indexOf('\n'), line.length - 1, JSON.parse(line).msg)
  t.notOk(service.logged().some((line) => /"level":"(warn|error|fatal)"/.test(line)))
})

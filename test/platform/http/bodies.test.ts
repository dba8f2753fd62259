import t from 'tap'
import { contentsOf, fitsEveryProblem } from '../../support/edge.ts'
import { testService } from '../../support/service.ts'
import { exchange, listen, requestText, type Reply } from '../../support/socket.ts'

const service = await testService(t)
const tenant = await service.tenant()
const port = await listen(service.app)
const { token } = await service.as({ tenant, subject: 'boss', roles: ['privilegedAdmin'] })
await exchange(port, requestText('GET', '/v1/users/me', { authorization: `Bearer ${token}` }))
const authorization = `Bearer ${token}`
const json = { authorization, 'content-type': 'application/json' }

type Body = string | Uint8Array
const put = async (body: Body, headers: Record<string, string> = json): Promise<Reply> => (await exchange(port, requestText('PUT', '/v1/users/bob', headers, body)))[0]!
const bytes = (...values: number[]) => Uint8Array.from(values)
const nested = (depth: number) => `{"userId":"me","purpose":"verifyContact","context":{"display":"x","data":{"a":${'['.repeat(depth - 3)}${']'.repeat(depth - 3)}}}}`

const malformed: Record<string, Body> = {
  'half an object': '{"displayName":',
  'two objects': '{"displayName":"a"}{}',
  'a trailing comma': '{"displayName":"a",}',
  'a comment': '{"displayName":"a"}//',
  'single quotes': '{\'displayName\':\'a\'}',
  'NaN': '{"displayName":NaN}',
  'nothing but spaces': '   ',
  'a byte order mark': '\ufeff{"displayName":"a"}',
  'a UTF-16 body': Buffer.from('\ufeff{"displayName":"a"}', 'utf16le'),
  'a byte that is no UTF-8': Buffer.concat([Buffer.from('{"displayName":"'), bytes(0xff), Buffer.from('"}')]),
  'an overlong NUL': Buffer.concat([Buffer.from('{"displayName":"'), bytes(0xc0, 0x80), Buffer.from('"}')]),
  'half a surrogate pair in UTF-8': Buffer.concat([Buffer.from('{"displayName":"'), bytes(0xed, 0xa0, 0x80), Buffer.from('"}')]),
  'a raw NUL': '{"displayName":"a\0b"}',
  'a raw newline in a string': '{"displayName":"a\nb"}',
  'an escaped NUL': '{"displayName":"a\\u0000b"}',
  'an escaped NUL in a key': '{"displayName\\u0000":"a"}',
  'a lone high surrogate': '{"displayName":"\\ud83d"}',
  'a lone low surrogate': '{"displayName":"\\ude00x"}',
  'surrogates the wrong way round': '{"displayName":"\\ude00\\ud83d"}',
  'a key twice': '{"displayName":"a","displayName":"b"}',
  'a key twice, once escaped': '{"displayName":"a","\\u0064isplayName":"b"}',
  'a key twice, once with spaces before its colon': `{"displayName":"a","displayName"${' '.repeat(500)}:"b"}`,
  'a key twice, once with other white space before its colon': `{"displayName":"a","displayName"${'\r\n\t '.repeat(100)}:"b"}`,
  'a key twice, deep inside': '{"displayName":"a","x":[{"y":{"z":1,"z":2}}]}',
  'a key twice, around a nested object': '{"a":{"b":{}},"displayName":"x","a":1}',
  '__proto__': '{"__proto__":{"privileged":true},"displayName":"a"}',
  '__proto__, escaped': '{"\\u005f_proto__":{"privileged":true}}',
  '__proto__, deep inside': '{"displayName":"a","x":[{"__proto__":null}]}',
  'constructor.prototype': '{"constructor":{"prototype":{"privileged":true}}}',
  '17 levels of arrays': '['.repeat(17) + ']'.repeat(17),
  '17 levels of objects': '{"a":'.repeat(17) + '1' + '}'.repeat(17),
  '8,000 levels': '['.repeat(8_000) + ']'.repeat(8_000),
  '8,000 levels that never end': '['.repeat(8_000),
}

const unfit: Record<string, Body> = {
  'null': 'null', 'an array': '[]', 'an array of what would fit': '[{"displayName":"a"}]', 'a string': '"displayName"', 'a number': '1', 'true': 'true',
  'no body': '', 'an unknown field': '{"displayName":"a","admin":true}', 'a number for a string': '{"displayName":1}', 'text for a boolean': '{"privileged":"true"}',
  'a number for a boolean': '{"privileged":1}', 'a list for a string': '{"displayName":["a"]}', 'an object for a string': '{"displayName":{"toString":"a"}}',
  'infinity': '{"displayName":1e999}', 'an empty string': '{"displayName":""}', 'a control character': '{"displayName":"a\\u0007"}', 'another case of a field': '{"DisplayName":"a"}',
  'a field of every object': '{"hasOwnProperty":1}', 'an empty key': '{"":1}',
}

t.test('what is not strict JSON in UTF-8 is 400 malformed_body; what does not fit is 400 validation_failed; nothing changes', async (t) => {
  const before = await contentsOf(service)
  for (const [code, bodies] of Object.entries({ malformed_body: malformed, validation_failed: unfit })) {
    for (const [name, body] of Object.entries(bodies)) {
      const reply = await put(body)
      t.match(reply, { status: 400, body: { code } }, name)
      fitsEveryProblem(t, reply, name)
      if (code === 'validation_failed') t.ok(reply.body.errors.every((fault: { pointer: unknown }) => typeof fault.pointer === 'string'), `${name}: names the place`)
    }
  }
  t.equal(await contentsOf(service), before)
})

t.test('16 levels and 16 KiB are fine; one more is not, however it is sent', async (t) => {
  const post = async (body: Body, headers: Record<string, string> = json) => (await exchange(port, requestText('POST', '/v1/challenges', headers, body)))[0]!
  t.match(await post(nested(16)), { status: 400, body: { code: 'validation_failed', errors: [{ pointer: '/context' }] } }, 'read, and refused for another reason')
  t.match(await post(nested(17)), { status: 400, body: { code: 'malformed_body' } })

  const filled = (length: number) => '{"displayName":"Full"}'.padEnd(length)
  t.equal((await put(filled(16_384))).status, 201)
  const before = await contentsOf(service)
  const chunked = { ...json, 'transfer-encoding': 'chunked' }
  const inChunks = (body: string, size: number) => (body.match(new RegExp(`[^]{1,${size}}`, 'g')) ?? []).map((piece) => `${piece.length.toString(16)}\r\n${piece}\r\n`).join('') + '0\r\n\r\n'
  const tooLarge: Record<string, Promise<Reply>> = {
    'one byte more': put(filled(16_385)),
    '2 MB': put(filled(2_000_000)),
    '2 MB announced, and not sent': put('{', { ...json, 'content-length': '2000000' }),
    'more than can be counted': put('{', { ...json, 'content-length': '99999999999999999' }),
    'in one chunk': put(inChunks(filled(16_385), 20_000), chunked),
    'in small chunks': put(inChunks(filled(20_000), 100), chunked),
    '2 MB in chunks': put(inChunks(filled(2_000_000), 60_000), chunked),
  }
  for (const [name, answer] of Object.entries(tooLarge)) {
    const reply = await answer
    t.match(reply, { status: 413, body: { code: 'body_too_large' } }, name)
    fitsEveryProblem(t, reply, name)
  }
  t.equal(await contentsOf(service), before)
  t.equal((await put(inChunks(filled(16_384), 1_000), chunked)).status, 200, '16 KiB in chunks')
  const [split] = await exchange(port, [...requestText('PUT', '/v1/users/bob', json, '{"displayName":"Żółć 😀"}')].map((byte) => bytes(byte)))
  t.match(split, { status: 200, body: { displayName: 'Żółć 😀' } }, 'characters that arrive byte by byte')
})

t.test('only application/json in UTF-8 is read, in whichever way that is spelled', async (t) => {
  const body = '{"displayName":"Typed"}'
  const accepted = ['application/json', 'Application/JSON', 'application/json; charset=utf-8', 'application/json;charset="UTF-8"', 'application/json; charset=utf8', 'application/json ; charset=UTF-8', 'application/json; profile="x"', 'application/json;', ' application/json ']
  for (const type of accepted) t.equal((await put(body, { authorization, 'content-type': type })).status, 200, type)

  const before = await contentsOf(service)
  const refused = [
    'application/json; charset=utf-16', 'application/json; charset=iso-8859-1', 'application/json; charset=utf-8; charset=utf-16', 'application/json; charset=', 'application/json; charset="utf-8', 'application/json; x="a"; CHARSET = utf-7',
    'application/json+x', 'application/x+json', 'application/jsonp', 'application/problem+json', 'application/merge-patch+json', 'text/json', 'text/plain', 'text/html', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'application/octet-stream',
    'application/json, text/plain', 'text/plain, application/json', 'json', 'application/', '/json', '*/*', 'application/*', 'undefined', '',
  ]
  const unread = (name: string, reply: Reply | undefined) => {
    t.match(reply, { status: 415, body: { code: 'unsupported_media_type' } }, name)
    fitsEveryProblem(t, reply, name)
  }
  for (const type of refused) unread(type, await put(body, { authorization, 'content-type': type }))
  unread('no content type', await put(body, { authorization }))
  for (const coding of ['gzip', 'deflate', 'br', 'identity, gzip']) unread(coding, await put(body, { ...json, 'content-encoding': coding }))
  for (const second of ['text/plain', 'application/json']) {
    const [reply] = await exchange(port, `PUT /v1/users/bob HTTP/1.1\r\nhost: a\r\nconnection: close\r\nauthorization: ${authorization}\r\ncontent-type: application/json\r\nContent-Type: ${second}\r\ncontent-length: ${body.length}\r\n\r\n${body}`)
    unread(`twice, the second ${second}`, reply)
  }
  t.equal(await contentsOf(service), before)
})

t.test('a body where none belongs is refused, not dropped', async (t) => {
  const before = await contentsOf(service)
  const id = crypto.randomUUID()
  for (const [method, path] of [['GET', '/v1/users/bob'], ['GET', '/v1/users/bob/contact-methods'], ['DELETE', `/v1/users/bob/contact-methods/${id}`]] as const) {
    for (const [name, body, headers] of [['JSON', '{"a":1}', json], ['no JSON', '{', json], ['text', 'x', { authorization, 'content-type': 'text/plain' }], ['chunked', '0\r\n\r\n', { authorization, 'transfer-encoding': 'chunked' }]] as const) {
      const [reply] = await exchange(port, requestText(method, path, headers, body))
      t.match(reply, { status: 400, body: { code: 'validation_failed', errors: [{ pointer: '', code: 'unexpected' }] } }, `${method} ${path}: ${name}`)
      fitsEveryProblem(t, reply, `${method} ${path}: ${name}`)
    }
    for (const type of ['application/json', 'text/plain', 'garbage']) {
      const [reply] = await exchange(port, requestText(method, path, { authorization, 'content-type': type, 'content-length': '0' }))
      t.equal(reply?.status, method === 'GET' ? 200 : 404, `${method} ${path}: the type ${type} of no body does not matter`)
    }
  }
  t.equal(await contentsOf(service), before)
})

t.test('a body that is not as long as announced changes nothing', async (t) => {
  const before = await contentsOf(service)
  const body = '{"displayName":"Cut"}'
  const wrong: Record<string, [headers: Record<string, string>, body: Body, hangUp?: boolean]> = {
    'too short': [{ 'content-length': '5' }, body],
    'too long, then we hang up': [{ 'content-length': '500' }, body, true],
    'negative': [{ 'content-length': '-1' }, body],
    'no number': [{ 'content-length': '0x15' }, body],
    'with a sign': [{ 'content-length': '+21' }, body],
    'beside chunks': [{ 'content-length': '21', 'transfer-encoding': 'chunked' }, `15\r\n${body}\r\n0\r\n\r\n`],
    'chunks of a bad size': [{ 'transfer-encoding': 'chunked' }, `xyz\r\n${body}\r\n0\r\n\r\n`],
    'chunks that never end, then we hang up': [{ 'transfer-encoding': 'chunked' }, `15\r\n${body}\r\n`, true],
    'a coding that is not last': [{ 'transfer-encoding': 'chunked, gzip' }, `15\r\n${body}\r\n0\r\n\r\n`],
    'two codings': [{ 'transfer-encoding': 'gzip, chunked' }, `15\r\n${body}\r\n0\r\n\r\n`],
  }
  for (const [name, [headers, sent, hangUp = false]] of Object.entries(wrong)) {
    const [reply] = await exchange(port, requestText('PUT', '/v1/users/bob', { ...json, ...headers }, sent), { hangUp })
    t.ok(reply && [400, 415].includes(reply.status), `${name}: ${reply?.status}`)
    if (reply) fitsEveryProblem(t, reply, name)
  }
  const [twice] = await exchange(port, `PUT /v1/users/bob HTTP/1.1\r\nhost: a\r\nauthorization: ${authorization}\r\ncontent-type: application/json\r\ncontent-length: 21\r\ncontent-length: 22\r\n\r\n${body}`)
  t.match(twice, { status: 400 })
  t.equal(await contentsOf(service), before)
})

t.test('a body or headers that do not come in time end with a problem', async (t) => {
  const startedAt = performance.now()
  const afterSeconds = async (bytes: Body) => {
    const [reply] = await exchange(port, bytes)
    fitsEveryProblem(t, reply, 'too slow')
    t.equal(reply?.status, 408)
    return (performance.now() - startedAt) / 1000
  }
  const [headers, body] = await Promise.all([
    afterSeconds(`PUT /v1/users/bob HTTP/1.1\r\nhost: a\r\nauthorization: ${authorization}\r\n`),
    afterSeconds(requestText('PUT', '/v1/users/bob', { ...json, 'content-length': '100' }, '{')),
  ])
  t.ok(headers >= 5 && headers < 9, `headers: ${headers.toFixed(1)} s`)
  t.ok(body >= 10 && body < 14, `body: ${body.toFixed(1)} s`)
})

import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair } from 'jose'
import t, { type Test } from 'tap'
import { tokenVerifier } from '../../../src/platform/http/tokens.ts'
import { claimsOf, sign } from '../../support/forge.ts'
import { testService } from '../../support/service.ts'

const startMs = Math.floor(Date.now() / 1000) * 1000
const keysNamed = async (...names: string[]) => Object.fromEntries(await Promise.all(names.map(async (name) => [name, await generateKeyPair('ES256')] as const)))
const pairs = await keysNamed('old', 'new', 'unknown')

/** An issuer whose keys and manners can change, and a verifier whose clocks are moved by hand. */
async function scene (t: Test, published: string[]) {
  const jwks = async (names: string[]) => JSON.stringify({ keys: await Promise.all(names.map(async (name) => ({ ...await exportJWK(pairs[name]!.publicKey), kid: name, alg: 'ES256' }))) })
  const issuer = { requests: 0, answer: ((_request, response) => { response.end(keys) }) as RequestListener }
  let keys = await jwks(published)
  const server = createServer((request, response) => { issuer.requests++; issuer.answer(request, response) })
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const trusted = { issuer: origin, jwksUri: `${origin}/jwks`, audience: 'latchkey', typ: 'at+jwt', algorithms: ['ES256'], claims: { tenant: 'tenant', roles: 'roles', scope: 'scope', kind: null } }
  const clock = { ms: startMs, elapsedMs: 0 }
  const verifier = tokenVerifier([trusted], () => new Date(clock.ms), () => clock.elapsedMs)
  t.teardown(() => { verifier.close(); server.closeAllConnections(); server.close() })
  return {
    issuer, clock, server, trusted,
    publish: async (names: string[]) => { keys = await jwks(names) },
    token: (key: string, extra: object = {}) => sign(pairs[key]!.privateKey, { alg: 'ES256', typ: 'at+jwt', kid: key },
      { ...claimsOf({ trusted }, 'acme', 'ann'), iat: startMs / 1000, auth_time: startMs / 1000, exp: startMs / 1000 + 3600, ...extra }),
    /** `ok`, or the code of the refusal. */
    judge: async (token: string) => verifier.verify(token).then(() => 'ok', (error: { code: string }) => error.code),
    pass: (ms: number) => { clock.ms += ms; clock.elapsedMs += ms },
  }
}

t.test('a verified token is remembered for 60 seconds, no longer', async (t) => {
  const { judge, token, publish, pass } = await scene(t, ['old'])
  const kept = await token('old')
  t.equal(await judge(kept), 'ok')
  await publish(['new'])
  pass(31_000)
  t.equal(await judge(await token('new')), 'ok', 'the issuer was asked again: the old key is gone')
  t.equal(await judge(await token('old')), 'invalid_token', 'a token of a retired key is refused')
  pass(28_999)
  t.equal(await judge(kept), 'ok', 'remembered for 59.999 s')
  pass(1)
  t.equal(await judge(kept), 'invalid_token', 'checked anew after 60 s')
})

t.test('a verified token is never remembered beyond its exp', async (t) => {
  const { judge, token, publish, pass } = await scene(t, ['old'])
  const kept = await token('old', { exp: startMs / 1000 + 40 })
  t.equal(await judge(kept), 'ok')
  await publish(['new'])
  pass(31_000)
  t.equal(await judge(await token('new')), 'ok')
  pass(8_999)
  t.equal(await judge(kept), 'ok', 'remembered up to its exp')
  pass(1)
  t.equal(await judge(kept), 'invalid_token', 'checked anew from its exp on, though the skew would still let it pass')
})

t.test('a clock may be off by 30 seconds, to the second', async (t) => {
  const { judge, token } = await scene(t, ['old'])
  const now = startMs / 1000
  for (const [claims, judgement] of [
    [{ exp: now - 29 }, 'ok'], [{ exp: now - 30 }, 'invalid_token'], [{ nbf: now + 30 }, 'ok'], [{ nbf: now + 31 }, 'invalid_token'],
  ] as const) t.equal(await judge(await token('old', claims)), judgement, JSON.stringify(claims))
})

t.test('at most 10,000 tokens are remembered: the oldest makes room', async (t) => {
  const { judge, token, publish, pass } = await scene(t, ['old'])
  const [first, second, last] = [await token('old'), await token('old'), await token('old')]
  t.equal(await judge(first), 'ok')
  t.equal(await judge(second), 'ok')
  for (let many = 0; many < 9_998; many += 101) await Promise.all(Array.from({ length: Math.min(101, 9_998 - many) }, async () => judge(await token('old'))))
  t.equal(await judge(last), 'ok')
  await publish(['new'])
  pass(31_000)
  t.equal(await judge(await token('new')), 'ok', 'this one and the last have made room for themselves')
  t.equal(await judge(first), 'invalid_token')
  t.equal(await judge(second), 'invalid_token')
  t.equal(await judge(last), 'ok')
})

t.test('one refused token is no reason to refuse or accept another', async (t) => {
  const { judge, token } = await scene(t, ['old'])
  const good = await token('old')
  const altered = `${good.slice(0, -8)}AAAAAAAA`
  t.strictSame(await Promise.all([good, altered, good, altered].map(judge)), ['ok', 'invalid_token', 'ok', 'invalid_token'])
  t.equal(await judge(altered), 'invalid_token')
})

t.test('unknown keys are asked for at most once in 30 seconds, whatever comes back', async (t) => {
  const { judge, token, issuer, pass, publish } = await scene(t, ['old'])
  t.equal(await judge(await token('old')), 'ok')
  const flood = async () => new Set(await Promise.all(Array.from({ length: 20 }, async () => judge(await token('unknown')))))
  t.strictSame([await flood(), issuer.requests], [new Set(['invalid_token']), 1], 'the keys have just been read')
  pass(30_000)
  t.strictSame([await flood(), await flood(), issuer.requests], [new Set(['invalid_token']), new Set(['invalid_token']), 2])
  pass(30_000)
  issuer.answer = (_request, response) => { response.statusCode = 500; response.end() }
  t.strictSame([await flood(), await flood(), issuer.requests], [new Set(['unavailable']), new Set(['unavailable']), 3], 'nobody knows whether it is a new key')
  t.equal(await judge(await token('old')), 'ok', 'known keys keep working')
  pass(30_000)
  issuer.answer = (_request, response) => { void publish(['old', 'unknown']).then(() => response.end('{}')) }
  t.equal(await judge(await token('unknown')), 'unavailable', 'what is no key set is no answer')
  t.equal(issuer.requests, 4)
})

t.test('an issuer that was out of reach from the start is asked every second until it answers', async (t) => {
  const { judge, token, issuer, pass } = await scene(t, ['old'])
  const answers = issuer.answer
  const failures: Record<string, RequestListener> = {
    'refuses': (_request, response) => { response.statusCode = 503; response.end() },
    'sends no JSON': (_request, response) => { response.end('<html>') },
    'sends no key set': (_request, response) => { response.end('{"keys":{}}') },
    'redirects to elsewhere': (_request, response) => { response.writeHead(302, { location: '/stolen' }).end() },
    'hangs up': (request) => { request.socket.destroy() },
  }
  for (const [name, failure] of Object.entries(failures)) {
    issuer.answer = failure
    const before = issuer.requests
    t.equal(await judge(await token('old')), 'unavailable', name)
    t.equal(await judge(await token('old')), 'unavailable', name)
    t.equal(issuer.requests - before, 1, `${name}: asked once, and no redirect is followed`)
    pass(1_000)
  }
  issuer.answer = answers
  t.equal(await judge(await token('old')), 'ok')
})

t.test('without keys every route is 503 with a problem, and recovers', async (t) => {
  const { issuer, trusted, token } = await scene(t, ['old'])
  const answers = issuer.answer
  issuer.answer = (_request, response) => { response.statusCode = 500; response.end() }
  const service = await testService(t, { issuers: [trusted] })
  await service.tenant({ slug: 'acme' })
  const ask = async (key: string) => service.app.inject({ url: '/v1/users/me', headers: { authorization: `Bearer ${await token(key)}` } })
  for (const reply of [await ask('old'), await ask('unknown')]) {
    t.equal(reply.statusCode, 503)
    t.match(reply.headers, { 'content-type': /^application\/problem\+json/, 'retry-after': '1', 'cache-control': 'no-store' })
    t.match(reply.json(), { code: 'unavailable', retryAfterSeconds: 1 })
    t.notMatch(reply.body, new RegExp(trusted.jwksUri), 'it does not say whom it asked')
  }
  issuer.answer = answers
  for (const deadline = Date.now() + 5_000; (await ask('old')).statusCode !== 200;) if (Date.now() > deadline) { t.fail('it never recovered'); break }
  t.equal((await ask('old')).statusCode, 200)
})

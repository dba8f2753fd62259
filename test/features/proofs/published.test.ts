import { readFileSync } from 'node:fs'
import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { calculateJwkThumbprint, createRemoteJWKSet, jwtVerify, SignJWT, type JWK } from 'jose'
import t from 'tap'
import { signProof } from '../../../src/features/proofs/proofs.ts'
import { keysOf, parseKeyRing } from '../../../src/platform/keys.ts'
import { testKeyRingText } from '../../support/keys.ts'
import { app, approved, registered } from '../../support/proofs.ts'
import { testService } from '../../support/service.ts'
import { listen } from '../../support/socket.ts'

const service = await testService(t)
const port = await listen(service.app)
const address = `http://127.0.0.1:${port}/.well-known/jwks.json`
const tenant = await service.tenant()
await registered(service, tenant, 'ann', ['mobilePhone'])
const subject = await approved(service, tenant, { userId: 'ann', purpose: 'signIn', starter: app('payroll') })
const proof = await signProof(service.deps, subject)

t.test('anyone gets the public keys of all versions of the ring, to keep for 5 minutes', async (t) => {
  const answer = await fetch(address)
  t.equal(answer.status, 200)
  t.match(answer.headers.get('content-type'), /^application\/(?:jwk-set\+)?json/)
  t.equal(answer.headers.get('cache-control'), 'public, max-age=300')
  const { keys, ...more } = await answer.json() as { keys: JWK[] }
  t.strictSame(more, {})
  t.equal(keys.length, 2, 'one for each version')
  for (const key of keys) {
    t.strictSame(Object.keys(key).toSorted(), ['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y'], 'no private member')
    t.match(key, { kty: 'EC', crv: 'P-256', alg: 'ES256', use: 'sig' })
    t.equal(key.kid, await calculateJwkThumbprint(key), 'the name of a key is its RFC 7638 thumbprint')
    t.doesNotThrow(() => createPublicKey({ key, format: 'jwk' }), 'a point of the curve')
  }
  const others = await Promise.all([{ 'latchkey-proof': 'x' }, { authorization: 'Bearer nonsense' }].map((headers) => fetch(address, { headers })))
  t.same(others.map(({ status }) => status), [200, 200], 'no token is looked at')
})

t.test('the keys come from the ring alone: a replica and a restart have the same, another ring has others', async (t) => {
  const published = (ring: string) => keysOf(parseKeyRing(ring)).proofKeys.all.map(({ published: { kid } }) => kid)
  t.same(published(testKeyRingText), service.deps.keys.proofKeys.all.map(({ kid }) => kid))
  t.equal(new Set([...published(testKeyRingText), ...published(`1:${Buffer.alloc(32, 'c').toString('base64')}`)]).size, 3)
  for (let byte = 0; byte < 64; byte++) published(`1:${Buffer.alloc(32, byte).toString('base64')}`) // every secret gives a key
})

t.test('who has nothing but jose and the published keys accepts the proof', async (t) => {
  const { payload, protectedHeader } = await jwtVerify(proof, createRemoteJWKSet(new URL(address)), {
    issuer: 'latchkey', audience: 'payroll', subject: 'ann', typ: 'latchkey-proof+jwt', algorithms: ['ES256'], requiredClaims: ['exp', 'iat', 'jti'],
  })
  t.match(protectedHeader, { alg: 'ES256', typ: 'latchkey-proof+jwt' })
  t.match(payload, { tenant, purpose: 'signIn', jti: subject.challengeId, amr: ['otp', 'sms'], acr: 'latchkey:phone' })
})

t.test('the example of docs/proofs.md does what it says', async (t) => {
  const text = readFileSync(join(import.meta.dirname, '../../../docs/proofs.md'), 'utf8')
  const [, example = ''] = /```js\n(.*?)```/s.exec(text) ?? []
  t.ok(example.trim().split('\n').length <= 12, 'it is short')
  const here = example.replaceAll('https://mfa.example.com/.well-known/jwks.json', address).replaceAll('https://mfa.example.com', 'latchkey')
  const folder = t.testdir({ 'check.mjs': here })
  const { checkProof } = await import(pathToFileURL(join(folder, 'check.mjs')).href) as { checkProof: (proof: string, expected: object) => Promise<Record<string, unknown>> }
  const expected = { tenant, userId: 'ann', purpose: 'signIn' }
  t.match(await checkProof(proof, expected), { sub: 'ann', jti: subject.challengeId })

  const { keys: { proofKeys: { signing } } } = service.deps
  const header = { alg: 'ES256', typ: 'latchkey-proof+jwt', kid: signing.kid }
  const claims = { iss: 'latchkey', aud: 'payroll', sub: 'ann', tenant, jti: subject.challengeId, purpose: 'signIn', epoch: 0 }
  const now = Math.floor(Date.now() / 1000)
  const signed = (body: object, head: object = {}, key = signing.privateKey) => new SignJWT({ ...claims, iat: now, exp: now + 300, ...body }).setProtectedHeader({ ...header, ...head }).sign(key)
  t.ok(await checkProof(await signed({}), expected))
  for (const [name, forged] of Object.entries({
    'of another user': signed({ sub: 'bob' }), 'of another tenant': signed({ tenant: 'other' }), 'for another purpose': signed({ purpose: 'stepUp' }),
    'for another app': signed({ aud: 'vpn' }), 'of another issuer': signed({ iss: 'other' }), 'that expired': signed({ iat: now - 400, exp: now - 100 }),
    'that is an access token': signed({}, { typ: 'at+jwt' }), 'signed by someone else': signed({}, {}, generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey),
  })) await t.rejects(checkProof(await forged, expected), `it refuses a proof ${name}`)
})

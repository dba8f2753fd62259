import { createHmac, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { decodeJwt, decodeProtectedHeader, exportJWK } from 'jose'
import t from 'tap'
import { isRefused } from '../../support/answers.ts'
import { part, seconds, sign } from '../../support/forge.ts'
import { proofOf, registered, withProof } from '../../support/proofs.ts'
import { testService } from '../../support/service.ts'
import { exchange, listen, requestText } from '../../support/socket.ts'

const service = await testService(t)
const tenant = await service.tenant()
const other = await service.tenant()
const { mobilePhone } = await registered(service, tenant, 'ann', ['mobilePhone'])
const url = `/v1/users/me/contact-methods/${mobilePhone}`
const ann = await service.as({ tenant, subject: 'ann', amr: ['pwd'] })

const toCryptoKey = (key: KeyObject) => key.toCryptoKey({ name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])
const { signing, all } = service.deps.keys.proofKeys
const ourKey = toCryptoKey(signing.privateKey)
const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const strangersKey = toCryptoKey(stranger.privateKey)
const strangersJwk = { ...await exportJWK(stranger.publicKey), kid: 'stranger', alg: 'ES256', use: 'sig' }
const publicPem = signing.publicKey.export({ type: 'spki', format: 'pem' }) as string

const good = await proofOf(service, tenant, { userId: 'ann' })
const header = decodeProtectedHeader(good)
const claims = () => ({ ...decodeJwt(good), iat: seconds(), exp: seconds() + 600 })
const [goodHeader, goodClaims, goodSignature] = good.split('.') as [string, string, string]
const signIn = await proofOf(service, tenant, { userId: 'ann', purpose: 'signIn' })
const ours = (head: object, body: object = {}) => sign(ourKey, { ...header, ...head }, { ...claims(), ...body })
const theirs = (head: object, body: object = {}) => sign(strangersKey, { ...header, ...head }, { ...claims(), ...body })
const edited = (body: object) => `${goodHeader}.${part({ ...decodeJwt(good), ...body })}.${goodSignature}`
const without = (name: string) => sign(ourKey, header, Object.fromEntries(Object.entries(claims()).filter(([key]) => key !== name)))
const keyed = (secret: string) => {
  const input = `${part({ ...header, alg: 'HS256' })}.${part(claims())}`
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`
}

/** Each is refused for the one reason that it is named after: the challenge in the database is right for all of them. */
const forgeries: Record<string, string | Promise<string>> = {
  'alg none without a signature': `${part({ ...header, alg: 'none' })}.${goodClaims}.`,
  'alg none with a good signature': `${part({ ...header, alg: 'none' })}.${goodClaims}.${goodSignature}`,
  'HS256 keyed with the PEM of the public key': keyed(publicPem),
  'HS256 keyed with the published JWK': keyed(JSON.stringify(signing.published)),
  'HS256 keyed with nothing': keyed(''),
  'an ES384 header': ours({ alg: 'ES384' }),
  'a foreign key under our kid': theirs({}),
  'a foreign key under a kid of its own': theirs({ kid: 'stranger' }),
  'a foreign key without a kid': theirs({ kid: undefined }),
  'a foreign key in the header (jwk)': theirs({ jwk: strangersJwk }),
  'a foreign key in the header under no kid': theirs({ kid: undefined, jwk: strangersJwk }),
  'an address of foreign keys (jku)': theirs({ kid: 'stranger', jku: 'http://127.0.0.1:9/jwks' }),
  'an address of a foreign certificate (x5u)': theirs({ kid: 'stranger', x5u: 'http://127.0.0.1:9/cert' }),
  'our key under the kid of another of our keys': ours({ kid: all[1]!.kid }),
  'our key without a kid': ours({ kid: undefined }),
  'a kid that is a number': ours({ kid: 1 }),
  'typ of an access token': ours({ typ: 'at+jwt' }),
  'typ JWT': ours({ typ: 'JWT' }),
  'no typ': ours({ typ: undefined }),
  'an unknown critical header': ours({ crit: ['exotic'], exotic: true }),
  'an edited purpose': (() => { const [head, , signature] = signIn.split('.'); return `${head}.${part({ ...decodeJwt(signIn), purpose: 'stepUp' })}.${signature}` })(),
  'an edited user': edited({ sub: 'bob' }),
  'an edited end': edited({ exp: seconds() + 9_000 }),
  'an edited strength': edited({ amr: ['hwk', 'user'], acr: 'latchkey:phishing-resistant' }),
  'the audience of an app': ours({}, { aud: 'payroll' }),
  'a list of audiences with ours in it': ours({}, { aud: ['payroll', 'latchkey'] }),
  'no audience': without('aud'),
  'another issuer': ours({}, { iss: 'https://id.example.com' }),
  'our issuer with a slash': ours({}, { iss: 'latchkey/' }),
  'no issuer': without('iss'),
  'exp 31 seconds ago': ours({}, { exp: seconds() - 31 }),
  'no exp': without('exp'),
  'exp as text': ours({}, { exp: String(seconds() + 600) }),
  'more than 10 minutes old, whatever its exp': ours({}, { iat: seconds() - 640, exp: seconds() + 600 }),
  'iat in a minute': ours({}, { iat: seconds() + 60 }),
  'no iat': without('iat'),
  'nbf in a minute': ours({}, { nbf: seconds() + 60 }),
  'another tenant': ours({}, { tenant: other }),
  'no tenant': without('tenant'),
  'another user': ours({}, { sub: 'bob' }),
  'no user': without('sub'),
  'another epoch': ours({}, { epoch: 1 }),
  'an epoch as text': ours({}, { epoch: '0' }),
  'no epoch': without('epoch'),
  'purpose signIn of a stepUp challenge': ours({}, { purpose: 'signIn' }),
  'purpose recovery of a stepUp challenge': ours({}, { purpose: 'recovery' }),
  'a challenge that nobody has': ours({}, { jti: '0199c0de-0000-7000-8000-00000000beef' }),
  'a challenge that is SQL': ours({}, { jti: '\' or 1=1; --' }),
  'a challenge that is a number': ours({}, { jti: 1 }),
  'no challenge': without('jti'),
  'a signature of zeros': `${goodHeader}.${goodClaims}.${Buffer.alloc(64).toString('base64url')}`,
  'a truncated signature': good.slice(0, -4),
  'an empty signature': `${goodHeader}.${goodClaims}.`,
  'two parts': `${goodHeader}.${goodClaims}`,
  'more than 4 KiB': ours({}, { padding: 'x'.repeat(3_500) }),
  'the bearer token': ann.token,
  'two proofs in one': `${good}, ${good}`,
  'nothing': '',
  'no JSON inside': sign(ourKey, header, 'ann'),
  'no token at all': 'e30',
}

t.test('a forged proof is as none: nothing is changed, and the refusal says that it did not serve', async (t) => {
  const [port, before] = [await listen(service.app), (await ann.get(url)).body]
  for (const [name, forged] of Object.entries(forgeries)) {
    const answer = await ann.patch(url, { label: name }, withProof(await forged))
    isRefused(t, answer, 'insufficient_user_authentication', {}, name)
    t.match(answer.body.detail, /proof that came with the request did not serve/, name)
    t.match(answer.headers['www-authenticate'], /error="insufficient_user_authentication".*max_age="600"/)
  }
  const twice = requestText('PATCH', url, { authorization: `Bearer ${ann.token}`, 'content-type': 'application/json', 'latchkey-proof': good, 'Latchkey-Proof': good }, '{"label":"x"}')
  t.match((await exchange(port, twice))[0], { status: 401, body: { code: 'insufficient_user_authentication' } }, 'two headers')
  const silent = await ann.patch(url, { label: 'x' })
  isRefused(t, silent, 'insufficient_user_authentication')
  t.notMatch(silent.body.detail, /did not serve/, 'where none came, none is spoken of')
  t.same((await ann.get(url)).body, before, 'nothing was changed')

  t.equal((await ann.patch(url, { label: 'mine' }, withProof(good))).status, 200, 'the one that all of them were made of serves')
  t.equal((await ann.patch(url, { label: 'new' }, withProof(await ours({})))).status, 200, 'and so does one that is signed anew')
  t.equal((await ann.patch(url, { label: 'old' }, withProof(await sign(toCryptoKey(all[1]!.privateKey), { ...header, kid: all[1]!.kid }, claims())))).status, 200, 'or with an older key of ours')
})

t.test('no log line and no audit row holds a proof', async (t) => {
  const told = service.logged().join('') + JSON.stringify((await (await service.as({ tenant, subject: 'audrey', roles: ['auditor'] })).get('/v1/audit-events?limit=200')).body)
  for (const proof of [good, signIn]) t.notOk(proof.split('.').some((text) => told.includes(text)))
})

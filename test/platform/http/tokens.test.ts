import { createHmac, createPublicKey, type JsonWebKey } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair } from 'jose'
import t from 'tap'
import { claimsOf, headerOf, part, seconds, sign } from '../../support/forge.ts'
import { testService } from '../../support/service.ts'
import { exchange, listen, requestText } from '../../support/socket.ts'

const service = await testService(t)
const { issuer } = service
const port = await listen(service.app)
const tenant = await service.tenant()
const otherTenant = await service.tenant()
const hits = { attacker: 0 }
const attackerServer = createServer((_request, response) => { hits.attacker++; response.setHeader('content-type', 'application/json').end(JSON.stringify({ keys: [attackerJwk] })) })
await new Promise<void>((resolve) => { attackerServer.listen(0, '127.0.0.1', resolve) })
t.teardown(() => { attackerServer.closeAllConnections(); attackerServer.close() })
const attackerUrl = `http://127.0.0.1:${(attackerServer.address() as AddressInfo).port}`

const attacker = await generateKeyPair('ES256')
const attackerJwk = { ...await exportJWK(attacker.publicKey), kid: 'attacker', alg: 'ES256', use: 'sig' }
const { keys: [publicJwk] } = await (await fetch(issuer.trusted.jwksUri)).json() as { keys: [JsonWebKey] }
const publicPem = createPublicKey({ key: publicJwk, format: 'jwk' }).export({ type: 'spki', format: 'pem' }) as string

const header = headerOf(issuer)
const claims = () => claimsOf(issuer, tenant, 'ann')
const { sub: _sub, ...anonymous } = claims()
const { tenant: _tenant, ...homeless } = claims()
const { client_id: _clientId, ...unsettled } = claims()
const { aud: _aud, ...forNobody } = claims()
const { exp: _exp, ...endless } = claims()
const { iat: _iat, ...undated } = claims()
const own = (head: object, body: object = {}) => sign(issuer.privateKey, { ...header, ...head }, { ...claims(), ...body })
const theirs = (head: object, body: object = {}) => sign(attacker.privateKey, { ...header, ...head }, { ...claims(), ...body })
const keyed = (secret: string | Buffer) => {
  const input = `${part({ ...header, alg: 'HS256' })}.${part(claims())}`
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`
}
const good = await own({})
const [goodHeader, goodClaims, goodSignature] = good.split('.') as [string, string, string]
const claimsText = JSON.stringify(claims())

/** Each is refused for the one reason that it is named after. */
const forgeries: Record<string, string | Promise<string>> = {
  'alg none without a signature': `${part({ ...header, alg: 'none' })}.${goodClaims}.`,
  'alg none with the signature of another token': `${part({ ...header, alg: 'none' })}.${goodClaims}.${goodSignature}`,
  'alg nOnE': `${part({ ...header, alg: 'nOnE' })}.${goodClaims}.`,
  'HS256 keyed with the PEM of the public key': keyed(publicPem),
  'HS256 keyed with the JWK of the public key': keyed(JSON.stringify(publicJwk)),
  'HS256 keyed with nothing': keyed(''),
  'an RS256 header on the EC key': own({ alg: 'RS256' }),
  'an ES384 header on the P-256 key': own({ alg: 'ES384' }),
  'an ID token (typ JWT)': own({ typ: 'JWT' }),
  'no typ': own({ typ: undefined }),
  'an audience of another service': own({}, { aud: 'payroll' }),
  'a list of audiences without our own': own({}, { aud: ['payroll', 'latchkey.example', ''] }),
  'no audience': sign(issuer.privateKey, header, forNobody),
  'no exp': sign(issuer.privateKey, header, endless),
  'exp 31 seconds ago': own({}, { exp: seconds() - 31 }),
  'exp as text': own({}, { exp: String(seconds() + 3600) }),
  'nbf in 60 seconds': own({}, { nbf: seconds() + 60 }),
  'no iat': sign(issuer.privateKey, header, undated),
  'iat tomorrow': own({}, { iat: seconds() + 86_400 }),
  'iat beyond all dates': own({}, { iat: 1e300 }),
  'auth_time tomorrow': own({}, { auth_time: seconds() + 86_400 }),
  'auth_time as text': own({}, { auth_time: 'now' }),
  'iss with a trailing slash': own({}, { iss: `${issuer.trusted.issuer}/` }),
  'iss of an attacker, signed by their key': theirs({ kid: 'attacker' }, { iss: attackerUrl }),
  'iss as a list': own({}, { iss: [issuer.trusted.issuer] }),
  'an unknown critical header': own({ crit: ['exotic'], exotic: true }),
  'an unencoded payload (b64 false)': own({ crit: ['b64'], b64: false }),
  'a jku header pointing at an attacker': theirs({ kid: 'attacker', jku: `${attackerUrl}/jwks` }),
  'an x5u header pointing at an attacker': theirs({ kid: 'attacker', x5u: `${attackerUrl}/cert` }),
  'a jwk header with the key of an attacker': theirs({ kid: 'attacker', jwk: attackerJwk }),
  'a kid that is an address': theirs({ kid: `${attackerUrl}/jwks` }),
  'a kid that climbs (../)': theirs({ kid: '../../../../dev/null' }),
  'a kid with SQL': theirs({ kid: '\' or 1=1; drop table users; --' }),
  'a kid that is a number': theirs({ kid: 1 }),
  'the key of an attacker under the right kid': theirs({}),
  'the key of an attacker without a kid': theirs({ kid: undefined }),
  'sub twice': sign(issuer.privateKey, header, claimsText.replace('"sub":"ann"', '"sub":"ann","sub":"bob"')),
  'tenant twice, once escaped': sign(issuer.privateKey, header, claimsText.replace('"tenant":', `"t\\u0065nant":"${otherTenant}","tenant":`)),
  'alg twice': sign(issuer.privateKey, '{"alg":"none","alg":"ES256","typ":"at+jwt","kid":"test-key"}', claims()),
  'an edited subject': `${goodHeader}.${part({ ...claims(), sub: 'bob' })}.${goodSignature}`,
  'another tenant edited in': `${goodHeader}.${part({ ...claims(), tenant: otherTenant })}.${goodSignature}`,
  'a role edited in': `${goodHeader}.${part({ ...claims(), roles: ['privilegedAdmin'] })}.${goodSignature}`,
  'a truncated signature': `${goodHeader}.${goodClaims}.${goodSignature.slice(0, -4)}`,
  'an empty signature': `${goodHeader}.${goodClaims}.`,
  'no signature part': `${goodHeader}.${goodClaims}`,
  'a signature of zeros (CVE-2022-21449)': `${goodHeader}.${goodClaims}.${Buffer.alloc(64).toString('base64url')}`,
  'five parts': `${good}.${goodClaims}.${goodSignature}`,
  'no sub': sign(issuer.privateKey, header, anonymous),
  'sub "me"': own({}, { sub: 'me' }),
  'sub ".."': own({}, { sub: '..' }),
  'a sub that is a path': own({}, { sub: 'ann/contact-methods' }),
  'a sub that is a list': own({}, { sub: ['ann'] }),
  'no tenant': sign(issuer.privateKey, header, homeless),
  'a tenant with SQL': own({}, { tenant: '\' or \'1\'=\'1' }),
  'a tenant that is a list': own({}, { tenant: [tenant] }),
  'a kind that is not settled (no client_id)': sign(issuer.privateKey, header, unsettled),
  'an empty client_id': own({}, { client_id: '' }),
  'roles as an object': own({}, { roles: { 0: 'privilegedAdmin' } }),
  'a token over 8 KiB': own({}, { padding: 'x'.repeat(6_200) }),
  'no JSON inside': sign(issuer.privateKey, header, 'ann'),
  'no token at all': 'e30',
}

const paths = ['/v1/users/me', '/v1/users/me/contact-methods']
const usersOf = () => service.owner.inTenant(tenantId, (tx) => tx.db.selectFrom('users').select(['user_id', 'privileged']).where('tenant_id', '=', tenantId).execute())
const tenantId = await service.tenantIdOf(tenant)

t.test('forged tokens are 401 with a challenge, make no user, and cause no request to anyone', async (t) => {
  t.ok(Object.keys(forgeries).length >= 25)
  const startedAt = performance.now()
  const [warm] = await exchange(port, requestText('GET', '/v1/users/me', { authorization: `Bearer ${await sign(issuer.privateKey, header, claimsOf(issuer, tenant, 'known'))}` }))
  t.equal(warm?.status, 200, 'the keys are known by now')
  const [users, requests] = [await usersOf(), issuer.requests()]

  for (const [name, forged] of Object.entries(forgeries)) {
    const authorization = `Bearer ${await forged}`
    for (const path of paths) {
      const [reply] = await exchange(port, requestText('GET', path, { authorization }))
      t.match(reply, { status: 401, body: { code: 'invalid_token', status: 401, title: 'The token is not accepted', detail: 'The token is not accepted.' } }, `${name}: ${path}`)
      t.match(reply?.headers.get('content-type'), 'application/problem+json', name)
      t.match(reply?.headers.get('www-authenticate'), /^Bearer realm="latchkey", error="invalid_token"/, name)
      t.equal(reply?.headers.get('cache-control'), 'no-store', name)
      t.strictSame(Object.keys(reply?.body).toSorted(), ['code', 'detail', 'instance', 'status', 'title', 'type'], `${name}: nothing tells which check failed`)
    }
  }
  t.equal(hits.attacker, 0, 'the attacker\'s server was never asked')
  t.ok(issuer.requests() - requests <= Math.ceil((performance.now() - startedAt) / 30_000), 'the issuer was asked at most once in 30 s')
  t.strictSame(await usersOf(), users)
})

t.test('whatever is not one bearer token in one header is 401', async (t) => {
  const bad: Record<string, [code: string, headers: string]> = {
    'no header': ['unauthenticated', ''],
    'an empty header': ['unauthenticated', 'authorization:\r\n'],
    'another scheme': ['unauthenticated', `authorization: Basic ${Buffer.from('ann:secret').toString('base64')}\r\n`],
    'another scheme with a good token': ['unauthenticated', `authorization: Token ${good}\r\n`],
    'the token without a scheme': ['unauthenticated', `authorization: ${good}\r\n`],
    'a scheme without a token': ['invalid_token', 'authorization: Bearer\r\n'],
    'a token with spaces in it': ['invalid_token', `authorization: Bearer ${goodHeader} ${goodClaims}\r\n`],
    'two tokens in one header': ['invalid_token', `authorization: Bearer ${good}, Bearer ${good}\r\n`],
    'two headers': ['invalid_token', `authorization: Bearer ${good}\r\nAuthorization: Bearer ${good}\r\n`],
    'two headers, of which one is of another scheme': ['unauthenticated', `authorization: Basic eA==\r\nauthorization: Bearer ${good}\r\n`],
    'the token in a cookie': ['unauthenticated', `cookie: access_token=${good}\r\n`],
  }
  for (const [name, [code, headers]] of Object.entries(bad)) {
    for (const path of paths) {
      const [reply] = await exchange(port, `GET ${path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n${headers}\r\n`)
      t.match(reply, { status: 401, body: { code } }, `${name}: ${path}`)
      t.match(reply?.headers.get('www-authenticate'), /^Bearer realm="latchkey"/, name)
    }
  }
  const [inQuery] = await exchange(port, requestText('GET', `/v1/users/me?access_token=${good}`))
  t.match(inQuery, { status: 401, body: { code: 'unauthenticated' } }, 'the token in the query string')
})

t.test('good tokens in every form the standards allow are accepted', async (t) => {
  const forms: Record<string, Promise<string>> = {
    'our audience in a list': own({}, { aud: ['payroll', 'latchkey'] }),
    'exp 20 seconds ago, within the skew': own({}, { exp: seconds() - 20 }),
    'nbf in 20 seconds, within the skew': own({}, { nbf: seconds() + 20 }),
    'iat in 20 seconds, within the skew': own({}, { iat: seconds() + 20, auth_time: seconds() + 20 }),
    'typ application/at+jwt': own({ typ: 'application/at+jwt' }),
    'typ AT+JWT': own({ typ: 'AT+JWT' }),
    'the only key of the issuer, without a kid': own({ kid: undefined }),
    'roles as text': own({}, { roles: 'user reader' }),
    'roles and scopes of others': own({}, { roles: ['superuser'], scope: 'openid profile' }),
    'a token of 8 KiB': own({}, { padding: 'x'.repeat(5_500) }),
  }
  for (const [name, token] of Object.entries(forms)) {
    for (const path of paths) {
      const [reply] = await exchange(port, requestText('GET', path, { authorization: `Bearer ${await token}` }))
      t.equal(reply?.status, 200, `${name}: ${path}`)
    }
  }
  const [lower] = await exchange(port, requestText('GET', '/v1/users/me', { authorization: `bearer ${good}` }))
  t.equal(lower?.status, 200, 'the name of the scheme has no case')
})

t.test('a token of an unknown tenant is 403 on every route, and leaves nothing', async (t) => {
  const token = await own({}, { tenant: 'nowhere' })
  for (const path of paths) {
    const [reply] = await exchange(port, requestText('GET', path, { authorization: `Bearer ${token}` }))
    t.match(reply, { status: 403, body: { code: 'forbidden', rule: 'unknown_tenant' } }, path)
  }
})

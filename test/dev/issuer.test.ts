import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from 'jose'
import t, { type Test } from 'tap'
import { startDevelopmentIssuer, type DevelopmentIssuer, type IssuerOptions } from '../../src/dev/issuer/issuer.ts'

const audience = 'latchkey'
const apiOrigin = 'http://127.0.0.1:3000'
const redirectUri = `${apiOrigin}/docs/static/oauth2-redirect.html`
const appScopes = 'users:read users:write sign-in:read challenges:write contact-methods:read contact-methods:write ' +
  'contact-methods:reveal mfa-resets:write events:read audit:read imports:write'

const demoUsers = [
  { tenant: 'demo', subject: 'demo-user', roles: ['user'], title: 'User' },
  { tenant: 'demo', subject: 'demo-helpdesk', roles: ['user', 'helpdesk'], title: 'Help desk <1st level>' },
  { tenant: 'demo-2', subject: 'demo-user', roles: ['user'], title: 'User of another company' },
]

async function testIssuer (t: Test, overrides: Partial<IssuerOptions> = {}) {
  const tenants: string[] = []
  const logged: string[] = []
  const issuer = await startDevelopmentIssuer({
    host: '127.0.0.1', port: 0, audience, apiOrigin: () => apiOrigin, keyFile: overrides.keyFile ?? join(t.testdir(), 'keys.json'),
    ensureTenant: async (slug) => { tenants.push(slug) }, demoUsers, log: (message) => { logged.push(message) }, ...overrides,
  })
  t.teardown(() => issuer.close())
  return { ...issuer, tenants, logged, ...clientOf(issuer) }
}

/** What the tests do with an issuer: a browser with its cookies, the token endpoint, and the check of a token. */
function clientOf ({ issuer, authorizationUrl, tokenUrl, jwksUri }: Pick<DevelopmentIssuer, 'issuer' | 'authorizationUrl' | 'tokenUrl' | 'jwksUri'>) {
  const jwks = createRemoteJWKSet(new URL(jwksUri))
  const verify = async (token: string, forAudience = audience) =>
    (await jwtVerify(token, jwks, { issuer, audience: forAudience, typ: 'at+jwt', algorithms: ['ES256'], requiredClaims: ['exp', 'iat', 'jti'] })).payload

  const post = (body: Record<string, string>, headers: Record<string, string> = {}) =>
    fetch(tokenUrl, { method: 'POST', headers, body: new URLSearchParams(body) })

  const devToken = (body: unknown, headers: Record<string, string> = {}) => fetch(`${issuer}/dev/tokens`, {
    method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: typeof body === 'string' ? body : JSON.stringify(body),
  })

  const devClaims = async (body: object, forAudience = audience) => {
    const { accessToken } = await (await devToken(body)).json() as { accessToken: string }
    return verify(accessToken, forAudience)
  }

  const browser = () => {
    const cookies = new Map<string, string>()
    const open = async (url: string, init: RequestInit = {}) => {
      const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ')
      const response = await fetch(url, { redirect: 'manual', ...init, headers: { accept: 'text/html', cookie } })
      for (const line of response.headers.getSetCookie()) {
        const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
        if (value) cookies.set(name, value)
        else cookies.delete(name)
      }
      return response
    }
    /** Follows redirects up to a page or to an address that is not the issuer's. */
    const follow = async (url: string, init?: RequestInit): Promise<{ url: URL, response?: Response }> => {
      const response = await open(url, init)
      const location = response.headers.get('location')
      if (location === null) return { url: new URL(url), response }
      const next = new URL(location, url)
      return next.origin === issuer ? follow(next.href) : { url: next }
    }
    const press = async (page: URL, label: RegExp) => {
      const html = await (await open(page.href)).text()
      const value = [...html.matchAll(/<button name="as" value="([^"]*)"[^>]*>([^<]*)</g)].find(([, , text = '']) => label.test(text))?.[1]
      return follow(page.href, { method: 'POST', body: new URLSearchParams({ as: value ?? 'no such button' }) })
    }
    return { open, follow, press }
  }

  const authorization = (params: Record<string, string> = {}) => {
    const verifier = randomBytes(32).toString('base64url')
    const query = new URLSearchParams({
      client_id: 'latchkey-swagger-ui', response_type: 'code', scope: 'openid', redirect_uri: redirectUri, state: 'a state',
      code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256', ...params,
    })
    return { verifier, url: `${authorizationUrl}?${query.toString()}` }
  }

  /** One whole sign-in, from the application's link to the token. */
  const signIn = async (label: RegExp, params: Record<string, string> = {}, person = browser()) => {
    const { verifier, url } = authorization(params)
    const page = await person.follow(url)
    const back = await person.press(page.url, label)
    const response = await exchange(back.url.searchParams.get('code') ?? '', verifier)
    const tokens = await response.json() as { access_token: string, id_token: string, scope?: string }
    return { back: back.url, tokens, claims: await verify(tokens.access_token) }
  }

  const exchange = (code: string, verifier: string) => post({
    grant_type: 'authorization_code', client_id: 'latchkey-swagger-ui', code, redirect_uri: redirectUri, code_verifier: verifier,
  }, { origin: apiOrigin })

  return { verify, post, devToken, devClaims, browser, authorization, signIn, exchange }
}

const now = () => Math.floor(Date.now() / 1000)
const basic = (user: string, password: string) => ({ authorization: `Basic ${btoa(`${user}:${password}`)}` })

t.test('discovery', async (t) => {
  const { issuer, jwksUri, tokenUrl, authorizationUrl, swaggerClientId, ...rest } = await testIssuer(t)

  t.test('tells what the issuer can do, and agrees with what it returned at its start', async (t) => {
    t.match(await (await fetch(`${issuer}/.well-known/openid-configuration`)).json(), {
      issuer, jwks_uri: jwksUri, token_endpoint: tokenUrl, authorization_endpoint: authorizationUrl,
      response_types_supported: ['code'], code_challenge_methods_supported: ['S256'],
      grant_types_supported: ['authorization_code', 'client_credentials'], id_token_signing_alg_values_supported: ['ES256'],
    })
    t.equal(swaggerClientId, 'latchkey-swagger-ui')
    t.equal(rest.audience, audience)
  })

  t.test('publishes one public ES256 key and no private part', async (t) => {
    const { keys } = await (await fetch(jwksUri)).json() as { keys: Record<string, string>[] }
    t.match(keys, [{ kty: 'EC', crv: 'P-256', alg: 'ES256', use: 'sig', kid: String }])
    t.equal(keys.length, 1)
    t.notOk('d' in keys[0]!)
  })

  t.test('an unknown path is 404', async (t) => t.equal((await fetch(`${issuer}/nowhere`)).status, 404))
})

t.test('sign-in with a code', async (t) => {
  const issuer = await testIssuer(t)
  const { browser, authorization, signIn, exchange, verify } = issuer

  t.test('with a second factor gives a token for the person, with the moment of the sign-in', async (t) => {
    const before = now()
    const { back, tokens, claims } = await signIn(/^Sign in as demo-helpdesk with a second factor$/)
    t.equal(back.origin + back.pathname, redirectUri)
    t.equal(back.searchParams.get('state'), 'a state')
    t.match(claims, { sub: 'demo-helpdesk', tenant: 'demo', roles: ['user', 'helpdesk'], amr: ['pwd', 'mfa'], aud: audience, client_id: 'latchkey-swagger-ui' })
    t.notOk('scope' in claims, 'a token without Latchkey scopes is not limited by any')
    t.ok(Number(claims['auth_time']) >= before && Number(claims['auth_time']) <= now())
    t.equal(claims.exp! - claims.iat!, 3600)
    t.match(decodeProtectedHeader(tokens.access_token), { alg: 'ES256', typ: 'at+jwt', kid: String })
  })

  t.test('with the password only says so', async (t) => {
    const { claims } = await signIn(/^Sign in as demo-helpdesk, password only$/)
    t.same(claims['amr'], ['pwd'])
  })

  t.test('names the same subject in the ID token', async (t) => {
    const { tokens } = await signIn(/demo-helpdesk, password only/)
    const { payload } = await jwtVerify(tokens.id_token, createRemoteJWKSet(new URL(issuer.jwksUri)), { issuer: issuer.issuer, audience: 'latchkey-swagger-ui' })
    t.match(payload, { sub: 'demo-helpdesk', amr: ['pwd'], auth_time: Number })
  })

  t.test('limits the token to the Latchkey scopes it was asked for', async (t) => {
    const { claims, tokens } = await signIn(/demo-helpdesk with/, { scope: 'openid users:read audit:read no:such' })
    t.equal(claims['scope'], 'users:read audit:read')
    t.equal(tokens.scope, 'users:read audit:read')
  })

  t.test('lets one browser change to another person, to one of the same name, and to another factor', async (t) => {
    const person = browser()
    await signIn(/demo-helpdesk with/, {}, person)
    const again = await signIn(/demo-helpdesk, password only/, {}, person)
    t.match(again.claims, { sub: 'demo-helpdesk', amr: ['pwd'] })

    const { verifier, url } = authorization()
    const page = await person.follow(url)
    const html = await page.response!.text()
    const other = /value="(demo-2\/demo-user mfa)"/.exec(html)![1]!
    const back = await person.follow(page.url.href, { method: 'POST', body: new URLSearchParams({ as: other }) })
    const { access_token: token } = await (await exchange(back.url.searchParams.get('code')!, verifier)).json() as { access_token: string }
    t.match(await verify(token), { sub: 'demo-user', tenant: 'demo-2' })

    t.match((await signIn(/demo-user with/, {}, person)).claims, { sub: 'demo-user', tenant: 'demo' })
  })

  t.test('answers prompt=none from the session, and refuses it without one or past max_age', async (t) => {
    const person = browser()
    const { url } = authorization({ prompt: 'none' })
    t.equal((await person.follow(url)).url.searchParams.get('error'), 'login_required')
    await signIn(/demo-helpdesk with/, {}, person)
    t.ok((await person.follow(url)).url.searchParams.get('code'))
    t.equal((await person.follow(authorization({ prompt: 'none', max_age: '0' }).url)).url.searchParams.get('error'), 'login_required')
  })

  for (const prompt of ['login', 'consent', 'select_account', 'login consent']) {
    t.test(`prompt=${prompt} costs no other page than the sign-in`, async (t) => {
      t.match((await signIn(/demo-helpdesk with/, { prompt })).claims, { sub: 'demo-helpdesk' })
    })
  }

  t.test('may be left with Cancel', async (t) => {
    const person = browser()
    const page = await person.follow(authorization().url)
    t.match(Object.fromEntries((await person.press(page.url, /^Cancel$/)).url.searchParams), { error: 'access_denied', state: 'a state' })
  })

  t.test('refuses a wrong verifier, and a code that was used', async (t) => {
    const person = browser()
    const code = async () => {
      const { verifier, url } = authorization()
      const page = await person.follow(url)
      return { verifier, code: (await person.press(page.url, /demo-helpdesk with/)).url.searchParams.get('code')! }
    }
    const wrong = await exchange((await code()).code, randomBytes(32).toString('base64url'))
    t.match({ status: wrong.status, ...await wrong.json() as object }, { status: 400, error: 'invalid_grant' })

    const right = await code()
    t.equal((await exchange(right.code, right.verifier)).status, 200)
    const twice = await exchange(right.code, right.verifier)
    t.match({ status: twice.status, ...await twice.json() as object }, { status: 400, error: 'invalid_grant' })
  })

  t.test('refuses a redirect to a foreign address without going there', async (t) => {
    for (const redirect_uri of ['https://evil.example/', 'http://127.0.0.1:3000/elsewhere', 'http://127.0.0.1:3999/docs/static/oauth2-redirect.html']) {
      const { url, response } = await browser().follow(authorization({ redirect_uri }).url)
      t.equal(url.origin, issuer.issuer)
      t.equal(response?.status, 400)
      t.match(await response?.text(), /invalid_redirect_uri/)
    }
  })

  t.test('takes the documentation by name as well as by address', async (t) => {
    const { response } = await browser().follow(authorization({ redirect_uri: 'http://localhost:3000/docs/static/oauth2-redirect.html' }).url)
    t.equal(response?.status, 200)
  })

  t.test('refuses a client without PKCE, and one that is unknown', async (t) => {
    const { url } = authorization()
    const without = new URL(url)
    without.searchParams.delete('code_challenge')
    without.searchParams.delete('code_challenge_method')
    t.equal((await browser().follow(without.href)).url.searchParams.get('error'), 'invalid_request')
    t.equal((await browser().follow(authorization({ code_challenge_method: 'plain' }).url)).url.searchParams.get('error'), 'invalid_request')
    t.match(await (await browser().follow(authorization({ client_id: 'stranger' }).url)).response?.text(), /invalid_client/)
  })

  t.test('refuses a resource that is not the API', async (t) => {
    t.equal((await browser().follow(authorization({ resource: 'https://other.example' }).url)).url.searchParams.get('error'), 'invalid_target')
  })

  t.test('lets a page on another port fetch the token', async (t) => {
    const preflight = await fetch(issuer.tokenUrl, {
      method: 'OPTIONS', headers: { origin: apiOrigin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type' },
    })
    t.equal(preflight.status, 204)
    t.equal(preflight.headers.get('access-control-allow-origin'), apiOrigin)
    t.equal((await exchange('no code', randomBytes(32).toString('base64url'))).headers.get('access-control-allow-origin'), apiOrigin)
  })
})

t.test('the sign-in page', async (t) => {
  const { browser, authorization } = await testIssuer(t)

  t.test('offers each person with both ways of signing in, by tenant and role', async (t) => {
    const { response } = await browser().follow(authorization().url)
    const html = await response!.text()
    const buttons = [...html.matchAll(/<button[^>]*>([^<]*)</g)].map(([, text]) => text)
    t.same(buttons, [
      'Sign in as demo-user with a second factor', 'Sign in as demo-user, password only',
      'Sign in as demo-helpdesk with a second factor', 'Sign in as demo-helpdesk, password only',
      'Sign in as demo-user with a second factor', 'Sign in as demo-user, password only', 'Cancel',
    ])
    t.same([...html.matchAll(/<h2[^>]*>([^<]*)</g)].map(([, text]) => text), ['Tenant demo', 'Tenant demo-2'])
    t.match(html, 'demo-helpdesk (user, helpdesk)')
    t.match(html, 'Swagger UI asks you to sign in')
    t.match(html, 'Help desk &#60;1st level&#62;')
  })

  t.test('runs no script, loads nothing, cannot be framed, and may lead back to its client', async (t) => {
    const { response } = await browser().follow(authorization().url)
    const html = await response!.text()
    const style = createHash('sha256').update(/<style>([^]*)<\/style>/.exec(html)![1]!).digest('base64')
    t.equal(response!.headers.get('content-security-policy'),
      `default-src 'none'; style-src 'sha256-${style}'; form-action 'self' ${apiOrigin}; base-uri 'none'; frame-ancestors 'none'`)
    t.equal(response!.headers.get('cache-control'), 'no-store')
    t.notMatch(html, /<script|\sstyle=|\son\w+=|javascript:/)
  })

  t.test('is for the browser that began, and for one sign-in', async (t) => {
    const person = browser()
    const { url } = await person.follow(authorization().url)
    const stranger = await browser().open(url.href)
    t.equal(stranger.status, 400)
    t.match(await stranger.text(), 'This sign-in has ended')
    await person.press(url, /demo-helpdesk with/)
    t.equal((await person.open(url.href)).status, 400)
  })

  t.test('comes again after a choice that it did not offer, and knows GET and POST only', async (t) => {
    const person = browser()
    const { url } = await person.follow(authorization().url)
    const post = (body: string) => person.open(url.href, { method: 'POST', body })
    for (const body of ['as=demo/root%20mfa', '', `as=${'x'.repeat(20_000)}`]) {
      const response = await post(body)
      t.equal(response.status, 400)
      t.match(await response.text(), 'Who do you want to be?')
    }
    const put = await person.open(url.href, { method: 'PUT' })
    t.equal(put.status, 405)
    t.equal(put.headers.get('allow'), 'GET, HEAD, POST')
  })

  t.test('says it in words where an application asked wrongly, and quotes it harmlessly', async (t) => {
    const { response } = await browser().follow(authorization({ client_id: '<script>alert(1)</script>' }).url)
    t.equal(response?.status, 400)
    t.notMatch(await response?.text(), '<script')
    t.match(response?.headers.get('content-security-policy'), /default-src 'none'/)
  })
})

t.test('client credentials', async (t) => {
  const { post, verify, browser, authorization } = await testIssuer(t)
  const body = { grant_type: 'client_credentials' }

  t.test('give the demo app a token of tenant demo with all scopes', async (t) => {
    const response = await post(body, basic('demo-app', 'demo-app-secret'))
    t.equal(response.status, 200)
    const answer = await response.json() as { access_token: string, scope: string }
    const claims = await verify(answer.access_token)
    t.match(claims, { sub: 'demo-app', client_id: 'demo-app', tenant: 'demo', scope: appScopes, aud: audience })
    t.equal(answer.scope, appScopes)
    for (const ofPeople of ['roles', 'auth_time', 'amr']) t.notOk(ofPeople in claims, `an app has no ${ofPeople}`)
  })

  t.test('give only the scopes that were asked for, where some were', async (t) => {
    const { access_token: token } = await (await post({ ...body, scope: 'users:read' }, basic('demo-app', 'demo-app-secret'))).json() as { access_token: string }
    t.equal((await verify(token))['scope'], 'users:read')
  })

  t.test('are refused with a wrong secret, without one, and to Swagger UI', async (t) => {
    t.equal((await post(body, basic('demo-app', 'wrong'))).status, 401)
    t.equal((await post({ ...body, client_id: 'demo-app' })).status, 401)
    const swagger = await post({ ...body, client_id: 'latchkey-swagger-ui' })
    t.match({ status: swagger.status, ...await swagger.json() as object }, { status: 400, error: 'invalid_request' })
  })

  t.test('do not let the demo app sign people in', async (t) => {
    const { response, url } = await browser().follow(authorization({ client_id: 'demo-app' }).url)
    t.ok(response?.status === 400 || url.searchParams.has('error'))
  })
})

t.test('POST /dev/tokens', async (t) => {
  const { issuer, devToken, devClaims, tenants, verify } = await testIssuer(t)
  const person = { tenant: 'acme', subject: 'alice', kind: 'person' }
  const app = { tenant: 'acme', subject: 'payroll', kind: 'app' }

  t.test('gives a person who has just signed in with a second factor an hour', async (t) => {
    const before = now()
    const response = await devToken(person)
    t.equal(response.status, 200)
    t.equal(response.headers.get('cache-control'), 'no-store')
    t.equal(response.headers.get('access-control-allow-origin'), '*')
    const answer = await response.json() as { accessToken: string, expiresIn: number }
    t.same(Object.keys(answer), ['accessToken', 'expiresIn'])
    t.equal(answer.expiresIn, 3600)
    const claims = await verify(answer.accessToken)
    t.match(claims, { iss: issuer, sub: 'alice', aud: audience, tenant: 'acme', roles: ['user'], amr: ['pwd', 'mfa'], client_id: 'latchkey-dev' })
    t.ok(Number(claims['auth_time']) >= before && Number(claims['auth_time']) <= now())
    t.equal(claims.exp! - claims.iat!, 3600)
    t.notOk('scope' in claims)
    t.not(claims.jti, (await devClaims(person)).jti)
  })

  t.test('gives an app a token whose subject is its client', async (t) => {
    const claims = await devClaims(app)
    t.match(claims, { sub: 'payroll', client_id: 'payroll', tenant: 'acme', aud: audience })
    for (const absent of ['roles', 'scope', 'auth_time', 'amr']) t.notOk(absent in claims, `no ${absent}`)
    const asked = await devClaims({ ...app, scopes: ['users:read', 'sign-in:read'], roles: ['auditor'], amr: ['pwd'], authTime: 1 })
    t.equal(asked['scope'], 'users:read sign-in:read')
    for (const absent of ['roles', 'auth_time', 'amr']) t.notOk(absent in asked, `no ${absent}, even if asked for`)
  })

  t.test('does as it is told in every field', async (t) => {
    t.same((await devClaims({ ...person, roles: ['helpdesk', 'auditor'] }))['roles'], ['helpdesk', 'auditor'])
    t.same((await devClaims({ ...person, roles: [] }))['roles'], [])
    t.equal((await devClaims({ ...person, scopes: ['users:read', 'users:read'] }))['scope'], 'users:read')
    t.equal((await devClaims({ ...person, authTime: '2026-01-02T03:04:05.678+01:00' }))['auth_time'], Date.UTC(2026, 0, 2, 2, 4, 5) / 1000)
    t.equal((await devClaims({ ...person, authTime: 1_700_000_000 }))['auth_time'], 1_700_000_000)
    t.same((await devClaims({ ...person, amr: ['pwd'] }))['amr'], ['pwd'])
    t.same((await devClaims({ ...person, amr: [] }))['amr'], [])
    t.equal((await devClaims({ ...person, audience: 'other' }, 'other')).aud, 'other')
    t.same((await devClaims({ ...person, audience: ['other', audience] })).aud, ['other', audience])
    for (const expiresIn of [1, 86_400]) {
      const claims = await devClaims({ ...person, expiresIn })
      t.equal(claims.exp! - claims.iat!, expiresIn)
    }
    t.equal((await (await devToken({ ...person, expiresIn: 60 })).json() as { expiresIn: number }).expiresIn, 60)
  })

  t.test('never makes an app of a person', async (t) => {
    for (const subject of ['latchkey-dev', 'latchkey-dev-client', 'a', '...', 'A.z_0@|:+=-', 'x'.repeat(128)]) {
      const claims = await devClaims({ ...person, subject })
      t.equal(claims.sub, subject)
      t.not(claims['client_id'], claims.sub)
    }
  })

  t.test('makes the tenant before it gives the token, and none for a request it refuses', async (t) => {
    tenants.length = 0
    await devClaims({ ...person, tenant: 'new-one' })
    await devToken({ ...person, tenant: 'refused', roles: ['root'] })
    t.same(tenants, ['new-one'])
  })

  for (const [what, change, pointer, code] of [
    ['an unknown field', { role: 'user' }, '/role', 'unknown_field'],
    ['a field whose name needs escaping', { 'a/b~c': 1 }, '/a~1b~0c', 'unknown_field'],
    ['no tenant', { tenant: undefined }, '/tenant', 'required'],
    ['no subject', { subject: undefined }, '/subject', 'required'],
    ['no kind', { kind: undefined }, '/kind', 'required'],
    ['null', { tenant: null }, '/tenant', 'wrong_type'],
    ['a number for a tenant', { tenant: 1 }, '/tenant', 'wrong_type'],
    ['a tenant in capitals', { tenant: 'Acme' }, '/tenant', 'invalid_format'],
    ['a tenant that starts with a dash', { tenant: '-acme' }, '/tenant', 'invalid_format'],
    ['a tenant of 64 characters', { tenant: 'a'.repeat(64) }, '/tenant', 'invalid_format'],
    ['a tenant with a line break', { tenant: 'acme\n' }, '/tenant', 'invalid_format'],
    ['the subject me', { subject: 'me' }, '/subject', 'invalid_format'],
    ['the subject .', { subject: '.' }, '/subject', 'invalid_format'],
    ['the subject ..', { subject: '..' }, '/subject', 'invalid_format'],
    ['an empty subject', { subject: '' }, '/subject', 'invalid_format'],
    ['a subject of 129 characters', { subject: 'x'.repeat(129) }, '/subject', 'invalid_format'],
    ['a subject with a slash', { subject: 'a/b' }, '/subject', 'invalid_format'],
    ['an unknown kind', { kind: 'robot' }, '/kind', 'unknown_value'],
    ['an unknown role', { roles: ['user', 'root'] }, '/roles/1', 'unknown_value'],
    ['a role alone', { roles: 'user' }, '/roles', 'wrong_type'],
    ['an unknown scope', { scopes: ['users:delete'] }, '/scopes/0', 'unknown_value'],
    ['a time without its zone', { authTime: '2026-01-02T03:04:05' }, '/authTime', 'invalid_format'],
    ['a leap second', { authTime: '2016-12-31T23:59:60Z' }, '/authTime', 'invalid_format'],
    ['a time in milliseconds', { authTime: Date.now() }, '/authTime', 'out_of_range'],
    ['a time before 1970', { authTime: -1 }, '/authTime', 'out_of_range'],
    ['a time that is neither', { authTime: true }, '/authTime', 'wrong_type'],
    ['a method that is no string', { amr: [1] }, '/amr/0', 'wrong_type'],
    ['a method with a space', { amr: ['p w d'] }, '/amr/0', 'invalid_format'],
    ['an empty audience', { audience: '' }, '/audience', 'out_of_range'],
    ['no audience in a list', { audience: [] }, '/audience', 'out_of_range'],
    ['an audience that is no string', { audience: [1] }, '/audience/0', 'wrong_type'],
    ['a life of 0 s', { expiresIn: 0 }, '/expiresIn', 'out_of_range'],
    ['a life over a day', { expiresIn: 86_401 }, '/expiresIn', 'out_of_range'],
    ['half a second', { expiresIn: 1.5 }, '/expiresIn', 'wrong_type'],
    ['a life in words', { expiresIn: '60' }, '/expiresIn', 'wrong_type'],
  ] as const) {
    t.test(`refuses ${what}`, async (t) => {
      const response = await devToken({ ...person, ...change })
      t.equal(response.status, 400)
      t.equal(response.headers.get('content-type'), 'application/problem+json; charset=utf-8')
      const { errors } = await response.json() as { errors: object[] }
      t.match(errors, [{ pointer, code, message: String }])
      t.equal(errors.length, 1)
    })
  }

  t.test('names everything that is wrong at once, as a problem', async (t) => {
    t.match(await (await devToken({ kind: 'robot' })).json(), {
      type: '/problems/validation_failed', title: String, status: 400, detail: String, code: 'validation_failed',
      errors: [{ pointer: '/tenant', message: String }, { pointer: '/subject' }, { pointer: '/kind', message: 'must be one of person, app' }],
    })
  })

  for (const [what, body] of [['nothing', ''], ['half a document', '{"tenant":'], ['a byte order mark', '\ufeff{}']] as const) {
    t.test(`refuses ${what} as malformed`, async (t) => {
      const response = await devToken(body)
      t.match({ ...await response.json() as object, status: response.status }, { status: 400, code: 'malformed_body' })
    })
  }

  t.test('refuses bytes that are not UTF-8', async (t) => {
    const response = await fetch(`${issuer}/dev/tokens`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: Buffer.from([0x22, 0xff, 0x22]) })
    t.match(await response.json(), { code: 'malformed_body' })
  })

  for (const body of ['[]', '"text"', 'null', '1']) {
    t.test(`refuses ${body}, which is no object`, async (t) => {
      t.match(await (await devToken(body)).json(), { status: 400, code: 'validation_failed', errors: [{ pointer: '', code: 'wrong_type' }] })
    })
  }

  t.test('takes 16 KiB and not one byte more', async (t) => {
    const fill = (bytes: number) => JSON.stringify(person).padEnd(bytes, ' ')
    t.equal((await devToken(fill(16_384))).status, 200)
    for (const bytes of [16_385, 900_000]) {
      const response = await devToken(fill(bytes))
      t.match({ ...await response.json() as object, status: response.status }, { status: 413, code: 'body_too_large' })
    }
  })

  t.test('takes JSON only', async (t) => {
    const response = await devToken(person, { 'content-type': 'text/plain' })
    t.match({ ...await response.json() as object, status: response.status }, { status: 415, code: 'unsupported_media_type' })
    t.equal((await devToken(person, { 'content-type': 'application/json; charset=utf-8' })).status, 200)
  })

  for (const method of ['GET', 'PUT', 'DELETE', 'PATCH']) {
    t.test(`answers ${method} with what it allows`, async (t) => {
      const response = await fetch(`${issuer}/dev/tokens`, { method })
      t.equal(response.headers.get('allow'), 'POST, OPTIONS')
      t.match({ ...await response.json() as object, status: response.status }, { status: 405, code: 'method_not_allowed' })
    })
  }

  t.test('may be called by a page of any origin', async (t) => {
    const response = await fetch(`${issuer}/dev/tokens`, { method: 'OPTIONS', headers: { origin: apiOrigin, 'access-control-request-method': 'POST' } })
    t.equal(response.status, 204)
    t.equal(response.headers.get('access-control-allow-origin'), '*')
    t.equal(response.headers.get('access-control-allow-headers'), 'content-type')
  })

  t.test('is fast enough to be asked for every test', async (t) => {
    const began = performance.now()
    for (let count = 0; count < 200; count++) await (await devToken(person)).json()
    const each = (performance.now() - began) / 200
    t.comment(`${each.toFixed(2)} ms each`)
    t.ok(each < 10)
  })
})

t.test('a tenant that cannot be made is 503, and the log says why without the token', async (t) => {
  const { devToken, logged } = await testIssuer(t, { ensureTenant: async () => { throw new Error('database away') } })
  const response = await devToken({ tenant: 'acme', subject: 'alice', kind: 'person' })
  t.match({ ...await response.json() as object, status: response.status }, { status: 503, code: 'unavailable' })
  t.match(logged.at(-1), /tenant acme.*database away/)
})

t.test('the keys', async (t) => {
  const keyFile = join(t.testdir(), 'deep', 'er', 'keys.json')
  const token = { tenant: 'acme', subject: 'alice', kind: 'person' }

  t.test('survive a restart, so that tokens do, and are for the owner only', async (t) => {
    const first = await testIssuer(t, { keyFile })
    const { accessToken } = await (await first.devToken(token)).json() as { accessToken: string }
    const before = await (await fetch(first.jwksUri)).json()
    await first.close()
    t.equal((await stat(keyFile)).mode & 0o777, 0o600)

    const second = await testIssuer(t, { keyFile, port: Number(new URL(first.issuer).port) })
    t.same(await (await fetch(second.jwksUri)).json(), before)
    t.match(await second.verify(accessToken), { sub: 'alice' })
  })

  t.test('are the same for issuers that start at once', async (t) => {
    const twins = join(t.testdir(), 'keys.json')
    const issuers = await Promise.all(Array.from({ length: 5 }, () => testIssuer(t, { keyFile: twins })))
    const sets = await Promise.all(issuers.map(async ({ jwksUri }) => (await fetch(jwksUri)).text()))
    t.equal(new Set(sets).size, 1)
  })

  t.test('are not replaced behind one\'s back when their file is broken, nor quoted', async (t) => {
    const broken = join(t.testdir(), 'keys.json')
    for (const text of ['{"jwk":{"d":"a secret"', '{}', '{"jwk":{"crv":"P-256","d":"a secret","kid":"k"},"cookieKeys":[]}']) {
      await writeFile(broken, text)
      const error = await testIssuer(t, { keyFile: broken }).then(() => undefined, (reason: Error) => reason)
      t.match(error?.message, /is not a key file/)
      t.notMatch(error?.stack, 'a secret')
      t.equal(await readFile(broken, 'utf8'), text)
    }
  })
})

t.test('an address in use is an error at the start', async (t) => {
  const { issuer } = await testIssuer(t)
  await t.rejects(testIssuer(t, { port: Number(new URL(issuer).port) }), { code: 'EADDRINUSE' })
})

t.test('close ends open connections at once', async (t) => {
  const { issuer, close } = await testIssuer(t)
  const socket = connect(Number(new URL(issuer).port), '127.0.0.1')
  await once(socket, 'connect')
  await (await fetch(`${issuer}/jwks`)).text()
  const began = performance.now()
  const ended = once(socket, 'close')
  await close()
  await ended
  t.ok(performance.now() - began < 1_000)
  await t.rejects(fetch(`${issuer}/jwks`))
})

t.test('prints nothing, whatever it is asked, and logs no secret', async (t) => {
  const options = { host: '127.0.0.1', port: 0, audience, keyFile: join(t.testdir(), 'keys.json'), demoUsers }
  const child = spawn(process.execPath, ['--input-type=module', '--eval', `
    import { startDevelopmentIssuer } from '${new URL('../../src/dev/issuer/issuer.ts', import.meta.url).href}'
    const logged = []
    const { close, ...urls } = await startDevelopmentIssuer({
      ...${JSON.stringify(options)}, apiOrigin: () => '${apiOrigin}', ensureTenant: async () => {}, log: (message) => logged.push(message),
    })
    process.send(urls)
    process.once('message', async () => { await close(); process.send(logged, () => process.disconnect()) })
  `], { stdio: ['ignore', 'pipe', 'pipe', 'ipc'], env: { ...process.env, NODE_OPTIONS: '' } })
  t.teardown(() => child.kill())
  let printed = ''
  for (const stream of [child.stdout!, child.stderr!]) stream.setEncoding('utf8').on('data', (text: string) => { printed += text })

  const [urls] = await Promise.race([once(child, 'message'), once(child, 'exit').then(() => { throw new Error(printed) })]) as [DevelopmentIssuer]
  const { signIn, post, devToken, browser, authorization } = clientOf(urls)
  const { tokens } = await signIn(/demo-helpdesk with/)
  const { accessToken } = await (await devToken({ tenant: 'acme', subject: 'alice', kind: 'person' })).json() as { accessToken: string }
  await post({ grant_type: 'client_credentials' }, basic('demo-app', 'demo-app-secret'))
  await post({ grant_type: 'client_credentials' }, basic('demo-app', 'wrong'))
  await browser().follow(authorization({ client_id: 'stranger' }).url)
  await browser().follow(authorization({ redirect_uri: 'https://evil.example' }).url)
  await fetch(`${urls.issuer}/nowhere`)

  const [closed, exited] = [once(child, 'message'), once(child, 'exit')]
  child.send('close')
  const [logged] = await closed as [string[]]
  t.same(await exited, [0, null])
  t.equal(printed, '')
  t.equal(logged.length, 1, 'only the warning of the start')
  for (const secret of [tokens.access_token, accessToken, 'demo-app-secret']) t.notMatch(logged.join('\n'), secret)
})

import { createHash, randomBytes } from 'node:crypto'
import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from 'jose'
import t from 'tap'
import { apiOrigin, audience, now, redirectUri, testIssuer } from '../../support/development-issuer.ts'

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

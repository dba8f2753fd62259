import { createHash, randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import type { Test } from 'tap'
import { startDevelopmentIssuer, type DevelopmentIssuer, type IssuerOptions } from '../../src/dev/issuer/issuer.ts'

export const audience = 'latchkey'
export const apiOrigin = 'http://127.0.0.1:3000'
export const redirectUri = `${apiOrigin}/docs/static/oauth2-redirect.html`

/** Whom the sign-in page offers. Two share their name. */
export const demoUsers = [
  { tenant: 'demo', subject: 'demo-user', roles: ['user'], title: 'User' },
  { tenant: 'demo', subject: 'demo-helpdesk', roles: ['user', 'helpdesk'], title: 'Help desk <1st level>' },
  { tenant: 'demo-2', subject: 'demo-user', roles: ['user'], title: 'User of another company' },
]

/** An issuer of the demo people, with a client; its keys are its own unless told. Ends with the test. */
export async function testIssuer (t: Test, overrides: Partial<IssuerOptions> = {}) {
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
export function clientOf ({ issuer, authorizationUrl, tokenUrl, jwksUri }: Pick<DevelopmentIssuer, 'issuer' | 'authorizationUrl' | 'tokenUrl' | 'jwksUri'>) {
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

/** In whole seconds, as tokens count. */
export const now = () => Math.floor(Date.now() / 1000)
/** How an application says who it is. */
export const basic = (user: string, password: string) => ({ authorization: `Basic ${btoa(`${user}:${password}`)}` })

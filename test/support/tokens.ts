import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import { exportJWK, generateKeyPair, SignJWT, type JWTPayload } from 'jose'
import type { TrustedIssuer } from '../../src/platform/http/tokens.ts'
import type { Role, Scope } from '../../src/vocabulary.ts'

/** Who a test speaks for. A person has a fresh second factor unless told. */
export interface Caller {
  tenant: string
  subject: string
  kind?: 'person' | 'app'
  roles?: readonly Role[]
  scopes?: readonly Scope[]
  amr?: readonly string[]
  /** How long ago they signed in. */
  authSecondsAgo?: number
}

export interface TestIssuer {
  trusted: TrustedIssuer
  /** A token as a well-behaved issuer would give it. */
  tokenOf: (caller: Caller, extra?: JWTPayload) => Promise<string>
  privateKey: Awaited<ReturnType<typeof generateKeyPair>>['privateKey']
  keyId: string
  /** Requests that reached the issuer: a forged token must cause none. */
  requests: () => number
  close: () => Promise<void>
}

/** A token issuer of the tests' own, with a real key address. Its name is that address unless told. */
export async function startTestIssuer (name?: string): Promise<TestIssuer> {
  const { publicKey, privateKey } = await generateKeyPair('ES256')
  const keyId = 'test-key'
  const jwks = JSON.stringify({ keys: [{ ...await exportJWK(publicKey), kid: keyId, alg: 'ES256', use: 'sig' }] })
  let requests = 0
  const server = createServer((_request, response) => {
    requests++
    response.setHeader('content-type', 'application/json').end(jwks)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  server.unref()
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const issuer = name ?? origin

  const tokenOf = async ({ tenant, subject, kind = 'person', roles = [], scopes = [], amr = ['pwd', 'mfa'], authSecondsAgo = 0 }: Caller, extra: JWTPayload = {}) => {
    const now = Math.floor(Date.now() / 1000)
    const claims = kind === 'app'
      ? { tenant, client_id: subject, scope: scopes.join(' ') }
      : { tenant, client_id: 'test-client', roles: ['user', ...roles], amr, auth_time: now - authSecondsAgo, ...(scopes.length > 0 && { scope: scopes.join(' ') }) }
    return new SignJWT({ ...claims, ...extra }).setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid: keyId })
      .setIssuer(issuer).setAudience('latchkey').setSubject(subject).setIssuedAt(now).setExpirationTime(now + 3600).setJti(crypto.randomUUID()).sign(privateKey)
  }
  return {
    trusted: { issuer, jwksUri: `${origin}/jwks`, audience: 'latchkey', typ: 'at+jwt', algorithms: ['ES256'], claims: { tenant: 'tenant', roles: 'roles', scope: 'scope', kind: null } },
    tokenOf, privateKey, keyId, requests: () => requests,
    async close () { server.closeAllConnections(); await new Promise((resolve) => { server.close(resolve) }) },
  }
}

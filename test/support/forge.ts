import type { TestIssuer } from './tokens.ts'

export const seconds = () => Math.floor(Date.now() / 1000)

/** One part of a token: JSON, or the text as it stands. */
export const part = (value: unknown) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')

/** Signs whatever it is told to: no library that would refuse stands between. */
export async function sign (key: TestIssuer['privateKey'], header: unknown, claims: unknown): Promise<string> {
  const input = `${part(header)}.${part(claims)}`
  return `${input}.${Buffer.from(await crypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, key, Buffer.from(input))).toString('base64url')}`
}

export const headerOf = ({ keyId }: Pick<TestIssuer, 'keyId'>) => ({ alg: 'ES256', typ: 'at+jwt', kid: keyId })

/** What a good token of a person says. */
export const claimsOf = ({ trusted }: Pick<TestIssuer, 'trusted'>, tenant: string, subject: string): Record<string, unknown> => ({
  iss: trusted.issuer, aud: trusted.audience, sub: subject, tenant, client_id: 'test-client', roles: ['user'], amr: ['pwd', 'mfa'],
  auth_time: seconds(), iat: seconds(), exp: seconds() + 3600, jti: crypto.randomUUID(),
})

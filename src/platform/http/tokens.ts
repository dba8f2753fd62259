import { hash } from 'node:crypto'
import { decodeJwt, jwtVerify, type JWTPayload } from 'jose'
import { unavailable } from '../db/errors.ts'
import type { TokenClaims } from '../deps.ts'
import { Refusal } from '../refusal.ts'
import { roles as allRoles, scopes as allScopes, type Role, type Scope } from '../../vocabulary.ts'
import { structuralFault } from './bodies.ts'
import { issuerKeys, KeysOutOfReach } from './issuer-keys.ts'

/** One trusted issuer. Its key address comes from configuration only, never from a token. */
export interface TrustedIssuer {
  issuer: string
  jwksUri: string
  audience: string
  /** The `typ` header it sends: RFC 9068 says `at+jwt`. */
  typ: string
  algorithms: string[]
  claims: { tenant: string, roles: string, scope: string, kind: string | null }
}

export type VerifyToken = (token: string) => Promise<TokenClaims>

const skewSeconds = 30
const rememberMs = 60_000
const rememberedMax = 10_000
const tokenCharactersMax = 8_192
const keysRefreshMs = 600_000

const refused = () => new Refusal('invalid_token', 'The token is not accepted.')

/**
 * Checks access tokens (RFC 9068, RFC 8725): an allow-list of algorithms, exact issuer, own audience, `exp` required,
 * `typ` checked. A verified token is remembered by the hash of all of it, for a minute and never beyond its `exp`.
 * `clock` is the database's clock, so that a replica with a wrong clock judges like the others; `elapsedMs` spaces out
 * the requests for keys.
 */
export function tokenVerifier (issuers: readonly TrustedIssuer[], clock: () => Date, elapsedMs: () => number = () => performance.now()): { verify: VerifyToken, close: () => void } {
  const trusted = new Map(issuers.map((issuer) => [issuer.issuer, { ...issuer, keys: issuerKeys(issuer.jwksUri, elapsedMs) }]))
  const remembered = new Map<string, { claims: TokenClaims, untilMs: number }>()
  const underWay = new Map<string, Promise<TokenClaims>>()
  // Known keys go on working for an hour while the issuer is down: refresh early, in the background, and let it fail.
  const refresh = setInterval(() => { for (const { keys } of trusted.values()) void keys.refresh() }, keysRefreshMs)
  refresh.unref()

  async function verify (token: string): Promise<TokenClaims> {
    if (token.length > tokenCharactersMax) throw refused()
    const name = hash('sha256', token, 'base64')
    const known = remembered.get(name)
    if (known && known.untilMs > clock().getTime()) return known.claims
    if (known) remembered.delete(name)
    // Of requests that bring a new token at the same moment, one has it checked.
    const checking = underWay.get(name) ?? check(name, token).finally(() => underWay.delete(name))
    underWay.set(name, checking)
    return checking
  }

  async function check (name: string, token: string): Promise<TokenClaims> {
    const issuer = trusted.get(issuerNamedBy(token) ?? '')
    if (!issuer) throw refused()
    let payload: JWTPayload
    try {
      const verified = await jwtVerify(token, issuer.keys.find, {
        algorithms: issuer.algorithms, issuer: issuer.issuer, audience: issuer.audience, typ: issuer.typ,
        requiredClaims: ['exp', 'iat', 'sub'], clockTolerance: skewSeconds, currentDate: clock(),
      })
      payload = verified.payload
    } catch (error) {
      throw error instanceof KeysOutOfReach ? unavailable() : refused()
    }
    if (segmentsHaveTwins(token)) throw refused()
    const claims = claimsOf(payload, issuer, clock())
    if (remembered.size >= rememberedMax) remembered.delete(remembered.keys().next().value!)
    remembered.set(name, { claims, untilMs: Math.min(clock().getTime() + rememberMs, payload.exp! * 1000) })
    return claims
  }
  return { verify, close: () => clearInterval(refresh) }
}

function issuerNamedBy (token: string): string | undefined {
  try {
    return decodeJwt(token).iss
  } catch {
    return undefined
  }
}

/** A claim written twice: two readers of the token could each take another one. */
const segmentsHaveTwins = (token: string) =>
  token.split('.').slice(0, 2).some((segment) => structuralFault(Buffer.from(segment, 'base64url').toString()) !== undefined)

const subjectPattern = /^(?!(?:me|\.|\.\.)$)[A-Za-z0-9._@|:+=-]{1,128}$/
const slugPattern = /^[a-z0-9][a-z0-9-]{0,62}$/

function claimsOf (payload: JWTPayload, { claims: names }: TrustedIssuer, now: Date): TokenClaims {
  const tenantSlug = payload[names.tenant]
  const subject = payload.sub
  if (typeof tenantSlug !== 'string' || !slugPattern.test(tenantSlug)) throw refused()
  if (typeof subject !== 'string' || !subjectPattern.test(subject)) throw refused()
  const kind = kindOf(payload, names.kind)
  const scopes = listed(payload[names.scope]).filter((name): name is Scope => (allScopes as readonly string[]).includes(name))
  const roles = listed(payload[names.roles]).filter((name): name is Role => (allRoles as readonly string[]).includes(name))
  const { auth_time: authTime, amr } = payload
  return {
    tenantSlug, subject, kind,
    roles: kind === 'app' ? [] : [...new Set<Role>(['user', ...roles])],
    scopes: kind === 'person' && scopes.length === 0 ? null : scopes,
    authTime: authTime === undefined ? null : pastTime(authTime, now),
    issuedAt: pastTime(payload.iat, now),
    amr: Array.isArray(amr) ? amr.filter((value) => typeof value === 'string') : [],
  }
}

/** A time that is still to come would outlive every revocation and never grow too old. */
function pastTime (seconds: unknown, now: Date): Date {
  if (typeof seconds !== 'number' || seconds < 0 || seconds * 1000 > now.getTime() + skewSeconds * 1000) throw refused()
  return new Date(seconds * 1000)
}

/** A token that does not settle whether a person or an app calls is refused. */
function kindOf (payload: JWTPayload, claim: string | null): 'person' | 'app' {
  if (claim !== null) {
    const kind = payload[claim]
    if (kind === 'person' || kind === 'app') return kind
    throw refused()
  }
  if (typeof payload.client_id !== 'string' || payload.client_id === '') throw refused()
  return payload.sub === payload.client_id ? 'app' : 'person'
}

/** Claims come as an array, or as text with spaces between (RFC 8693 section 4.2). */
function listed (claim: unknown): string[] {
  if (claim === undefined || claim === null) return []
  if (typeof claim === 'string') return claim.split(' ').filter(Boolean)
  if (Array.isArray(claim) && claim.every((value) => typeof value === 'string')) return claim
  throw refused()
}

import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { SignJWT } from 'jose'
import { appClaims, personClaims } from './claims.ts'
import { readBody, sendJson, sendProblem } from './http.ts'
import type { IssuerOptions } from './issuer.ts'
import type { IssuerKeys } from './keys.ts'
import { checkTokenRequest, type TokenRequest } from './schema.ts'

const allow = 'POST, OPTIONS'

/** `POST /dev/tokens`: any token for any tenant, which is made if it is unknown. One request per test is enough. */
export function tokensEndpoint (issuer: string, keys: IssuerKeys, options: IssuerOptions) {
  return async (request: IncomingMessage, response: ServerResponse) => {
    response.setHeader('Access-Control-Allow-Origin', '*')
    if (request.method === 'OPTIONS') {
      response.writeHead(204, {
        'Access-Control-Allow-Methods': 'POST', 'Access-Control-Allow-Headers': 'content-type', 'Access-Control-Max-Age': '3600', Allow: allow,
      }).end()
      return
    }
    if (request.method !== 'POST') {
      response.setHeader('Allow', allow)
      sendProblem(response, 'method_not_allowed', 'Ask for a token with POST.')
      return
    }
    const body = await readBody(request)
    if (!body) return sendProblem(response, 'body_too_large', 'A body may have up to 16 KiB.')
    if (!isJson(request)) return sendProblem(response, 'unsupported_media_type', 'Send application/json.')
    const parsed = parse(body)
    if (!parsed) return sendProblem(response, 'malformed_body', 'The body must be JSON in UTF-8.')
    const checked = checkTokenRequest(parsed.value)
    if ('errors' in checked) return sendProblem(response, 'validation_failed', 'Some fields are missing, unknown or wrong.', checked.errors)

    try {
      await options.ensureTenant(checked.request.tenant)
    } catch (error) {
      options.log(`The development issuer could not make tenant ${checked.request.tenant}: ${String(error)}`)
      return sendProblem(response, 'unavailable', 'The tenant could not be looked up or made.')
    }
    const { expiresIn = 3600 } = checked.request
    sendJson(response, { accessToken: await sign(issuer, keys, options.audience, { ...checked.request, expiresIn }), expiresIn })
  }
}

async function sign (issuer: string, { jwk, privateKey }: IssuerKeys, ownAudience: string, request: TokenRequest & { expiresIn: number }) {
  const { subject, kind, scopes = [], audience = ownAudience, expiresIn } = request
  const now = Math.floor(Date.now() / 1000)
  return new SignJWT({
    ...kind === 'app' ? appClaims(request.tenant) : asked(request, now),
    ...scopes.length > 0 && { scope: [...new Set(scopes)].join(' ') },
    client_id: kind === 'app' ? subject : clientFor(subject),
  })
    .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid: jwk.kid })
    .setIssuer(issuer).setSubject(subject).setAudience(audience).setJti(randomUUID())
    .setIssuedAt(now).setExpirationTime(now + expiresIn)
    .sign(privateKey)
}

/** Someone who has just signed in with a second factor, unless the request says otherwise. */
function asked ({ tenant, roles = ['user'], authTime, amr = ['pwd', 'mfa'] }: TokenRequest, now: number) {
  const seconds = typeof authTime === 'string' ? Date.parse(authTime) / 1000 : authTime ?? now
  return personClaims({ tenant, roles, authTime: Math.floor(seconds), amr })
}

/** Where subject and client are the same, the caller is an app: a person's token names a client that is not the person. */
const clientFor = (subject: string) => subject === 'latchkey-dev' ? 'latchkey-dev-client' : 'latchkey-dev'

const isJson = ({ headers }: IncomingMessage) =>
  headers['content-type']?.split(';')[0]?.trim().toLowerCase() === 'application/json'

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function parse (body: Buffer): { value: unknown } | undefined {
  try {
    return { value: JSON.parse(utf8.decode(body)) }
  } catch {
    return undefined
  }
}

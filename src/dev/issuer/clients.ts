import type { ClientMetadata } from 'oidc-provider'
import type { IssuerOptions } from './issuer.ts'

export const swaggerClientId = 'latchkey-swagger-ui'

/** Belongs to the demo data. Its secret is in the open on purpose: it is worth nothing outside development. */
export const demoApp = { clientId: 'demo-app', secret: 'demo-app-secret', tenant: 'demo' }

/** The clients as they are now: the API's port is part of a redirect address and may be known late. */
export function findClient (id: string, { apiOrigin }: Pick<IssuerOptions, 'apiOrigin'>): ClientMetadata | undefined {
  if (id === swaggerClientId) {
    return {
      client_id: swaggerClientId,
      client_name: 'Swagger UI',
      // A page in a browser keeps no secret: PKCE stands in for it.
      token_endpoint_auth_method: 'none',
      grant_types: ['authorization_code'],
      response_types: ['code'],
      redirect_uris: swaggerRedirects(apiOrigin()),
    }
  }
  if (id === demoApp.clientId) {
    return {
      client_id: demoApp.clientId,
      client_name: 'Demo app',
      client_secret: demoApp.secret,
      grant_types: ['client_credentials'],
      response_types: [],
      redirect_uris: [],
    }
  }
  return undefined
}

/** People open the documentation by address or by name, and a redirect address must match to the letter. */
function swaggerRedirects (apiOrigin: string) {
  const byName = new URL(apiOrigin)
  byName.hostname = 'localhost'
  const origins = new Set([new URL(apiOrigin).origin, byName.origin])
  return [...origins].map((origin) => `${origin}/docs/static/oauth2-redirect.html`)
}

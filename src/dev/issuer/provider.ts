import type { EventEmitter } from 'node:events'
import { Provider, errors, interactionPolicy, type Configuration, type KoaContextWithOIDC } from 'oidc-provider'
import { allScopes, appClaims, personClaims } from './claims.ts'
import { demoApp, findClient } from './clients.ts'
import type { IssuerOptions } from './issuer.ts'
import type { IssuerKeys } from './keys.ts'
import { memoryAdapter } from './memory.ts'
import { page } from './page.ts'

export const paths = { authorization: '/auth', token: '/token', jwks: '/jwks', interaction: '/interaction/' }

/** Two tenants may each have a `demo-user`: inside the issuer an account is named by both. */
export const accountKey = ({ tenant, subject }: { tenant: string, subject: string }) => `${tenant}/${subject}`

const { Check, Prompt } = interactionPolicy

/** The standard part: discovery, keys, authorisation code with PKCE, client credentials. */
export function createProvider (issuer: string, keys: IssuerKeys, options: IssuerOptions) {
  const { audience, demoUsers, log } = options
  const accounts = new Map(demoUsers.map((user) => [accountKey(user), user]))
  // A resource indicator must be a URI. An audience need not be one.
  const resource = URL.canParse(audience) && !audience.includes('#') ? audience : 'urn:latchkey:api'

  const configuration: Configuration = {
    adapter: memoryAdapter((id) => findClient(id, options)),
    jwks: { keys: [keys.jwk] },
    cookies: {
      keys: keys.cookieKeys,
      // Cookies know no ports: these must not meet those of the API on the same host.
      names: { session: 'dev_issuer_session', interaction: 'dev_issuer_interaction', resume: 'dev_issuer_resume' },
    },
    routes: paths,
    interactions: { policy: signInPolicy(), url: (_ctx, interaction) => paths.interaction + interaction.uid },
    // Latchkey's scopes belong to the API and not to this list, or consent to each would be asked for.
    scopes: ['openid'],
    claims: { openid: ['sub', 'auth_time', 'amr'] },
    responseTypes: ['code'],
    pkce: { required: () => true },
    enabledJWA: { idTokenSigningAlgValues: ['ES256'] },
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    // Swagger UI fetches its token from another port. Anyone may have a token here, so any page may ask.
    clientBasedCORS: () => true,
    // Each is given because the library prints a notice for each default it uses.
    ttl: { AccessToken: 3600, ClientCredentials: 3600, IdToken: 3600, AuthorizationCode: 60, Interaction: 3600, Session: 28_800, Grant: 28_800 },
    renderError: (ctx, out) => {
      const { headers, html } = page('Sign-in failed', { heading: 'That did not work', text: `${out.error}: ${out.error_description ?? ''}` })
      ctx.set(headers)
      ctx.body = html
    },
    features: {
      devInteractions: { enabled: false },
      userinfo: { enabled: false },
      rpInitiatedLogout: { enabled: false },
      pushedAuthorizationRequests: { enabled: false },
      dPoP: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => resource,
        useGrantedResource: () => true,
        getResourceServerInfo: (_ctx, asked) => {
          if (asked !== resource) throw new errors.InvalidTarget()
          return { audience, scope: allScopes, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } }
        },
      },
    },
    // While someone signs in the account goes by its key; what is issued afterwards names the subject alone.
    findAccount: (_ctx, key, source) => {
      const user = accounts.get(key)
      return user && { accountId: source ? user.subject : key, claims: () => ({ sub: user.subject }) }
    },
    formats: {
      customizers: {
        jwt: (_ctx, token, { payload }) => {
          // OAuth lets a server give its default scope to a client that asks for none. The answer tells it, the token holds it.
          if (token.kind === 'ClientCredentials') payload['scope'] = token.scope ??= allScopes
        },
      },
    },
    loadExistingGrant: grantAll,
    extraTokenClaims: (ctx, token) => {
      if (token.kind === 'ClientCredentials') return appClaims(demoApp.tenant)
      const code = ctx.oidc.entities.AuthorizationCode
      const user = accounts.get(code?.accountId ?? '')
      if (!code || !user) throw new errors.InvalidGrant('unknown account')
      return personClaims({ ...user, authTime: code.authTime, amr: code.amr })
    },
  }

  const provider = new Provider(issuer, configuration)
  // Without a listener Koa prints to stderr. Only the kind of error is told: a message may quote the request.
  const report = (error: Error & { expose?: boolean }) => {
    if (!error.expose) log(`The development issuer failed: ${error.name}`)
  }
  const koa: EventEmitter = provider
  koa.on('error', report)
  provider.on('server_error', (_ctx, error) => report(error))
  return provider
}

/**
 * Asks who one wants to be at every authorisation, because changing from one demo user to another is what the issuer is
 * for. Only `prompt=none` is answered from the session.
 */
function signInPolicy () {
  const choose = new Check('choice', 'a demo user must be chosen', 'login_required', ({ oidc }) => {
    const { session, params, prompts, result } = oidc
    if (!prompts.has('none')) return result?.login === undefined
    const maxAge = params?.['max_age']
    return !session?.accountId || (maxAge !== undefined && session.past(Number(maxAge)))
  })
  // Known by name only so that a client that asks for them is not refused: there is nothing to ask.
  const formalities = ['consent', 'select_account'].map((name) => new Prompt({ name, requestable: true }))
  return [new Prompt({ name: 'login', requestable: true }, choose), ...formalities]
}

/** In development every client gets what it asks for. */
async function grantAll ({ oidc }: KoaContextWithOIDC) {
  const { client, session, provider, requestParamScopes, requestParamOIDCScopes, resourceServers = {} } = oidc
  if (!client || !session?.accountId) return undefined
  const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId })
  grant.addOIDCScope(requestParamOIDCScopes)
  for (const [resource, { scopes }] of Object.entries(resourceServers)) {
    grant.addResourceScope(resource, [...requestParamScopes].filter((scope) => scopes.has(scope)))
  }
  await grant.save()
  return grant
}

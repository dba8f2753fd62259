import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { swaggerClientId } from './clients.ts'
import { sendProblem } from './http.ts'
import { loadKeys } from './keys.ts'
import { createProvider, paths } from './provider.ts'
import { signInPages } from './sign-in.ts'
import { tokensEndpoint } from './tokens.ts'

export interface DemoUser { tenant: string, subject: string, roles: readonly string[], title: string }

export interface IssuerOptions {
  host: string
  /** 0 takes any free port. */
  port: number
  /** The API's own audience: what every token is for unless it was asked for otherwise. */
  audience: string
  /** Where the API answers. Asked at each use, because the API may get its port after the issuer. */
  apiOrigin: () => string
  /** The signing key and the cookie keys, so that tokens survive a restart. */
  keyFile: string
  /** Makes the tenant, marked sandbox, unless it is there. */
  ensureTenant: (slug: string) => Promise<void>
  demoUsers: readonly DemoUser[]
  log: (message: string) => void
}

export interface DevelopmentIssuer {
  issuer: string
  jwksUri: string
  authorizationUrl: string
  tokenUrl: string
  audience: string
  swaggerClientId: string
  close: () => Promise<void>
}

/** Serves an OpenID Connect issuer that gives anyone any token: for development only, never reachable from outside. */
export async function startDevelopmentIssuer (options: IssuerOptions): Promise<DevelopmentIssuer> {
  const { host, port, audience, log } = options
  const keys = await loadKeys(options.keyFile)
  const server = createServer()
  server.listen(port, host)
  await once(server, 'listening')

  // The name of the issuer contains the port, so the rest is put together only now. No request is lost: nothing is
  // read from a connection before this turn of the event loop ends.
  const issuer = `http://${reachable(host)}:${(server.address() as AddressInfo).port}`
  const provider = createProvider(issuer, keys, options)
  const openIdConnect = provider.callback()
  const signIn = signInPages(provider, options)
  const tokens = tokensEndpoint(issuer, keys, options)

  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const path = (request.url ?? '/').split('?')[0] ?? '/'
    if (path === '/dev/tokens') return tokens(request, response)
    if (path.startsWith(paths.interaction)) return signIn(request, response)
    return openIdConnect(request, response)
  }
  server.on('request', (request, response) => {
    answer(request, response).catch((error: unknown) => {
      // Who hung up is no failure of ours.
      if (request.socket.destroyed) return
      log(`The development issuer failed: ${String(error)}`)
      if (response.headersSent) response.destroy()
      else sendProblem(response, 'internal_error')
    })
  })
  log(`Development issuer on ${issuer}: it gives anyone any token. Never in production.`)

  return {
    issuer,
    jwksUri: issuer + paths.jwks,
    authorizationUrl: issuer + paths.authorization,
    tokenUrl: issuer + paths.token,
    audience,
    swaggerClientId,
    close: async () => {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

/** "All interfaces" is an address to listen on, not one that a browser can open. */
const reachable = (host: string) => {
  if (host === '0.0.0.0' || host === '::' || host === '') return '127.0.0.1'
  return host.includes(':') ? `[${host}]` : host
}

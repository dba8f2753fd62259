import { buildApp } from '../../app.ts'
import type { Deps } from '../../platform/deps.ts'
import type { SignIn } from '../../platform/http/openapi.ts'
import { createLog } from '../../platform/log.ts'
import { swaggerClientId } from '../issuer/clients.ts'

/** Where the development issuer is unless told otherwise. */
const signIn: SignIn = { authorizationUrl: 'http://127.0.0.1:3001/auth', tokenUrl: 'http://127.0.0.1:3001/token', clientId: swaggerClientId }

/** The OpenAPI document of the routes. Nothing is opened for it: a route only touches what it is handed when it is called. */
export async function openApiText (): Promise<string> {
  const app = await buildApp({ log: createLog('silent'), random: { uuid: () => '', digits: () => '' } } as unknown as Deps, {
    verifyToken: () => Promise.reject(new Error('No token is verified here')), clock: () => new Date(0), adminTokenMaxSeconds: 0,
    sandboxAllowed: true, trustedProxies: [], signIn, readiness: { draining: false }, production: false,
  })
  try {
    return `${JSON.stringify(app.swagger(), null, 2)}\n`
  } finally {
    await app.close()
  }
}

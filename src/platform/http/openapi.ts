import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance } from 'fastify'
import { finishDocument } from './openapi-document.ts'

/** Where Swagger UI signs in; null where no issuer offers it. */
export interface SignIn { authorizationUrl: string, tokenUrl: string, clientId: string }

const tags = [
  ['Users', 'People, as the identity provider knows them.'],
  ['Contact methods', 'Phones and alternate e-mails, and how they are verified and changed.'],
  ['Authenticators', 'What a user has beside contact methods, temporary access passes among it.'],
  ['Challenges', 'One attempt to verify that a user controls a method.'],
  ['Sign-in', 'What the sign-in page must ask for.'],
  ['Resets', 'An administrator takes methods away; the person registers again.'],
  ['Off-boarding', 'Someone leaves: nothing of theirs works, and their data is erased later.'],
  ['Approvals', 'What waits for a second person.'],
  ['Limits', 'Locks after wrong codes, and blocks of number prefixes.'],
  ['Organization', 'The tenant\'s own profile.'],
  ['Policy', 'The rules of the tenant, inside hard bounds.'],
  ['Audit', 'What was done, by whom, and that nobody altered it.'],
  ['Sandbox', 'For tests: an inbox instead of a carrier, and a clock that moves.'],
] as const

const introduction = [
  'Knows how a person can be reached and verified: contact methods, challenges and MFA resets.',
  'Every request carries the access token of a person or an app; the tenant comes from the token. In a path, `me` stands for the token\'s own subject. `x-permission` names what an operation needs: `x-roles` of a person, `x-scope` of an app, and with `x-self` anyone for themself.',
  'Every error is a problem (RFC 9457) with a stable `code`, which has its page at `/problems/{code}`. Unknown fields and parameters are refused. Every answer names its request in `X-Request-Id`.',
  'Numbers and addresses are masked in `display`. A resource has an `ETag`, for `If-Match` and `If-None-Match`. A `POST` that changes something takes an `Idempotency-Key`. Lists go on with `nextCursor`.',
].join('\n\n')

/** Collects the document while routes are registered: register it before them. */
export async function describeApi (app: FastifyInstance, signIn: SignIn | null): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Latchkey', version: '1.0.0',
        description: introduction,
        license: { name: 'Proprietary', identifier: 'LicenseRef-Proprietary' },
      },
      servers: [{ url: '/', description: 'This service' }],
      tags: tags.map(([name, description]) => ({ name, description })),
      components: {
        securitySchemes: {
          bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT', description: 'An access token (RFC 9068) of a trusted issuer.' },
          ...(signIn && {
            signIn: {
              type: 'oauth2', description: 'Signs in at the issuer and sends its access token.',
              flows: { authorizationCode: { authorizationUrl: signIn.authorizationUrl, tokenUrl: signIn.tokenUrl, scopes: { openid: 'Sign in' } } },
            },
          }),
        },
      },
    },
    refResolver: { buildLocalReference: (json, _base, _fragment, index) => typeof json.$id === 'string' ? json.$id : `def-${index}` },
    transform: ({ schema, url }) => ({ schema: signIn || !schema?.security ? schema : { ...schema, security: [{ bearer: [] }] }, url }),
    transformObject: finishDocument,
  })
}

/** Serves the document and, for people, Swagger UI. */
export async function serveApiDescription (app: FastifyInstance, signIn: SignIn | null): Promise<void> {
  app.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger())
  await app.register(async (docs) => {
    const origins = signIn ? ` ${new URL(signIn.tokenUrl).origin}` : ''
    docs.addHook('onSend', async (_request, reply) => {
      // Swagger UI sets one inline style; everything else stays as strict as on the other pages.
      // The page of the issuer, where one signs in, must be able to hand the code back to the window that opened it.
      reply.header('cross-origin-opener-policy', 'unsafe-none')
      reply.header('content-security-policy', `default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; connect-src 'self'${origins}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'`)
    })
    await docs.register(swaggerUi, {
      routePrefix: '/docs',
      uiConfig: { docExpansion: 'list', showExtensions: true, tryItOutEnabled: true, displayRequestDuration: true, defaultModelsExpandDepth: 0 },
      ...(signIn && { initOAuth: { clientId: signIn.clientId, appName: 'Latchkey', usePkceWithAuthorizationCodeGrant: true, scopes: ['openid'] } }),
      theme: { title: 'Latchkey API' },
    })
  })
}

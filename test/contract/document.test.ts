import { readFile } from 'node:fs/promises'
import t from 'tap'
import { openApiText } from '../../src/dev/generate/openapi.ts'
import { typesOf } from '../../src/dev/generate/tables.ts'
import { refusalCodes, statusOf, type RefusalCode } from '../../src/platform/refusal.ts'
import { actions } from '../../src/vocabulary.ts'
import { cloneDatabase } from '../support/cluster.ts'
import { document, documentText, operations } from '../support/document.ts'
import { testService } from '../support/service.ts'

const { app } = await testService(t)
const stale = 'run `npm run generate` and commit what it writes'

t.test('the committed document is what the routes say', async (t) => {
  t.equal(await openApiText(), documentText, stale)
  t.equal(await openApiText(), documentText, 'a second time it is the same')
})

t.test('the committed types are those of the migrated tables', async (t) => {
  const database = await cloneDatabase()
  t.teardown(database.drop)
  t.equal(await typesOf(database.ownerUrl), await readFile(new URL('../../src/platform/db/schema.ts', import.meta.url), 'utf8'), stale)
})

t.test('the served document is the committed one but for where to sign in', async (t) => {
  const signIn = { authorizationUrl: 'https://issuer.example/auth', tokenUrl: 'https://issuer.example/token', clientId: 'docs' }
  const { app } = await testService(t, { signIn })
  const served = (await app.inject('/openapi.json')).json()
  const { authorizationCode } = served.components.securitySchemes.signIn.flows
  t.match(authorizationCode, { authorizationUrl: signIn.authorizationUrl, tokenUrl: signIn.tokenUrl })
  Object.assign(authorizationCode, { authorizationUrl: 'http://127.0.0.1:3001/auth', tokenUrl: 'http://127.0.0.1:3001/token' })
  t.same(served, document)
})

t.test('without an issuer that offers it, the served document names no sign-in', async (t) => {
  const served = (await app.inject('/openapi.json')).json()
  const expected = structuredClone(document)
  delete expected.components.securitySchemes.signIn
  for (const { security } of Object.values(expected.paths).flatMap((path) => Object.values(path as object))) security.pop()
  t.same(served, expected)
})

t.test('every route under /v1 is in the document, and nothing else', async (t) => {
  const lines = app.printRoutes({ commonPrefix: false, includeHooks: false }).split('\n').filter((line) => line.includes('('))
  const routes: string[] = []
  const above: string[] = []
  for (const line of lines) {
    const [, indent, part, methods] = /^([│├└─\s]*)(\S+) \(([^)]+)\)$/.exec(line)!
    above.length = indent!.length / 4 - 1
    const path = above.join('') + part
    above.push(part!)
    for (const method of methods!.split(', ')) routes.push(`${method} ${path.replace(/:(\w+)/g, '{$1}')}`)
  }
  const documented = operations.map(({ method, path }) => `${method} ${path}`)
  t.same(routes.filter((route) => route.includes(' /v1/') && !route.startsWith('HEAD ')).toSorted(), documented.toSorted())
  for (const { path } of operations.filter(({ method }) => method === 'GET')) t.ok(routes.includes(`HEAD ${path}`), `HEAD answers where GET does: ${path}`)
})

t.test('every operation says all that a caller needs', async (t) => {
  t.same(document.openapi, '3.1.0')
  t.equal(new Set(operations.map(({ id }) => id)).size, operations.length, 'operation ids are unique')
  const tags = new Set(document.tags.map(({ name }: { name: string }) => name))
  for (const { id, method, said, permission, parameters, body, path } of operations) {
    await t.test(id, async (t) => {
      t.match(id, /^[a-z][A-Za-z]+$/)
      t.match(said, { summary: /^\S.+[^.]$/, description: /^\S.{20,}\.$/s, security: [{ bearer: [] }, { signIn: ['openid'] }] })
      t.ok(said.tags.length === 1 && tags.has(said.tags[0]), 'one tag, which is described')
      t.ok(permission in actions, 'a permission')
      t.equal(said.requestBody !== undefined, ['POST', 'PUT', 'PATCH'].includes(method), 'a body where there is something to say')
      if (said.requestBody) t.ok(body, 'an example of its body')
      for (const one of parameters) {
        t.ok(one.description, `${one.name} is described`)
        t.ok(one.example !== undefined || (one.schema.examples?.length ?? 0) > 0, `${one.name} has an example`)
        t.equal(one.example !== undefined, one.required, `${one.name} is filled in only where it must be sent`)
      }
      t.same(parameters.filter((one) => one.in === 'path').map(({ name }) => name), [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name))
    })
  }
})

t.test('every operation declares its answers, good and bad', async (t) => {
  for (const { id, said } of operations) {
    await t.test(id, async (t) => {
      const { responses } = said
      for (const status of [400, 401, 403, 500, 503]) t.ok(responses[status], `declares ${status}`)
      if (said.requestBody) for (const status of [413, 415]) t.ok(responses[status], `declares ${status}`)
      t.ok(Object.keys(responses).some((status) => status.startsWith('2')), 'declares success')
      for (const [status, response] of Object.entries<any>(responses)) {
        t.ok(response.description, `${status} is described`)
        if (Number(status) < 400) {
          if (Number(status) !== 204 && Number(status) !== 304) for (const content of Object.values<any>(response.content)) t.ok(content.example, `${status} has an example`)
          continue
        }
        t.same(Object.keys(response.content), ['application/problem+json'])
        const { schema, examples } = response.content['application/problem+json']
        t.same(schema, { $ref: '#/components/schemas/Problem' })
        t.same(Object.keys(examples), response['x-codes'], 'an example of each code')
        for (const code of response['x-codes'] as RefusalCode[]) t.equal(statusOf(code), Number(status), code)
      }
      t.ok(responses[401].headers['WWW-Authenticate'])
      if (responses[429]) t.ok(responses[429].headers['Retry-After'])
    })
  }
})

t.test('every code has its page', async (t) => {
  t.same(document.components.schemas.Problem.properties.code.enum, refusalCodes)
  for (const code of refusalCodes) {
    const page = await app.inject(`/problems/${code}`)
    t.match({ status: page.statusCode, type: page.headers['content-type'], body: page.body }, { status: 200, type: /^text\/html; charset=utf-8/, body: new RegExp(`<code>${code}</code>`) }, code)
  }
  const unknown = await app.inject('/problems/unheard_of')
  t.match({ status: unknown.statusCode, type: unknown.headers['content-type'] }, { status: 404, type: /^application\/problem\+json/ })
})

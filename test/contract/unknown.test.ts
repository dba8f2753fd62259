import t from 'tap'
import { allowedCaller, ask, operations, requestOf, type Operation } from '../support/document.ts'
import { testService } from '../support/service.ts'

const service = await testService(t)

/** Copies of a body, each with one object in it that has a field more; and where that is. */
function withSurprise (body: unknown, pointer = ''): { pointer: string, body: unknown }[] {
  if (body === null || typeof body !== 'object') return []
  const entries = Object.entries(body)
  const rebuilt = (key: string, child: unknown) => Array.isArray(body) ? body.with(Number(key), child) : { ...body, [key]: child }
  return [
    ...(Array.isArray(body) ? [] : [{ pointer: `${pointer}/surprise`, body: { ...body, surprise: true } }]),
    ...entries.flatMap(([key, child]) => withSurprise(child, `${pointer}/${key}`).map((found) => ({ pointer: found.pointer, body: rebuilt(key, found.body) }))),
  ]
}

/** The example, about the caller where it may be about themself. */
const ownRequestOf = (operation: Operation) => requestOf(operation, operation.self ? { userId: 'me' } : {})

t.test('a field that no one knows is refused, not dropped', async (t) => {
  const tenant = await service.tenant()
  const withBody = operations.filter(({ body }) => body !== undefined)
  t.ok(withBody.length >= 10)
  for (const operation of withBody) {
    const client = await service.as(allowedCaller(operation, tenant))
    const request = ownRequestOf(operation)
    for (const surprising of withSurprise(request.body)) {
      const { status, body } = await ask(client, { ...request, body: surprising.body as Record<string, unknown> })
      t.match({ ...body, status }, { status: 400, code: 'validation_failed', errors: [{ pointer: surprising.pointer, code: 'unknown_field' }] }, `${operation.id} ${surprising.pointer}`)
    }
  }
})

t.test('a query parameter that no one knows is refused, not dropped', async (t) => {
  const tenant = await service.tenant()
  for (const operation of operations) {
    const client = await service.as(allowedCaller(operation, tenant))
    const request = ownRequestOf(operation)
    for (const query of ['surprise=1', 'surprise', 'surprise=1&surprise=2', 'Limit=1', '__proto__=1', 'tenant=demo']) {
      const { status, body } = await ask(client, { ...request, url: `${request.url}?${query}` })
      t.match({ ...body, status }, { status: 400, code: 'validation_failed', errors: [{ parameter: query.split('=')[0], code: 'unknown_field' }] }, `${operation.id}?${query}`)
    }
  }
})

t.test('an operation that takes no body refuses one', async (t) => {
  const { app, issuer } = service
  const tenant = await service.tenant()
  for (const operation of operations.filter(({ body }) => body === undefined)) {
    const { method, url } = ownRequestOf(operation)
    const authorization = `Bearer ${await issuer.tokenOf(allowedCaller(operation, tenant))}`
    for (const [type, payload] of [['application/json', '{"surprise":true}'], ['text/plain', 'surprise']] as const) {
      const reply = await app.inject({ method, url, headers: { authorization, 'content-type': type }, payload })
      t.match({ ...reply.json(), status: reply.statusCode }, { status: 400, code: 'validation_failed' }, `${operation.id} with ${type}`)
    }
  }
})

import { Ajv } from 'ajv'
import addFormats from 'ajv-formats'
import fc from 'fast-check'
import t from 'tap'
import { anything, anyText, encoded, headerText, valueOf, type Known, type Parameter, type Schema } from '../../support/fuzz.ts'
import { waitingIn } from '../../support/approvals.ts'
import { blockFor12Hours } from '../../support/limits.ts'
import { issued } from '../../support/passes.ts'
import { resetHarmlessly } from '../../support/resets.ts'
import { codeOf, testService, verifiedMethod, type Client } from '../../support/service.ts'

interface Operation {
  operationId: string
  'x-self': boolean
  parameters?: Parameter[]
  requestBody?: { content: { 'application/json': { schema: Schema } } }
  responses: Record<string, { 'x-codes'?: string[], content?: Record<string, { schema: { $ref: string } }> }>
}

const runs = process.env.LATCHKEY_LONG === '1' ? 1_500 : 250
const atOnce = 4

const service = await testService(t)
const document = service.app.swagger() as unknown as { paths: Record<string, Record<string, Operation>>, components: { schemas: Record<string, Schema> } }
const named = (ref: string) => document.components.schemas[ref.split('/').at(-1)!]!
const ajv = new Ajv({ strict: false, allErrors: true })
addFormats.default(ajv)
ajv.addSchema(document, 'document')
const fits = (ref: string, value: unknown): boolean => ajv.getSchema(`document${ref}`)!(value) as boolean

/** Everyone who may call, in a tenant of the operation's own where there is something of everything. */
async function scene (): Promise<{ callers: Client[], known: Known }> {
  const tenant = await service.tenant()
  const callers = await Promise.all([
    service.as({ tenant, subject: 'boss', roles: ['helpdesk', 'privilegedAdmin', 'policyAdmin', 'auditor'] }),
    service.as({ tenant, subject: 'ann' }),
    service.as({ tenant, subject: 'app', kind: 'app', scopes: ['users:read', 'users:write', 'challenges:write', 'contact-methods:read', 'contact-methods:write', 'contact-methods:reveal', 'audit:read', 'sign-in:read', 'mfa-resets:write'] }),
  ])
  const [boss, ann] = callers
  await boss.put('/v1/users/bob', { displayName: 'Bob', signInEmail: 'bob@example.com' })
  const { id: resetId } = await resetHarmlessly(boss, 'bob')
  await boss.put('/v1/users/gone', { displayName: 'Gone' })
  await boss.post('/v1/users/gone/offboarding')
  const penny = await service.as({ tenant, subject: 'penny', roles: ['policyAdmin'] })
  const approvals = await Promise.all([boss, penny].map(async (asker) => waitingIn(await asker.patch('/v1/policy', { retentionDays: 31 }))))
  const methods = [
    (await verifiedMethod(ann, { kind: 'mobilePhone', value: '+14155550132' })).id,
    (await verifiedMethod(ann, { kind: 'alternateEmail', value: 'ann@example.org' })).id,
    (await ann.post('/v1/users/me/contact-methods', { kind: 'officePhone', value: '+14155550144 x5' })).body.id,
    (await boss.post('/v1/users/bob/contact-methods', { kind: 'mobilePhone', value: '+14155550155' })).body.id,
  ]
  const { authenticatorId } = await issued(boss, 'ann')
  const challenge = await ann.post('/v1/challenges', { userId: 'me', purpose: 'verifyContact', methodId: methods[2] })
  await blockFor12Hours(service, tenant, '1212555')
  const numbers = ['+14155550161', '(415) 555-0162', '415-555-0163 x12', 'tel:+1-415-555-0164;ext=9', '+442079460958', '+19005550100', '911', '+1415555016']
  const emails = ['carol@example.org', 'Carol.X+y@EXAMPLE.org', 'bob@example.com', '"a b"@example.org', 'ü@example.org', 'a@[127.0.0.1]', 'a@b..c']
  return {
    callers,
    known: {
      prefix: ['1212555'], userId: ['me', 'me', 'ann', 'ann', 'bob', 'boss', 'gone', 'gone', 'nobody'], resetId: [resetId, crypto.randomUUID()], approvalId: [...approvals, crypto.randomUUID()], authenticatorId: [authenticatorId, crypto.randomUUID()], methodId: [...methods, methods[2], methods[2], crypto.randomUUID()], challengeId: [challenge.body.id, crypto.randomUUID()],
      value: [...numbers, ...emails], phone: ['allowed', ...numbers], email: emails, signInEmail: emails, to: [...numbers, ...emails], country: ['US', 'GB', 'XX'], countries: ['US', 'GB', 'XX'], purpose: ['verifyContact'], channel: ['voice', 'voice', 'sms', 'email'],
      code: [...Array<string>(20).fill(await codeOf(ann, challenge.body.id)), '000000', '12345', '1'.repeat(128)], cursor: [(await boss.get('/v1/users?limit=1')).body.nextCursor, (await boss.get('/v1/audit-events?limit=1')).body.nextCursor],
      from: ['2020-01-01T00:00:00Z', '2016-12-31T23:59:60Z'], search: ['b', '%', 'bob'], actor: ['boss', 'ann'], action: ['user.created'], waitSeconds: [0, 0.01, 11, 'Infinity'], mode: ['none', 'error'],
    },
  }
}

/** A request to an operation: fitting for the most part, and strange in some places. */
function requestsTo (path: string, { parameters = [], requestBody, 'x-self': self }: Operation, known: Known, callers: number) {
  const textOf = ({ name, schema, in: place }: Parameter) => place === 'header' ? headerText : valueOf(name === 'waitSeconds' ? {} : schema, named, known, name)
    .map((value) => name === 'waitSeconds' && !known.waitSeconds!.includes(value) ? '0' : typeof value === 'string' ? value : JSON.stringify(value))
  const part = (place: Parameter['in'], present: number) => fc.tuple(...parameters.filter((one) => one.in === place).map((one) => fc.tuple(fc.constant(one.name), textOf(one), fc.integer({ min: 0, max: 99 }).map((dice) => dice < present))))
    .map((all) => all.filter(([, , there]) => there).map(([name, text]) => [name, text] as const))
  return fc.record({
    caller: fc.oneof({ weight: 3, arbitrary: fc.constant(self ? 1 : 0) }, { weight: 2, arbitrary: fc.integer({ min: 0, max: callers - 1 }) }),
    url: fc.tuple(part('path', 100), part('query', 50), fc.oneof({ weight: 30, arbitrary: fc.constant('') }, { weight: 1, arbitrary: fc.tuple(anyText(10), fc.string()).map(([name, value]) => `${encoded(name)}=${encoded(value)}`) }))
      .map(([inPath, inQuery, surplus]) => {
        // A segment of dots is gone before it leaves any client (RFC 3986 section 5.2.4): it would be another path.
        const filled = inPath.reduce((url, [name, text]) => url.replace(`{${name}}`, () => encoded(/^\.{1,2}$/.test(text) ? `${text}-` : text)), path)
        const query = [...inQuery.map(([name, text]) => `${name}=${encoded(text)}`), ...(surplus ? [surplus] : [])].join('&')
        return query === '' ? filled : `${filled}?${query}`
      }),
    headers: part('header', 20).map((all) => Object.fromEntries(all)),
    body: requestBody === undefined ? fc.constant(undefined) : fc.oneof({ weight: 30, arbitrary: valueOf(requestBody.content['application/json'].schema, named, known) }, { weight: 1, arbitrary: anything }).map((value) => JSON.stringify(value)),
  })
}

const declaredProblem = ({ responses }: Operation, status: number, text: string, type: unknown): boolean => {
  const problem = JSON.parse(text) as { code: string, status: number }
  return String(type).startsWith('application/problem+json') && problem.status === status && (responses[status]?.['x-codes'] ?? []).includes(problem.code) && fits('#/components/schemas/Problem', problem)
}

const declaredSuccess = ({ responses }: Operation, status: number, text: string): boolean => {
  const response = responses[status]
  if (!response) return false
  const schema = response.content?.['application/json']?.schema.$ref
  if (response.content?.['application/x-ndjson']) return text.split('\n').every((line) => line === '' || fits('#/components/schemas/AuditEvent', JSON.parse(line)))
  return schema === undefined ? text === '' : fits(schema, JSON.parse(text))
}

t.test(`whatever is sent, each operation answers as it declares, and never with 5xx (${runs} requests each)`, async (t) => {
  const operations = Object.entries(document.paths).flatMap(([path, item]) => Object.entries(item).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })))
  t.ok(operations.length >= 20)
  const queue = operations.values()
  await Promise.all(Array.from({ length: atOnce }, async () => {
    for (const { path, method, operation } of queue) {
      const { callers, known } = await scene()
      const seen: Record<number, number> = {}
      const result = await fc.check(fc.asyncProperty(requestsTo(path, operation, known, callers.length), async ({ caller, url, headers, body }) => {
        const reply = await service.app.inject({
          method: method as 'GET', url, headers: { ...headers, authorization: `Bearer ${callers[caller]!.token}`, ...(body !== undefined && { 'content-type': 'application/json' }) }, ...(body !== undefined && { payload: body }),
        })
        const { statusCode: status, body: text } = reply
        seen[status] = (seen[status] ?? 0) + 1
        const declared = status < 300 || status === 304 ? declaredSuccess(operation, status, text) : status < 500 && declaredProblem(operation, status, text, reply.headers['content-type'])
        if (!declared) throw new Error(`${status} ${text}`)
      }), { numRuns: runs, endOnFailure: true })
      t.notOk(result.failed, `${operation.operationId}: ${JSON.stringify(seen)}`, result.failed ? { seed: result.seed, request: result.counterexample, error: String(result.errorInstance) } : {})
      t.ok(Object.keys(seen).some((status) => !['400', '401', '403', '404', '413', '415'].includes(status)), `${operation.operationId}: some requests got past the edge`)
    }
  }))
})

import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import t, { type Test } from 'tap'
import { makeDemoData, tenantMaker } from '../../src/dev/demo.ts'
import { systemRandom } from '../../src/platform/random.ts'
import { ask, document, operations, requestOf, type Ids, type Operation } from '../support/document.ts'
import { approve, waitingIn } from '../support/approvals.ts'
import { blockFor12Hours } from '../support/limits.ts'
import { codeOf, testService, type Answer } from '../support/service.ts'

const ajv = new Ajv2020({ strict: false, allErrors: true })
addFormats.default(ajv)
ajv.addSchema({ ...document, $id: 'latchkey' })

const pointerOf = (path: readonly string[]) => path.map((part) => `/${part.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')

function fits (t: Test, example: unknown, path: readonly string[], message: string): void {
  const matches = ajv.compile({ $ref: `latchkey#${encodeURI(pointerOf(path))}` })
  t.ok(matches(example), message, { found: example, errors: matches.errors })
}

const follow = (node: any): any => node?.$ref?.startsWith('#/') ? node.$ref.slice(2).split('/').reduce((inner: any, part: string) => inner[part], document) : node

t.test('every example fits its schema', async (t) => {
  let found = 0
  const visit = (node: unknown, path: string[]): void => {
    if (node === null || typeof node !== 'object') return
    const { schema, example, examples, $ref, type } = node as Record<string, any>
    if (schema !== undefined) {
      const shown = [...(example === undefined ? [] : [example]), ...Object.values(examples ?? {}).map((one) => follow(one).value)]
      for (const [index, one] of shown.entries()) { found++; fits(t, one, [...path, 'schema'], `${pointerOf(path)} example ${index + 1}`) }
    } else if (Array.isArray(examples) && ($ref !== undefined || type !== undefined)) {
      for (const [index, one] of examples.entries()) { found++; fits(t, one, path, `${pointerOf(path)} example ${index + 1}`) }
    }
    for (const [key, child] of Object.entries(node)) if (key !== 'example' && key !== 'examples') visit(child, [...path, key])
  }
  visit(document, [])
  t.ok(found > 400, `${found} examples were checked`)
})

t.test('the example of a problem is what the service would send', async (t) => {
  for (const [code, { value }] of Object.entries<any>(document.components.examples)) {
    t.match(value, { code, type: `/problems/${code}` })
    const declared = operations.flatMap(({ said }) => Object.entries<any>(said.responses)).filter(([, response]) => response['x-codes']?.includes(code))
    t.ok(declared.length > 0 && declared.every(([status]) => Number(status) === value.status), `${code} is declared under its own status`)
  }
})

const demoCallers: Record<string, string> = {
  reader: 'demo-reader', helpdesk: 'demo-helpdesk', privilegedAdmin: 'demo-privileged-admin', policyAdmin: 'demo-policy-admin', auditor: 'demo-auditor',
}
const generatedIds = ({ path, body }: Operation) => [...path.matchAll(/\{(methodId|authenticatorId|challengeId|approvalId|resetId|prefix)\}/g)].map(([, name]) => name!).concat(body && 'methodId' in body ? ['methodId'] : [])

/** A service with the demo data, and a way to send an operation's example as a demo user who may. */
async function demoService (t: Test) {
  const service = await testService(t)
  const tools = { keys: service.deps.keys, random: systemRandom }
  await makeDemoData(service.owner, tools, tenantMaker(service.owner, tools))
  const as = ({ self, roles }: Operation) => self
    ? service.as({ tenant: 'demo', subject: 'demo-user' })
    : service.as({ tenant: 'demo', subject: demoCallers[roles[0]!]!, roles: [roles[0] as 'reader'] })
  const run = async (operation: Operation, ids: Ids = {}): Promise<Answer> => ask(await as(operation), requestOf(operation, ids))
  return { service, run }
}

const fitsItsAnswer = (t: Test, { path, method, id, said }: Operation, { status, body, text }: Answer) => {
  t.ok(status >= 200 && status < 300, `${id} answered ${status} ${text.slice(0, 300)}`)
  t.ok(said.responses[status], `${id} declares ${status}`)
  if (body !== undefined) fits(t, body, ['paths', path, method.toLowerCase(), 'responses', String(status), 'content', 'application/json', 'schema'], `the answer of ${id} fits its schema`)
}

t.test('examples of operations without a generated id run as they stand against the demo tenant', async (t) => {
  const { run } = await demoService(t)
  const plain = operations.filter((operation) => generatedIds(operation).length === 0)
  t.ok(plain.length >= 15)
  for (const operation of plain) fitsItsAnswer(t, operation, await run(operation))
})

t.test('an operation with a generated id says which call yields it', async (t) => {
  for (const operation of operations.filter((one) => generatedIds(one).length > 0)) {
    t.match(operation.said.description, /\bcomes from (?:the list|starting it)/, operation.id)
  }
})

t.test('with the ids that those calls yield, the other examples run as well', async (t) => {
  const { service, run } = await demoService(t)
  const called = (id: string) => operations.find((operation) => operation.id === id)!
  const ids: Ids = {}
  const step = async (id: string) => {
    const answer = await run(called(id), ids)
    fitsItsAnswer(t, called(id), answer)
    return answer.body
  }
  const listed = async () => { ids.methodId = (await step('listContactMethods')).items[0].id }

  await step('addContactMethod')
  await listed()
  for (const id of ['readContactMethod', 'changeContactMethod', 'removeContactMethod']) await step(id)
  await step('addContactMethod')
  await listed()
  ids.challengeId = (await step('startChallenge')).id
  await step('readChallenge')
  const person = await service.as({ tenant: 'demo', subject: 'demo-user' })
  const verify = called('verifyChallenge')
  fitsItsAnswer(t, verify, await ask(person, { ...requestOf(verify, ids), body: { code: await codeOf(person, ids.challengeId!) } }))
  await step('chooseDefaultMethod')
  await step('issueTemporaryAccessPass')
  ids.authenticatorId = (await step('listAuthenticators')).items[0].id
  for (const id of ['readAuthenticator', 'removeAuthenticator']) await step(id)
  ids.resetId = (await step('resetUser')).id
  await step('readReset')
  const as = (subject: string, role: 'privilegedAdmin' | 'policyAdmin') => service.as({ tenant: 'demo', subject, roles: [role] })
  const policyAdmin = await as('demo-policy-admin', 'policyAdmin')
  for (const id of ['reject', 'approve']) {
    await policyAdmin.patch('/v1/policy', { retentionDays: 31 })
    ids.approvalId = (await step('listApprovals')).items[0].id
    for (const one of ['readApproval', id]) await step(one)
  }
  const asked = await (await as('demo-privileged-admin', 'privilegedAdmin')).post('/v1/users/demo-executive/authenticators/temporary-access-pass')
  ids.approvalId = waitingIn(asked)
  await approve(await as('demo-privileged-admin-2', 'privilegedAdmin'), ids.approvalId)
  await step('collectApproval')
  await blockFor12Hours(service, 'demo', '1415555')
  ids.prefix = (await step('listPrefixBlocks')).items[0].prefix
  await step('liftPrefixBlock')
})

import { randomUUID } from 'node:crypto'
import t from 'tap'
import { ruleOf, type Action, type Role } from '../../src/vocabulary.ts'
import { ask, idsIn, operations, requestOf, type Ids, type Operation } from '../support/document.ts'
import { waitingIn } from '../support/approvals.ts'
import { pendingMethod, started } from '../support/challenges.ts'
import { blockFor12Hours } from '../support/limits.ts'
import { issued } from '../support/passes.ts'
import { resetHarmlessly } from '../support/resets.ts'
import { testService, type Answer } from '../support/service.ts'

const service = await testService(t)

/** A tenant whose person has a method, a challenge and a pass, with an approval that waits and a blocked prefix; every role is held by someone. */
async function inhabitedTenant (subject: string, prefix: string) {
  const tenant = await service.tenant()
  const person = await service.as({ tenant, subject })
  await person.get('/v1/users/me')
  const { id: resetId } = await resetHarmlessly(await service.as({ tenant, subject: 'the-helpdesk', roles: ['helpdesk'] }), subject)
  const methodId = await pendingMethod(person, { kind: 'alternateEmail', value: `${subject}@example.com` })
  const { id: challengeId } = await started(person, methodId, { channel: 'email' })
  await blockFor12Hours(service, tenant, prefix)
  const administrator = (role: Role) => service.as({ tenant, subject: `the-${role}`, roles: [role] })
  const { authenticatorId } = await issued(await administrator('helpdesk'), subject)
  const approvalId = waitingIn(await (await administrator('policyAdmin')).patch('/v1/policy', { retentionDays: 31 }))
  const ids: Required<Ids> = { userId: subject, methodId, authenticatorId, challengeId, approvalId, resetId, prefix }
  const app = await service.as({ tenant, subject: 'payroll', kind: 'app', scopes: ['challenges:write', 'contact-methods:write', 'contact-methods:read', 'users:read', 'mfa-resets:write'] })
  return { tenant, ids, person, administrator, app }
}

/** All that a caller can tell answers apart by. */
function seen ({ status, body, headers }: Answer) {
  const { instance, ...rest } = body
  const { 'x-request-id': requestId, date, ...others } = headers
  return { status, body: rest, headers: others, namesItself: instance === requestId && typeof date === 'string' }
}

/** Makes a user of the caller's own tenant; whose id it is elsewhere does not matter. */
const makesItsUser = ({ id }: Operation) => id === 'putUser'

/** An app changes methods only with the user's proof, and hears of that before any method is looked up. */
const needsProof = ({ permission, id }: Operation, name: string, who: string) =>
  who === 'an app' && ((permission === 'contactMethods.write' && id !== 'addContactMethod' && name === 'methodId') || (permission === 'authenticators.write' && name === 'authenticatorId'))

/** What whoever asks about an id of another tenant hears. */
function expectedOf (operation: Operation, name: string, who: string) {
  if (who === 'an app' && operation.scope === null && ruleOf(operation.permission as Action).administrative) return { status: 403, body: { code: 'forbidden' } } // of no scope, before any id is looked at
  return needsProof(operation, name, who) ? { status: 403, body: { code: 'proof_required' } } : { status: 404, body: { code: 'not_found' } }
}

const nobodys: Required<Ids> = { userId: 'nobody-has-this-id', methodId: '0199c0de-0000-7000-8000-00000000dead', authenticatorId: '0199c0de-0000-7000-8000-00000000feed', challengeId: '0199c0de-0000-7000-8000-00000000beef', approvalId: '0199c0de-0000-7000-8000-00000000cafe', resetId: '0199c0de-0000-7000-8000-00000000face', prefix: '1999999' }

t.test('ids of another tenant are answered exactly as ids that nobody has', async (t) => {
  const here = await inhabitedTenant('ann', '1415555')
  const there = await inhabitedTenant('bob', '1415556')
  const walked = operations.filter((operation) => !makesItsUser(operation) && idsIn(operation).length > 0)
  t.ok(walked.length >= 10)

  for (const operation of walked) {
    const { self, roles } = operation
    const callers = [
      ...(self ? [['the person', here.person] as const] : []),
      ...await Promise.all(roles.map(async (role) => [role, await here.administrator(role as Role)] as const)),
      ['an app', here.app] as const,
    ]
    for (const name of idsIn(operation)) {
      for (const [who, client] of callers) {
        const about = (id: string) => ask(client, requestOf(operation, { ...here.ids, [name]: id }))
        const foreign = seen(await about(there.ids[name]))
        t.match(foreign, { ...expectedOf(operation, name, who), namesItself: true }, `${operation.id}: ${name} of another tenant, asked by ${who}`)
        t.same(seen(await about(nobodys[name])), foreign, `${operation.id}: ${name} that nobody has, asked by ${who}`)
        if (name !== 'userId' && name !== 'prefix') t.same(seen(await about(randomUUID())), foreign, 'a random one as well')
      }
    }
  }
})

t.test('an id that is in use elsewhere makes a user here and leaves the other alone', async (t) => {
  const here = await inhabitedTenant('ann', '1415555')
  const there = await inhabitedTenant('bob', '1415556')
  const before = await there.person.get('/v1/users/me')
  const made = await (await here.administrator('privilegedAdmin')).put('/v1/users/bob', { displayName: 'Bob of here', status: 'disabled' })
  t.equal(made.status, 201)
  const after = await there.person.get('/v1/users/me')
  t.same({ status: after.status, body: after.body }, { status: 200, body: before.body })
})

t.test('lists and searches hold nothing of another tenant', async (t) => {
  const here = await inhabitedTenant('ann', '1415555')
  const there = await inhabitedTenant('bob', '1415556')
  const reader = await here.administrator('reader')
  const auditor = await here.administrator('auditor')
  const answers = {
    listUsers: await reader.get('/v1/users?search=bob'),
    searchUsers: await reader.post('/v1/users/search', { email: 'bob@example.com' }),
    listAuditEvents: await auditor.get('/v1/audit-events?userId=bob'),
    listSandboxMessages: await here.person.get(`/v1/sandbox/messages?challengeId=${there.ids.challengeId}`),
  }
  for (const [id, { status, body }] of Object.entries(answers)) t.same({ status, body }, { status: 200, body: { items: [] } }, id)
  for (const { text } of [await reader.get('/v1/users'), await (await here.administrator('policyAdmin')).get('/v1/fraud/prefix-blocks'), await auditor.get('/v1/audit-events?limit=200'), await here.person.get('/v1/sandbox/messages?waitSeconds=5')]) {
    t.notMatch(text, /bob/)
    for (const id of Object.values(there.ids)) t.notOk(text.includes(id))
  }
})

t.test('a token of a tenant that is not known here is refused, whatever it asks for', async (t) => {
  const stranger = await service.as({ tenant: 'nowhere', subject: 'ann', roles: ['privilegedAdmin', 'policyAdmin', 'auditor'] })
  for (const operation of operations) {
    const { status, body } = await ask(stranger, requestOf(operation, {}))
    t.match({ ...body, status }, { status: 403, code: 'forbidden' }, operation.id)
  }
})

import t from 'tap'
import { auditOf } from '../support/answers.ts'
import { approve, waitingIn } from '../support/approvals.ts'
import { pendingMethod, started } from '../support/challenges.ts'
import { allowedCaller, ask, operations, requestOf, type Ids } from '../support/document.ts'
import { blockFor12Hours, countWrongCodes } from '../support/limits.ts'
import { issued } from '../support/passes.ts'
import { codeOf, moveClock, testService, verifiedMethod, type Client, type TestService } from '../support/service.ts'

/** Searches are a POST so that what is looked for gets into no log; they change nothing. */
const changesNothing = ['searchUsers']
const changing = operations.filter(({ id, method }) => method !== 'GET' && !changesNothing.includes(id))

const email = { kind: 'alternateEmail', value: 'ann@example.com' }
const phone = { kind: 'mobilePhone', value: '+1 415 555 0132' }

/** What must be there first, and what the example needs of it. */
const before: Record<string, (person: Client, service: TestService, tenant: string) => Promise<{ ids?: Ids, body?: object }>> = {
  changeContactMethod: async (person) => ({ ids: { methodId: await pendingMethod(person, email) } }),
  removeContactMethod: async (person) => ({ ids: { methodId: await pendingMethod(person, email) } }),
  chooseDefaultMethod: async (person) => {
    await verifiedMethod(person, phone) // the first one is the default already
    return { ids: { methodId: (await verifiedMethod(person, { kind: 'alternatePhone', value: '+1 415 555 0144' })).id } }
  },
  startChallenge: async (person) => ({ ids: { methodId: await pendingMethod(person, phone) } }),
  verifyChallenge: async (person) => {
    const { id } = await started(person, await pendingMethod(person, phone))
    return { ids: { challengeId: id }, body: { code: await codeOf(person, id) } }
  },
  resendChallenge: async (person) => {
    const { id } = await started(person, await pendingMethod(person, phone))
    await moveClock(person, 31)
    return { ids: { challengeId: id } }
  },
  cancelChallenge: async (person) => ({ ids: { challengeId: (await started(person, await pendingMethod(person, phone))).id } }),
  removeAuthenticator: async (person, service, tenant) => {
    await person.get('/v1/users/me')
    return { ids: { authenticatorId: (await issued(await service.as({ tenant, subject: 'hans', roles: ['helpdesk'] }), 'ann')).authenticatorId } }
  },
  issueTemporaryAccessPass: async (_person, service, tenant) => {
    await (await service.as({ tenant, subject: 'demo-user' })).get('/v1/users/me')
    return {}
  },
  liftLockout: async (_person, service, tenant) => {
    await (await service.as({ tenant, subject: 'demo-user' })).get('/v1/users/me')
    await countWrongCodes(service, tenant, 'demo-user', { inARow: 10, lockedSeconds: 900 })
    return {}
  },
  resetUser: async (_person, service, tenant) => {
    await (await service.as({ tenant, subject: 'demo-user' })).get('/v1/users/me')
    return {}
  },
  offboardUser: async (_person, service, tenant) => {
    await (await service.as({ tenant, subject: 'demo-user' })).get('/v1/users/me')
    return {}
  },
  undoOffboarding: async (person, service, tenant) => {
    await (await service.as({ tenant, subject: 'demo-user' })).get('/v1/users/me')
    await person.post('/v1/users/demo-user/offboarding')
    return {}
  },
  clearPrivilege: async (person) => {
    await person.put('/v1/users/demo-user', { privileged: true })
    return {}
  },
  approve: async (_person, service, tenant) => ({ ids: { approvalId: await weakerPolicy(service, tenant) } }),
  reject: async (_person, service, tenant) => ({ ids: { approvalId: await weakerPolicy(service, tenant) } }),
  collectApproval: async (person, service, tenant) => {
    await person.put('/v1/users/demo-user', { privileged: true })
    const approvalId = waitingIn(await person.post('/v1/users/demo-user/authenticators/temporary-access-pass'))
    await approve(await service.as({ tenant, subject: 'paul', roles: ['privilegedAdmin'] }), approvalId)
    return { ids: { approvalId } }
  },
  liftPrefixBlock: async (_person, service, tenant) => {
    await blockFor12Hours(service, tenant, '1415555')
    return {}
  },
}

const weakerPolicy = async (service: TestService, tenant: string) =>
  waitingIn(await (await service.as({ tenant, subject: 'pia', roles: ['policyAdmin'] })).patch('/v1/policy', { retentionDays: 31 }))

interface Trace { action: string, userId: string | null }

/** The row that each change leaves: what it is called, and about whom it is. Newest first where there are two. */
const traces: Record<string, Trace | Trace[]> = {
  putUser: { action: 'user.created', userId: 'demo-user' },
  addContactMethod: { action: 'contactMethod.added', userId: 'ann' },
  changeContactMethod: { action: 'contactMethod.changed', userId: 'ann' },
  removeContactMethod: { action: 'contactMethod.removed', userId: 'ann' },
  chooseDefaultMethod: { action: 'defaultMethod.chosen', userId: 'ann' },
  removeAuthenticator: { action: 'pass.voided', userId: 'ann' },
  issueTemporaryAccessPass: { action: 'pass.issued', userId: 'demo-user' },
  startChallenge: { action: 'challenge.started', userId: 'ann' },
  verifyChallenge: { action: 'contactMethod.verified', userId: 'ann' },
  resendChallenge: { action: 'challenge.resent', userId: 'ann' },
  cancelChallenge: { action: 'challenge.canceled', userId: 'ann' },
  liftLockout: { action: 'lockout.lifted', userId: 'demo-user' },
  revokeSessions: { action: 'sessions.revoked', userId: 'ann' },
  resetUser: { action: 'mfa.reset', userId: 'demo-user' },
  offboardUser: { action: 'user.offboarded', userId: 'demo-user' },
  undoOffboarding: { action: 'user.offboardingUndone', userId: 'demo-user' },
  clearPrivilege: { action: 'approval.requested', userId: 'demo-user' },
  approve: { action: 'approval.approved', userId: null },
  reject: { action: 'approval.rejected', userId: null },
  collectApproval: [{ action: 'approval.collected', userId: 'demo-user' }, { action: 'pass.issued', userId: 'demo-user' }],
  liftPrefixBlock: { action: 'prefixBlock.lifted', userId: null },
  changeOrganization: { action: 'organization.changed', userId: null },
  changePolicy: { action: 'policy.changed', userId: null },
  moveSandboxClock: { action: 'sandbox.clockMoved', userId: null },
  setSandboxFault: { action: 'sandbox.faultSet', userId: null },
}

/** The first call of a person makes their user, whatever it asks for. */
const ofTheFirstCall = ['user.created', 'user.markedPrivileged']

t.test('every changing operation is known here', async (t) => {
  t.same(Object.keys(traces).toSorted(), changing.map(({ id }) => id).toSorted())
})

t.test('every change leaves its audit row, with who did it and the request', async (t) => {
  const service = await testService(t)
  for (const operation of changing) {
    await t.test(operation.id, async (t) => {
      const tenant = await service.tenant()
      const caller = allowedCaller(operation, tenant)
      const client = await service.as(caller)
      const { ids = {}, body } = await before[operation.id]?.(client, service, tenant) ?? {}
      const request = requestOf(operation, { ...(operation.self && { userId: 'me' }), ...ids })
      const answer = await ask(client, { ...request, ...(body && { body: body as Record<string, unknown> }) })
      t.ok(answer.status >= 200 && answer.status < 300, `${answer.status} ${answer.text.slice(0, 200)}`)

      const rows = (await auditOf(service, tenant)).filter(({ requestId, outcome }) => requestId === answer.headers['x-request-id'] && outcome === 'done')
      // What was approved is done in the name of whoever asked for it.
      const about = rows.filter(({ action, userId, actor }) => (!ofTheFirstCall.includes(action) || userId !== caller.subject) && actor.id === caller.subject)
      t.same(about.map(({ action, userId, actor }) => ({ action, userId, actor })), [traces[operation.id]!].flat().map((trace) => ({ ...trace, actor: { kind: 'person', id: caller.subject } })))
    })
  }
})

/** These only look, and take so much away that it is written down; their own tests see the row. */
const handingOut = ['exportAuditEvents', 'exportUser']

t.test('what is refused, and what only looks, leaves no row of a change', async (t) => {
  const service = await testService(t)
  for (const operation of operations.filter(({ id }) => !handingOut.includes(id))) {
    const tenant = await service.tenant()
    const client = await service.as(allowedCaller(operation, tenant))
    const request = requestOf(operation, operation.self ? { userId: 'me' } : {})
    const answer = operation.method === 'GET' || changesNothing.includes(operation.id)
      ? await ask(client, request)
      : await ask(client, { ...request, body: { surprise: true } })
    const rows = (await auditOf(service, tenant)).filter(({ requestId, outcome, action }) => requestId === answer.headers['x-request-id'] && outcome === 'done' && !ofTheFirstCall.includes(action))
    t.same(rows, [], `${operation.id} (${answer.status})`)
  }
})

import t from 'tap'
import { seedUser } from '../../src/features/users/users.ts'
import { roles as allRoles, scopes as allScopes, type Role, type Scope } from '../../src/vocabulary.ts'
import { ask, idsIn, operations, requestOf, type Ids, type Operation } from '../support/document.ts'
import { waitingIn } from '../support/approvals.ts'
import { pendingMethod, started } from '../support/challenges.ts'
import { blockFor12Hours } from '../support/limits.ts'
import { issued } from '../support/passes.ts'
import { resetHarmlessly } from '../support/resets.ts'
import { testService } from '../support/service.ts'
import type { Caller } from '../support/tokens.ts'

const service = await testService(t)

interface Right {
  permission: string
  roles: Role[]
  scope: Scope | null
  /** Everyone may do it to themself. */
  self: boolean
  /** What someone without the right hears about anyone else. */
  others: 403 | 404 | 'welcome'
}

const readers: Role[] = ['reader', 'helpdesk', 'privilegedAdmin']
const helpers: Role[] = ['helpdesk', 'privilegedAdmin']
const askers: Role[] = ['privilegedAdmin', 'policyAdmin']
const settings: Role[] = ['reader', 'helpdesk', 'privilegedAdmin', 'policyAdmin']

/** Written by hand from the contract: who may do what, and what the others hear. */
const rights: Record<string, Right> = {
  putUser: { permission: 'users.write', roles: ['privilegedAdmin'], scope: 'users:write', self: false, others: 403 },
  readUser: { permission: 'users.read', roles: readers, scope: 'users:read', self: true, others: 404 },
  listUsers: { permission: 'users.search', roles: readers, scope: 'users:read', self: false, others: 403 },
  searchUsers: { permission: 'users.search', roles: readers, scope: 'users:read', self: false, others: 403 },
  listContactMethods: { permission: 'contactMethods.read', roles: readers, scope: 'contact-methods:read', self: true, others: 404 },
  readContactMethod: { permission: 'contactMethods.read', roles: readers, scope: 'contact-methods:read', self: true, others: 404 },
  addContactMethod: { permission: 'contactMethods.write', roles: helpers, scope: 'contact-methods:write', self: true, others: 404 },
  changeContactMethod: { permission: 'contactMethods.write', roles: helpers, scope: 'contact-methods:write', self: true, others: 404 },
  removeContactMethod: { permission: 'contactMethods.write', roles: helpers, scope: 'contact-methods:write', self: true, others: 404 },
  chooseDefaultMethod: { permission: 'contactMethods.write', roles: helpers, scope: 'contact-methods:write', self: true, others: 404 },
  listAuthenticators: { permission: 'authenticators.read', roles: readers, scope: 'contact-methods:read', self: true, others: 404 },
  readAuthenticator: { permission: 'authenticators.read', roles: readers, scope: 'contact-methods:read', self: true, others: 404 },
  removeAuthenticator: { permission: 'authenticators.write', roles: helpers, scope: 'contact-methods:write', self: true, others: 404 },
  issueTemporaryAccessPass: { permission: 'passes.issue', roles: helpers, scope: null, self: false, others: 403 },
  startChallenge: { permission: 'challenges.start', roles: [], scope: 'challenges:write', self: true, others: 404 },
  readChallenge: { permission: 'challenges.use', roles: [], scope: 'challenges:write', self: true, others: 404 },
  verifyChallenge: { permission: 'challenges.use', roles: [], scope: 'challenges:write', self: true, others: 404 },
  resendChallenge: { permission: 'challenges.use', roles: [], scope: 'challenges:write', self: true, others: 404 },
  cancelChallenge: { permission: 'challenges.use', roles: [], scope: 'challenges:write', self: true, others: 404 },
  readSignInRequirements: { permission: 'signIn.read', roles: readers, scope: 'sign-in:read', self: true, others: 404 },
  readLockout: { permission: 'lockout.read', roles: readers, scope: 'sign-in:read', self: true, others: 404 },
  liftLockout: { permission: 'lockout.lift', roles: helpers, scope: null, self: false, others: 403 },
  revokeSessions: { permission: 'sessions.revoke', roles: helpers, scope: 'mfa-resets:write', self: true, others: 404 },
  listPrefixBlocks: { permission: 'fraud.read', roles: ['policyAdmin'], scope: null, self: false, others: 403 },
  liftPrefixBlock: { permission: 'fraud.write', roles: ['policyAdmin'], scope: null, self: false, others: 403 },
  readOrganization: { permission: 'organization.read', roles: settings, scope: null, self: false, others: 403 },
  changeOrganization: { permission: 'organization.write', roles: ['policyAdmin'], scope: null, self: false, others: 403 },
  readPolicy: { permission: 'policy.read', roles: settings, scope: null, self: false, others: 403 },
  changePolicy: { permission: 'policy.write', roles: ['policyAdmin'], scope: null, self: false, others: 403 },
  resetUser: { permission: 'mfaResets.create', roles: helpers, scope: 'mfa-resets:write', self: false, others: 403 },
  listResets: { permission: 'mfaResets.read', roles: readers, scope: 'mfa-resets:write', self: true, others: 404 },
  readReset: { permission: 'mfaResets.read', roles: readers, scope: 'mfa-resets:write', self: true, others: 404 },
  offboardUser: { permission: 'offboarding.write', roles: ['privilegedAdmin'], scope: null, self: false, others: 403 },
  readOffboarding: { permission: 'offboarding.read', roles: readers, scope: null, self: false, others: 403 },
  undoOffboarding: { permission: 'offboarding.write', roles: ['privilegedAdmin'], scope: null, self: false, others: 403 },
  readAllowedActions: { permission: 'allowedActions.read', roles: readers, scope: 'users:read', self: true, others: 404 },
  readTimeline: { permission: 'timeline.read', roles: readers, scope: null, self: true, others: 404 },
  exportUser: { permission: 'users.export', roles: ['privilegedAdmin'], scope: null, self: true, others: 404 },
  clearPrivilege: { permission: 'users.clearPrivilege', roles: ['privilegedAdmin'], scope: null, self: false, others: 403 },
  listApprovals: { permission: 'approvals.read', roles: askers, scope: null, self: false, others: 403 },
  readApproval: { permission: 'approvals.read', roles: askers, scope: null, self: false, others: 403 },
  approve: { permission: 'approvals.approve', roles: ['privilegedAdmin'], scope: null, self: false, others: 403 },
  reject: { permission: 'approvals.reject', roles: askers, scope: null, self: false, others: 403 },
  collectApproval: { permission: 'approvals.collect', roles: askers, scope: null, self: false, others: 403 },
  listAuditEvents: { permission: 'audit.read', roles: ['auditor'], scope: 'audit:read', self: false, others: 403 },
  exportAuditEvents: { permission: 'audit.read', roles: ['auditor'], scope: 'audit:read', self: false, others: 403 },
  verifyAuditEvents: { permission: 'audit.read', roles: ['auditor'], scope: 'audit:read', self: false, others: 403 },
  listSandboxMessages: { permission: 'sandbox.use', roles: [...allRoles], scope: null, self: true, others: 'welcome' },
  readSandboxClock: { permission: 'sandbox.use', roles: [...allRoles], scope: null, self: true, others: 'welcome' },
  moveSandboxClock: { permission: 'sandbox.use', roles: [...allRoles], scope: null, self: true, others: 'welcome' },
  setSandboxFault: { permission: 'sandbox.use', roles: [...allRoles], scope: null, self: true, others: 'welcome' },
}

/** A challenge belongs to who started it: to anyone else it is not there, whatever their role or scope. */
const startersOnly = (operation: Operation) => idsIn(operation).includes('challengeId')

/** What is there once someone has left. */
const aboutWhoLeft = ['readOffboarding', 'undoOffboarding']

/** An approval is there for whoever asked for it and for privileged administrators; what it gave, for the former alone. */
const isHidden = (operation: Operation, caller: Caller) =>
  idsIn(operation).includes('approvalId') && (operation.id === 'collectApproval' || !caller.roles?.includes('privilegedAdmin'))

t.test('the document says who may, as the contract does', async (t) => {
  t.same(Object.fromEntries(operations.map(({ id, permission, roles, scope, self }) => [id, { permission, roles, scope, self }])),
    Object.fromEntries(Object.entries(rights).map(([id, { others: _others, ...right }]) => [id, right])))
})

t.test('without a token every operation is a 401 that says how to authenticate', async (t) => {
  for (const operation of operations) {
    const { method, url, body } = requestOf(operation, {})
    for (const [authorization, code, challenge] of [
      [undefined, 'unauthenticated', /^Bearer realm="latchkey"$/], ['Basic bGF0Y2g6a2V5', 'unauthenticated', /^Bearer realm="latchkey"$/],
      ['Bearer not.a.token', 'invalid_token', /^Bearer realm="latchkey", error="invalid_token"/],
    ] as const) {
      const reply = await service.app.inject({ method, url, ...(body && { payload: body }), ...(authorization && { headers: { authorization } }) })
      t.match({ ...reply.json(), media: reply.headers['content-type'], challenge: reply.headers['www-authenticate'] },
        { status: 401, code, type: `/problems/${code}`, instance: reply.headers['x-request-id'], media: /^application\/problem\+json/, challenge }, `${operation.id} with ${authorization}`)
      t.equal(reply.statusCode, 401)
    }
  }
})

/** Someone with a method that waits for its code, a challenge for it and a pass, in a tenant with a blocked prefix and an approval that waits. */
async function someone (tenant: string, subject: string): Promise<Required<Ids>> {
  const person = await service.as({ tenant, subject })
  await person.get('/v1/users/me')
  const { id: resetId } = await resetHarmlessly(await service.as({ tenant, subject: 'the-issuer', roles: ['helpdesk'] }), subject)
  const methodId = await pendingMethod(person, { kind: 'alternateEmail', value: `${subject}@example.com` })
  const prefix = '1415555'
  await blockFor12Hours(service, tenant, prefix)
  const { authenticatorId } = await issued(await service.as({ tenant, subject: 'the-issuer', roles: ['helpdesk'] }), subject)
  const approvalId = waitingIn(await (await service.as({ tenant, subject: 'the-asker', roles: ['policyAdmin'] })).patch('/v1/policy', { retentionDays: 31 }))
  return { prefix, authenticatorId, approvalId, resetId, userId: subject, methodId, challengeId: (await started(person, methodId, { channel: 'email' })).id }
}

const callers = (tenant: string, operation: string): (Caller & { name: string })[] => [
  ...allRoles.map((role): Caller & { name: string } => ({ name: `a person with the role ${role}`, tenant, subject: `${role}-${operation}`, roles: [role] })),
  { name: 'an app without a scope', tenant, subject: `app-${operation}`, kind: 'app' },
  ...allScopes.map((scope): Caller & { name: string } => ({ name: `an app with the scope ${scope}`, tenant, subject: `app-${operation}`, kind: 'app', scopes: [scope] })),
]

const hasRight = ({ scope, roles }: Right, caller: Caller) =>
  caller.kind === 'app' ? scope !== null && caller.scopes?.includes(scope) === true : caller.roles!.some((role) => roles.includes(role))

t.test('by role and scope, about someone else', async (t) => {
  for (const operation of operations) {
    await t.test(operation.id, async (t) => {
      const right = rights[operation.id]!
      const tenant = await service.tenant()
      const target = await someone(tenant, 'target')
      for (const caller of callers(tenant, operation.id)) {
        const mayIt = hasRight(right, caller)
        const allowed = mayIt && !startersOnly(operation) && !isHidden(operation, caller)
        // What is allowed may change the target: each has their own.
        const request = requestOf(operation, allowed ? await someone(tenant, `target-of-${caller.name.replaceAll(/[^A-Za-z]/g, '-')}`) : target)
        if (allowed && aboutWhoLeft.includes(operation.id)) await (await service.as({ tenant, subject: 'the-leaver', roles: ['privilegedAdmin'] })).post(request.url)
        const { status, body } = await ask(await service.as(caller), request)
        if (right.others === 'welcome') t.equal(status, 200, `${caller.name} is welcome`)
        else if (allowed) t.notOk([401, 404].includes(status) || body?.code === 'forbidden', `${caller.name} may (${status} ${body?.code})`)
        else if (right.others === 403 && !mayIt) t.match({ ...body, status }, { status: 403, code: 'forbidden', rule: caller.kind === 'app' ? 'scope' : 'role' }, `${caller.name} hears 403`)
        else t.match({ ...body, status }, { status: 404, code: 'not_found' }, `${caller.name} hears 404`)
      }
    })
  }
})

const anotherEmail = { kind: 'alternateEmail', value: 'another@example.com' }

t.test('everyone may do to themself what the contract allows to everyone', async (t) => {
  const tenant = await service.tenant()
  for (const role of allRoles) {
    const ids = await someone(tenant, `self-${role}`)
    const signIn = () => service.as({ tenant, subject: ids.userId, roles: [role] })
    let person = await signIn()
    for (const operation of operations.filter(({ id }) => rights[id]!.self)) {
      const { status, body } = await ask(person, requestOf(operation, { ...ids, userId: 'me' }))
      t.notOk([401, 403, 404].includes(status), `${role} ${operation.id} answered ${status} ${body?.code}`)
      if (operation.id === 'revokeSessions') person = await signIn()
      if (operation.id === 'removeContactMethod') Object.assign(ids, { methodId: await pendingMethod(person, anotherEmail) })
    }
  }
})

t.test('an app that started a challenge may use it', async (t) => {
  const tenant = await service.tenant()
  await service.owner.inTenant(await service.tenantIdOf(tenant), (tx) =>
    seedUser({ keys: service.deps.keys, random: service.deps.random }, tx, { kind: 'system', subject: 'test', requestId: null }, { userId: 'ann', display_name: 'Ann', locale: 'en', privileged: false }))
  const methodId = await pendingMethod(await service.as({ tenant, subject: 'ann' }), anotherEmail)
  const app = await service.as({ tenant, subject: 'payroll', kind: 'app', scopes: ['challenges:write'] })
  const { id } = await started(app, methodId, { userId: 'ann' })
  t.equal((await app.get(`/v1/challenges/${id}`)).status, 200)
  t.match((await app.post(`/v1/challenges/${id}/verify`, { code: 'x' })).body, { code: 'malformed_code' }, 'its code is judged')
})

import t from 'tap'
import { auditOf, isRefused } from '../../support/answers.ts'
import { testService } from '../../support/service.ts'

const service = await testService(t)

async function ann () {
  const tenant = await service.tenant()
  const directory = await service.as({ tenant, subject: 'directory', kind: 'app', scopes: ['users:write'] })
  await directory.put('/v1/users/ann', { displayName: 'Ann', signInEmail: 'ann.smith@example.com' })
  return { tenant, ann: await service.as({ tenant, subject: 'ann' }), directory }
}

t.test('the sign-in e-mail is in full for the person with a second factor at most 12 h old, masked for everyone else', async (t) => {
  const { tenant } = await ann()
  const masked = { userId: 'ann', displayName: 'Ann', signInEmail: null, signInEmailDisplay: 'a•••@example.com' }
  const full = { ...masked, signInEmail: 'ann.smith@example.com' }
  const callers = [
    { subject: 'ann', sees: full }, { subject: 'ann', authSecondsAgo: 12 * 3600 + 5, sees: masked }, { subject: 'ann', amr: ['pwd'], sees: masked },
    { subject: 'rita', roles: ['reader' as const], sees: masked }, { subject: 'petra', roles: ['privilegedAdmin' as const], sees: masked },
    { subject: 'crm', kind: 'app' as const, scopes: ['users:read' as const], sees: masked },
  ]
  for (const { sees, ...caller } of callers) t.match((await (await service.as({ tenant, ...caller })).get('/v1/users/ann')).body, sees, JSON.stringify(caller))
})

t.test('me is the person of the token, made by their first call; an app has none', async (t) => {
  const tenant = await service.tenant()
  const person = await service.as({ tenant, subject: 'ben' })
  t.match(await person.get('/v1/users/me'), { status: 200, body: { userId: 'ben', displayName: null, privileged: false, status: 'active', version: 1 } })
  t.match(await auditOf(service, tenant, 'userId=ben'), [{ action: 'user.created', actor: { kind: 'person', id: 'ben' }, details: { by: 'firstCall' } }])
  const app = await service.as({ tenant, subject: 'crm', kind: 'app', scopes: ['users:read'] })
  isRefused(t, await app.get('/v1/users/me'), 'validation_failed', { parameter: 'userId' })
  isRefused(t, await app.get('/v1/users/crm'), 'not_found', {}, 'an app\'s call makes no user')
})

t.test('a reveal is for contact-methods:reveal and a privileged administrator, fresh, and audited', async (t) => {
  const { tenant } = await ann()
  const petra = await service.as({ tenant, subject: 'petra', roles: ['privilegedAdmin'] })
  const app = await service.as({ tenant, subject: 'crm', kind: 'app', scopes: ['users:read', 'contact-methods:reveal'] })
  for (const client of [petra, app]) t.match((await client.get('/v1/users/ann?reveal=true')).body, { signInEmail: 'ann.smith@example.com' })
  t.match(await auditOf(service, tenant, 'action=user.revealed'), [{ actor: { id: 'crm' }, userId: 'ann' }, { actor: { id: 'petra' }, userId: 'ann' }])
  for (const caller of [{ subject: 'rita', roles: ['reader' as const] }, { subject: 'hans', roles: ['helpdesk' as const] }, { subject: 'hr', kind: 'app' as const, scopes: ['users:read' as const] }]) {
    isRefused(t, await (await service.as({ tenant, ...caller })).get('/v1/users/ann?reveal=true'), 'forbidden', { rule: 'reveal' }, caller.subject)
  }
  const stale = await service.as({ tenant, subject: 'petra', roles: ['privilegedAdmin'], authSecondsAgo: 601 })
  isRefused(t, await stale.get('/v1/users/ann?reveal=true'), 'insufficient_user_authentication')
  t.equal((await auditOf(service, tenant, 'action=user.revealed')).length, 2)
})

t.test('who may not read others gets the same 404 for a user who is there and one who is not', async (t) => {
  const { tenant } = await ann()
  for (const caller of [{ subject: 'ben' }, { subject: 'pia', roles: ['policyAdmin' as const] }, { subject: 'audrey', roles: ['auditor' as const] }, { subject: 'crm', kind: 'app' as const, scopes: ['challenges:write' as const] }]) {
    const client = await service.as({ tenant, ...caller })
    const answers = [await client.get('/v1/users/ann'), await client.get('/v1/users/nobody')]
    for (const answer of answers) isRefused(t, answer, 'not_found', {}, caller.subject)
    const [there, not] = answers.map(({ body, headers }) => ({ body: { ...body, instance: '' }, headers: { ...headers, 'x-request-id': '', date: '' } }))
    t.same(there, not)
  }
})

t.test('If-None-Match with the version that stands is 304, for every caller', async (t) => {
  const { tenant, ann: person, directory } = await ann()
  const reader = await service.as({ tenant, subject: 'rita', roles: ['reader'] })
  for (const client of [person, reader]) {
    const { headers } = await client.get('/v1/users/ann')
    t.match(await client.get('/v1/users/ann', { 'if-none-match': headers.etag as string }), { status: 304, text: '' })
  }
  await directory.put('/v1/users/ann', { locale: 'fr' })
  t.match(await reader.get('/v1/users/ann', { 'if-none-match': '"1"' }), { status: 200, headers: { etag: '"2"' } })
})

import t from 'tap'
import { claimsOf, headerOf, seconds, sign } from '../../support/forge.ts'
import { clientOf, testService, type Client, type TestService } from '../../support/service.ts'

const service = await testService(t)

interface Operation { method: string, path: string }

/** Every `/v1` operation of the document, with ids put in. */
function operationsOf (service: TestService): Operation[] {
  const ids: Record<string, string> = { userId: 'me', methodId: crypto.randomUUID(), challengeId: crypto.randomUUID() }
  return Object.entries(service.app.swagger().paths ?? {}).filter(([path]) => path.startsWith('/v1')).flatMap(([path, item]) =>
    Object.keys(item).map((method) => ({ method: method.toUpperCase(), path: path.replace(/\{(\w+)\}/g, (_all, name: string) => ids[name]!) })))
}

const call = async (service: TestService, { method, path }: Operation, token: string) => {
  const reply = await service.app.inject({ method: method as 'GET', url: path, headers: { authorization: `Bearer ${token}` } })
  return { status: reply.statusCode, code: reply.body === '' ? undefined : reply.json<{ code?: string }>().code, challenge: reply.headers['www-authenticate'] }
}

const setUser = async (service: TestService, tenant: string, userId: string, set: object) => {
  const tenantId = await service.tenantIdOf(tenant)
  await service.owner.inTenant(tenantId, (tx) => tx.db.updateTable('users').set(set).where('tenant_id', '=', tenantId).where('user_id', '=', userId).execute())
}

const rowOf = async (service: TestService, tenant: string, userId: string) => {
  const tenantId = await service.tenantIdOf(tenant)
  return service.owner.inTenant(tenantId, (tx) => tx.db.selectFrom('users').selectAll().where('tenant_id', '=', tenantId).where('user_id', '=', userId).executeTakeFirst())
}

const auditOf = async (service: TestService, tenant: string): Promise<Array<{ action: string, userId: string | null, actor: { id: string }, details: object }>> => {
  const auditor = await service.as({ tenant, subject: 'auditor', roles: ['auditor'] })
  return (await auditor.get('/v1/audit-events?limit=200')).body.items
}

t.test('whoever is disabled, off-boarded or signed out is 401 at once, on every route', async (t) => {
  const operations = [...operationsOf(service), { method: 'GET', path: '/v1/users/someone-else/contact-methods' }, { method: 'GET', path: '/v1/users/me/contact-methods?reveal=true' }]
  t.ok(operations.length > 15)
  const ways: Record<string, () => object> = {
    disabled: () => ({ status: 'disabled' }),
    offboarded: () => ({ status: 'offboarded' }),
    'signed out a second after signing in': () => ({ sessions_valid_from: new Date(Date.now() + 1_000) }),
  }
  for (const roles of [[], ['helpdesk', 'privilegedAdmin', 'policyAdmin', 'auditor']] as const) {
    for (const [name, set] of Object.entries(ways)) {
      const tenant = await service.tenant()
      const { token, get } = await service.as({ tenant, subject: 'ann', roles })
      t.equal((await get('/v1/users/me/contact-methods')).status, 200, 'remembered, and welcome so far')
      await setUser(service, tenant, 'ann', set())
      for (const operation of operations) {
        const { status, code, challenge } = await call(service, operation, token)
        t.match({ status, code }, { status: 401, code: 'invalid_token' }, `${name}, ${roles.length} roles: ${operation.method} ${operation.path}`)
        t.match(challenge, /error="invalid_token"/)
      }
    }
  }
})

t.test('sessionsValidFrom counts whole seconds, and lets in who signed in since', async (t) => {
  const tenant = await service.tenant()
  const signedIn = seconds() - 100
  const claims = { ...claimsOf(service.issuer, tenant, 'ann'), auth_time: signedIn, iat: seconds() }
  const { auth_time: _at, ...withoutAuthTime } = { ...claims, iat: signedIn }
  for (const [name, body] of Object.entries({ 'by auth_time': claims, 'by iat where there is no auth_time': withoutAuthTime })) {
    const client = clientOf(service, await sign(service.issuer.privateKey, headerOf(service.issuer), body))
    for (const [from, status] of [[signedIn * 1000 + 999, 200], [signedIn * 1000 + 1_000, 401], [signedIn * 1000 - 1, 200]] as const) {
      await client.get('/v1/users/me')
      await setUser(service, tenant, 'ann', { sessions_valid_from: new Date(from) })
      t.equal((await client.get('/v1/users/me')).status, status, `${name}, ${from % 1000} ms`)
      t.equal((await client.get('/v1/users/me/contact-methods')).status, status, `${name}, ${from % 1000} ms, the hot list`)
      await setUser(service, tenant, 'ann', { sessions_valid_from: null })
    }
  }
})

t.test('a token with an administrator\'s role must be young; a plain person\'s may be old', async (t) => {
  const service = await testService(t, { adminTokenMaxSeconds: 300 })
  const tenant = await service.tenant()
  const aged = async (subject: string, ageSeconds: number, roles: string[]) =>
    clientOf(service, await sign(service.issuer.privateKey, headerOf(service.issuer), { ...claimsOf(service.issuer, tenant, subject), roles, iat: seconds() - ageSeconds }))
  for (const role of ['helpdesk', 'privilegedAdmin', 'policyAdmin', 'auditor']) {
    for (const path of ['/v1/users/me', '/v1/users/me/contact-methods']) {
      t.match(await (await aged(`old-${role}`, 302, ['user', role])).get(path), { status: 401, body: { code: 'invalid_token' } }, `${role}: ${path}`)
      t.equal((await (await aged(`young-${role}`, 290, ['user', role])).get(path)).status, 200, `${role}: ${path}`)
    }
    t.equal(await rowOf(service, tenant, `old-${role}`), undefined, 'a refused token makes nobody')
  }
  for (const roles of [[], ['user'], ['reader']]) t.equal((await (await aged('plain', 3_500, roles)).get('/v1/users/me')).status, 200, roles.join())
})

t.test('a person\'s first call makes their row, whichever call it is', async (t) => {
  const tenant = await service.tenant()
  const first: Record<string, (client: Client) => Promise<unknown>> = {
    own: (client) => client.get('/v1/users/me'),
    hot: (client) => client.get('/v1/users/me/contact-methods'),
    refused: (client) => client.get('/v1/policy'),
    hidden: (client) => client.get('/v1/users/someone/contact-methods'),
  }
  for (const [name, request] of Object.entries(first)) {
    const client = await service.as({ tenant, subject: `first-${name}` })
    await Promise.all(Array.from({ length: 4 }, () => request(client)))
    t.match(await rowOf(service, tenant, `first-${name}`), { status: 'active', privileged: false, version: 1 }, name)
  }
  const made = (await auditOf(service, tenant)).filter(({ action, userId }) => action === 'user.created' && userId?.startsWith('first-'))
  t.strictSame(made.map(({ userId }) => `${userId}`).toSorted(), Object.keys(first).map((name) => `first-${name}`).toSorted(), 'each was made and written down once')
  t.equal((await (await service.as({ tenant, subject: 'app', kind: 'app', scopes: ['users:read'] })).get('/v1/users/app')).status, 404, 'an app is nobody\'s user')
})

t.test('whoever uses an administrator\'s role is marked privileged, once, and it is written down', async (t) => {
  const tenant = await service.tenant()
  for (const path of ['/v1/users/me', '/v1/users/me/contact-methods']) {
    for (const role of ['helpdesk', 'privilegedAdmin', 'policyAdmin', 'auditor'] as const) {
      const subject = `${role}-${path.length}`
      await (await service.as({ tenant, subject })).get(path)
      t.equal((await rowOf(service, tenant, subject))?.privileged, false)
      const client = await service.as({ tenant, subject, roles: [role] })
      await Promise.all([client.get(path), client.get(path), client.get(path)])
      t.match(await rowOf(service, tenant, subject), { privileged: true, version: 2 }, `${subject}: the mark is made once`)
    }
  }
  for (const subject of ['reader', 'plain']) {
    await (await service.as({ tenant, subject, roles: subject === 'reader' ? ['reader'] : [] })).get('/v1/users/me')
    t.equal((await rowOf(service, tenant, subject))?.privileged, false)
  }
  const marks = (await auditOf(service, tenant)).filter(({ action, userId }) => action === 'user.markedPrivileged' && userId !== 'auditor')
  t.equal(marks.length, 8)
  t.ok(marks.every(({ actor, userId }) => actor.id === userId))
})

t.test('an app has no roles, even if its token carries some; its scopes decide', async (t) => {
  const tenant = await service.tenant()
  await (await service.as({ tenant, subject: 'ann' })).get('/v1/users/me')
  const withRoles = clientOf(service, await service.issuer.tokenOf({ tenant, subject: 'app', kind: 'app' }, { roles: ['privilegedAdmin', 'policyAdmin', 'auditor'] }))
  t.equal((await withRoles.get('/v1/users/ann')).status, 404)
  t.match(await withRoles.get('/v1/policy'), { status: 403, body: { rule: 'scope' } })
  t.match(await withRoles.get('/v1/audit-events'), { status: 403, body: { rule: 'scope' } })
  t.match(await withRoles.get('/v1/users'), { status: 403, body: { rule: 'scope' } })
  t.match(await withRoles.put('/v1/users/bob', {}), { status: 403, body: { rule: 'scope' } })
  t.match(await withRoles.get('/v1/users/me'), { status: 400, body: { code: 'validation_failed' } }, 'an app has no "me"')
  t.equal((await (await service.as({ tenant, subject: 'app', kind: 'app', scopes: ['users:read'] })).get('/v1/users/ann')).status, 200)
})

t.test('a person\'s token with Latchkey scopes is limited to them as well as to its roles', async (t) => {
  const tenant = await service.tenant()
  const ann = await service.as({ tenant, subject: 'ann' })
  t.equal((await ann.get('/v1/users/me')).status, 200)
  const narrow = await service.as({ tenant, subject: 'ann', scopes: ['users:read'] })
  t.equal((await narrow.get('/v1/users/me')).status, 200)
  for (const refused of [
    narrow.get('/v1/users/me/contact-methods'),
    narrow.post('/v1/users/me/contact-methods', { kind: 'mobilePhone', value: '+14155550132' }),
    narrow.get(`/v1/challenges/${crypto.randomUUID()}`),
    narrow.post('/v1/challenges', { userId: 'me', purpose: 'verifyContact', methodId: crypto.randomUUID() }),
  ]) t.match(await refused, { status: 403, body: { code: 'forbidden', rule: 'scope' } })

  const admin = await service.as({ tenant, subject: 'boss', roles: ['privilegedAdmin', 'policyAdmin'], scopes: ['users:read', 'audit:read'] })
  t.equal((await admin.get('/v1/users/ann')).status, 200, 'role and scope')
  t.equal((await admin.get('/v1/users/ann/contact-methods')).status, 404, 'the role, but not the scope')
  t.equal((await admin.get('/v1/policy')).status, 403, 'no scope opens the policy')
  t.equal((await admin.get('/v1/audit-events')).status, 403, 'the scope, but not the role')
  t.equal((await admin.put('/v1/users/bob', {})).status, 403)
  const foreign = clientOf(service, await service.issuer.tokenOf({ tenant, subject: 'ann' }, { scope: 'openid profile' }))
  t.equal((await foreign.get('/v1/users/me/contact-methods')).status, 200, 'scopes of others limit nothing here')
})

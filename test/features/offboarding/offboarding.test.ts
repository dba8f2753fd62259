import { createLocalJWKSet, jwtVerify } from 'jose'
import { sql } from 'kysely'
import t from 'tap'
import { auditOf, isRefused } from '../../support/answers.ts'
import { verify } from '../../support/challenges.ts'
import { makePrivileged, proofByPass, reset, resetStage } from '../../support/resets.ts'
import { codeOf, moveClock, testService, verifiedMethod } from '../../support/service.ts'

const service = await testService(t)
const url = '/v1/users/ann/offboarding'
const day = 86_400

t.test('nothing of someone who left works any more, they are told, and nobody can change or reset them', async (t) => {
  const { paul, helen, app, as } = await resetStage(service)
  const ann = await as('ann')
  const challenge = await app.post('/v1/challenges', { userId: 'ann', purpose: 'signIn' })
  const code = await codeOf(app, challenge.body.id)
  const gone = await paul.post(url, { note: 'last day', ticket: 'HR-1' })
  t.equal(gone.status, 201, gone.text)
  t.equal(gone.headers.location, url)
  t.match(gone.body, { userId: 'ann', status: 'offboarded', note: 'last day', ticket: 'HR-1', offboardedBy: 'paul', undoneAt: null, erasedAt: null, certificate: null })
  t.equal(Date.parse(gone.body.eraseAfter) - Date.parse(gone.body.offboardedAt), 30 * day * 1000)
  t.strictSame((await paul.get(url)).body, gone.body)

  isRefused(t, await ann.get('/v1/users/me'), 'invalid_token', {}, 'their own tokens')
  isRefused(t, await (await as('ann')).get('/v1/users/me/contact-methods'), 'invalid_token', {}, 'and new ones')
  isRefused(t, await verify(app, challenge.body.id, code), 'challenge_canceled')
  isRefused(t, await app.post('/v1/challenges', { userId: 'ann', purpose: 'signIn' }), 'user_offboarded')
  t.match((await app.get('/v1/users/ann/sign-in-requirements')).body, { state: 'offboarded', next: 'deny', methods: [], registration: { missing: [], acceptedProofs: [] } })
  t.match((await paul.get('/v1/users/ann')).body, { status: 'offboarded' })
  t.strictSame((await helen.get('/v1/users/ann/contact-methods')).body.items, [])
  isRefused(t, await reset(helen, 'ann'), 'user_offboarded')
  isRefused(t, await helen.post('/v1/users/ann/contact-methods', { kind: 'mobilePhone', value: '+14155550177' }), 'user_offboarded')
  isRefused(t, await helen.post('/v1/users/ann/authenticators/temporary-access-pass', {}), 'user_offboarded')
  isRefused(t, await paul.put('/v1/users/ann', { displayName: 'Ann' }), 'user_offboarded')
  isRefused(t, await paul.post(url, {}), 'user_offboarded')
  const notices = (await paul.get('/v1/sandbox/messages?waitSeconds=10')).body.items.filter(({ kind }: any) => kind === 'notice')
  t.strictSame(notices.map(({ channel }: any) => channel).sort(), ['email', 'sms'])
})

t.test('it can be undone until the data is erased; no old method comes back, and a password alone registers nothing', async (t) => {
  const { paul, helen, app, signsIn } = await resetStage(service)
  await paul.post(url)
  t.equal((await paul.delete(url)).status, 204)
  t.match((await paul.get(url)).body, { status: 'undone', undoneAt: String })
  isRefused(t, await paul.delete(url), 'not_found')
  t.match((await app.get('/v1/users/ann/sign-in-requirements')).body, { state: 'reregistrationRequired', next: 'register', reason: 'left', methods: [] })
  const bare = await signsIn()
  t.strictSame((await bare.get('/v1/users/me/contact-methods')).body.items, [])
  isRefused(t, await bare.post('/v1/users/me/contact-methods', { kind: 'mobilePhone', value: '+14155550132' }), 'proof_required')
  const pass = await helen.post('/v1/users/ann/authenticators/temporary-access-pass', {})
  const proof = { 'latchkey-proof': await proofByPass(bare, pass.body.value) }
  t.equal((await bare.post('/v1/users/me/contact-methods', { kind: 'mobilePhone', value: '+14155550132' }, proof)).status, 201)
  t.equal((await paul.post(url)).status, 201, 'and they may leave again')
})

t.test('a privileged user is off-boarded, and taken back, once a second administrator approves', async (t) => {
  const { tenant, paul, petra, app } = await resetStage(service)
  await makePrivileged(service, tenant, 'ann')
  const asked = await paul.post(url)
  t.equal(asked.status, 202, asked.text)
  t.strictSame(asked.body, { status: 'pendingApproval', approvalId: asked.body.approvalId })
  t.match((await app.get('/v1/users/ann/sign-in-requirements')).body, { state: 'registered' })
  t.equal((await petra.post(`/v1/approvals/${asked.body.approvalId}/approve`)).status, 200)
  t.match((await app.get('/v1/users/ann/sign-in-requirements')).body, { state: 'offboarded' })
  const undo = await paul.delete(url)
  t.equal(undo.status, 202)
  t.equal((await petra.post(`/v1/approvals/${undo.body.approvalId}/approve`)).status, 200)
  t.match((await paul.get(url)).body, { status: 'undone' })
})

t.test('who may off-board', async (t) => {
  const { helen, app, as, paul } = await resetStage(service)
  isRefused(t, await helen.post(url), 'forbidden', { rule: 'role' })
  isRefused(t, await app.post(url), 'forbidden', { rule: 'scope' })
  isRefused(t, await (await as('ann')).post('/v1/users/me/offboarding'), 'forbidden', { rule: 'role' })
  isRefused(t, await paul.post('/v1/users/me/offboarding'), 'forbidden', { rule: 'self_administration' })
  isRefused(t, await (await as('pat', { roles: ['privilegedAdmin'], amr: ['pwd'] })).post(url), 'insufficient_user_authentication')
  isRefused(t, await paul.post('/v1/users/nobody/offboarding'), 'not_found')
  isRefused(t, await paul.get('/v1/users/ann/offboarding'), 'not_found')
  isRefused(t, await (await resetStage(service, [])).paul.get('/v1/users/ann/offboarding'), 'not_found')
})

t.test('a dry run says what would stop working, and changes nothing', async (t) => {
  const { paul, app, ids } = await resetStage(service)
  const would = await paul.post(`${url}?dryRun=true`, {})
  t.equal(would.status, 200, would.text)
  t.match(would.body, { dryRun: true, allowed: true, waitsForApproval: false, eraseAfter: String })
  t.strictSame(would.body.removed.map(({ id }: any) => id).sort(), Object.values(ids).sort())
  t.match((await app.get('/v1/users/ann/sign-in-requirements')).body, { state: 'registered' })
})

t.test('31 days later no ciphertext of theirs is left in any table, and a certificate says what was erased', async (t) => {
  const { tenant, paul, helen, app } = await resetStage(service, [])
  const cid = await service.as({ tenant, subject: 'cid' })
  await cid.get('/v1/users/me')
  await paul.put('/v1/users/cid', { displayName: 'Cid', signInEmail: 'cid@example.com', locale: 'en' })
  await verifiedMethod(cid, { kind: 'mobilePhone', value: '+14155550177' })
  await verifiedMethod(cid, { kind: 'alternateEmail', value: 'cid@example.org' })
  await helen.post('/v1/users/cid/authenticators/temporary-access-pass', { note: 'in person' })
  const own = await cid.post('/v1/users/me/contact-methods', { kind: 'officePhone', value: '+14155550140' }, { 'idempotency-key': 'mine' })
  t.equal(own.status, 201, own.text)
  await reset(helen, 'cid', { note: 'lost it' })
  const before = await sealedOf(tenant, 'cid')
  t.ok(before.length > 5, before.join(' '))
  await paul.post('/v1/users/cid/offboarding', { note: 'gone' })
  t.match((await paul.get('/v1/users/cid/offboarding')).body, { status: 'offboarded', certificate: null })
  await moveClock(app, 31 * day)

  t.strictSame(await sealedOf(tenant, 'cid'), [])
  const { body } = await paul.get('/v1/users/cid/offboarding')
  t.match(body, { status: 'erased', erasedAt: String, note: null })
  const { keys } = (await service.app.inject('/.well-known/jwks.json')).json<{ keys: [] }>()
  const { payload, protectedHeader } = await jwtVerify(body.certificate, createLocalJWKSet({ keys }), { issuer: service.deps.proofIssuer, typ: 'latchkey-erasure+jwt' })
  t.equal(protectedHeader.alg, 'ES256')
  t.match(payload, { sub: 'cid', tenant, erasedAt: body.erasedAt, erased: { users: 1, contactMethods: 3, passes: 1 } })
  t.equal((await paul.get('/v1/users/cid/offboarding')).body.certificate.split('.')[1], body.certificate.split('.')[1], 'it says the same whenever it is asked for')
  t.match(await auditOf(service, tenant, 'action=user.erased'), [{ userId: 'cid', actor: { kind: 'system' } }])
  t.match((await paul.get('/v1/users/cid')).body, { displayName: null, signInEmail: null, signInEmailDisplay: null, status: 'offboarded' })
  isRefused(t, await paul.delete('/v1/users/cid/offboarding'), 'user_offboarded')
  const { body: verification } = await (await service.as({ tenant, subject: 'audrey', roles: ['auditor'] })).get('/v1/audit-events/verification')
  t.equal(verification.intact, true)

  const rehired = await paul.put('/v1/users/cid', { displayName: 'Cid again' })
  t.equal(rehired.status, 201, rehired.text)
  t.match(rehired.body, { status: 'active', displayName: 'Cid again', privileged: false })
  t.match((await app.get('/v1/users/cid/sign-in-requirements')).body, { state: 'notRegistered', methods: [] })
})

/** Where a table still has bytes that belong to the user: `table.column`. */
async function sealedOf (tenant: string, userId: string): Promise<string[]> {
  const tenantId = await service.tenantIdOf(tenant)
  return service.owner.inTenant(tenantId, async ({ db }) => {
    const { rows: columns } = await sql<{ table_name: string, column_name: string, owner: string }>`
      select c.table_name, c.column_name, o.column_name as owner
        from information_schema.columns c
        join information_schema.columns o on o.table_schema = c.table_schema and o.table_name = c.table_name and o.column_name in ('user_id', 'requester', 'caller')
       where c.table_schema = 'public' and c.data_type = 'bytea' and c.table_name not in ('audit_events', 'audit_seals')`.execute(db)
    const found: string[] = []
    for (const { table_name: table, column_name: column, owner } of columns) {
      if (column === 'request_mac') continue
      const { rows: [row] } = await sql<{ n: number }>`
        select count(*)::integer as n from ${sql.table(table)} where tenant_id = ${tenantId} and ${sql.ref(owner)} in (${userId}, ${`person:${userId}`}) and ${sql.ref(column)} is not null`.execute(db)
      if (row!.n > 0) found.push(`${table}.${column}`)
    }
    const { rows: [inbox] } = await sql<{ n: number }>`select count(*)::integer as n from sandbox_messages where tenant_id = ${tenantId}`.execute(db)
    if (inbox!.n > 0) found.push('sandbox_messages')
    return found
  })
}

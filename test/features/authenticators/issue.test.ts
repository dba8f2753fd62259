import t from 'tap'
import { auditOf, isRefused, setPolicy } from '../../support/answers.ts'
import { read, verify } from '../../support/challenges.ts'
import { asOwner } from '../../support/cluster.ts'
import { begunByPass, byPass, issue, issued } from '../../support/passes.ts'
import { proofOf, registered, withProof } from '../../support/proofs.ts'
import { moveClock, testService } from '../../support/service.ts'
import type { Role, Scope } from '../../../src/vocabulary.ts'

const service = await testService(t)

async function scene () {
  const tenant = await service.tenant()
  const as = (subject: string, ...roles: Role[]) => service.as({ tenant, subject, roles })
  const [ann, petra] = [await as('ann'), await as('petra', 'privilegedAdmin')]
  await ann.get('/v1/users/me')
  return { tenant, as, ann, petra, hans: await as('hans', 'helpdesk') }
}

t.test('the answer shows it once, exactly as the contract says, with the policy\'s length, lifetime and number of uses', async (t) => {
  const { tenant, ann, hans } = await scene()
  const { status, body, headers } = await issue(hans, 'ann')
  t.equal(status, 201)
  t.strictSame(Object.keys(body), ['authenticatorId', 'value', 'startsAt', 'expiresAt', 'oneTime'])
  t.match(body, { authenticatorId: /^[0-9a-f-]{36}$/, value: /^[0-9A-HJKMNP-TV-Z]{12}$/, oneTime: true })
  t.equal(Date.parse(body.expiresAt) - Date.parse(body.startsAt), 3_600_000)
  t.equal(headers.location, `/v1/users/ann/authenticators/${body.authenticatorId}`)
  await setPolicy(service, tenant, { pass: { length: 48, minutes: 20, oneTime: false } })
  const other = await issued(hans, 'ann')
  t.match(other, { value: /^[0-9A-HJKMNP-TV-Z]{48}$/, oneTime: false })
  t.equal(Date.parse(other.expiresAt) - Date.parse(other.startsAt), 1_200_000)
  t.match(await issued(hans, 'ann', { oneTime: true, lifetimeMinutes: 480 }), { oneTime: true })
  const listed = await ann.get('/v1/users/me/authenticators')
  t.notMatch(listed.text, new RegExp(other.value))
  t.match(await hans.get(`/v1/users/ann/authenticators/${listed.body.items[0].id}`), { status: 200, headers: { etag: '"1"' }, body: listed.body.items[0] })
  t.strictSame(Object.keys(listed.body.items[0]), ['id', 'kind', 'status', 'startsAt', 'expiresAt', 'oneTime', 'createdAt', 'lastUsedAt', 'version'])
})

t.test('a repeated request gives the first answer without the value', async (t) => {
  const { hans, ann } = await scene()
  const key = { 'idempotency-key': 'pass' }
  const first = await issue(hans, 'ann', { basis: 'inPerson' }, key)
  const again = await issue(hans, 'ann', { basis: 'inPerson' }, key)
  t.match(again, { status: 201, headers: { 'idempotent-replayed': 'true', location: first.headers.location } })
  t.strictSame(again.body, { ...first.body, value: null })
  isRefused(t, await issue(hans, 'ann', { basis: 'callerCheck' }, key), 'idempotency_key_reused')
  t.equal((await verify(ann, (await begunByPass(ann)).id, first.body.value)).status, 200, 'and the pass is what it was')
})

t.test('a new one voids the one before, with its challenges', async (t) => {
  const { tenant, ann, hans } = await scene()
  const old = await issued(hans, 'ann')
  const { id } = await begunByPass(ann)
  const next = await issued(hans, 'ann')
  t.match((await read(ann, id)).body, { status: 'canceled' })
  isRefused(t, await verify(ann, id, old.value), 'challenge_canceled')
  const challenge = await begunByPass(ann)
  t.equal(challenge.methodId, next.authenticatorId)
  isRefused(t, await verify(ann, challenge.id, old.value), 'wrong_code')
  t.equal((await verify(ann, challenge.id, next.value)).status, 200)
  t.same((await ann.get('/v1/users/me/authenticators')).body.items.map(({ id: one }: { id: string }) => one), [next.authenticatorId])
  t.match(await auditOf(service, tenant, 'action=pass.issued'), [{ details: { authenticatorId: next.authenticatorId, replaced: [old.authenticatorId] } }, { details: { replaced: undefined } }])
})

t.test('bounds: 10 minutes to what the policy allows, 30 days ahead at most', async (t) => {
  const { tenant, hans } = await scene()
  for (const lifetimeMinutes of [10, 480]) t.equal((await issue(hans, 'ann', { lifetimeMinutes })).status, 201)
  isRefused(t, await issue(hans, 'ann', { lifetimeMinutes: 481 }), 'policy_out_of_bounds', { pointer: '/lifetimeMinutes' })
  for (const lifetimeMinutes of [9, 43_201, 60.5, '60', null]) isRefused(t, await issue(hans, 'ann', { lifetimeMinutes }), 'validation_failed', { pointer: '/lifetimeMinutes' }, String(lifetimeMinutes))
  await setPolicy(service, tenant, { pass: { maxMinutes: 43_200 } })
  t.equal((await issue(hans, 'ann', { lifetimeMinutes: 43_200 })).status, 201)
  const inMinutes = (minutes: number) => new Date(Date.now() + minutes * 60_000).toISOString()
  isRefused(t, await issue(hans, 'ann', { startsAt: inMinutes(43_202) }), 'policy_out_of_bounds', { pointer: '/startsAt' })
  t.equal((await issue(hans, 'ann', { startsAt: inMinutes(43_199) })).status, 201)
  for (const startsAt of ['tomorrow', '2026-13-01T00:00:00Z', 7, '']) isRefused(t, await issue(hans, 'ann', { startsAt }), 'validation_failed', { pointer: '/startsAt' }, String(startsAt))
  const { startsAt } = await issued(hans, 'ann', { startsAt: '2020-01-01T00:00:00+02:00' })
  t.ok(Math.abs(Date.parse(startsAt) - Date.now()) < 10_000, 'a start that is over is now')
  isRefused(t, await issue(hans, 'ann', { value: '123' }), 'validation_failed', { pointer: '/value' })
  isRefused(t, await issue(hans, 'ann', { basis: 'phone' }), 'validation_failed', { pointer: '/basis' })
})

t.test('who may: the help desk and privileged administrators, never an app, never for oneself, never without a fresh second factor', async (t) => {
  const { tenant, as, ann, petra, hans } = await scene()
  for (const [role, rule] of [['user', 'role'], ['reader', 'role'], ['policyAdmin', 'role'], ['auditor', 'role']] as const) isRefused(t, await issue(await as(`the-${role}`, role), 'ann'), 'forbidden', { rule })
  isRefused(t, await issue(ann, 'me'), 'forbidden', { rule: 'role' })
  for (const [client, id] of [[hans, 'hans'], [petra, 'petra']] as const) for (const userId of ['me', id]) isRefused(t, await issue(client, userId), 'forbidden', { rule: 'self_administration' })
  const scopes: Scope[] = ['users:write', 'challenges:write', 'contact-methods:write', 'mfa-resets:write']
  isRefused(t, await issue(await service.as({ tenant, subject: 'payroll', kind: 'app', scopes }), 'ann'), 'forbidden', { rule: 'scope' })
  isRefused(t, await issue(await service.as({ tenant, subject: 'payroll', kind: 'app', scopes }), 'ann', {}, withProof(await proofOf(service, tenant, { userId: 'ann', starter: { kind: 'app', id: 'payroll' } }))), 'forbidden', { rule: 'scope' })
  isRefused(t, await issue(await service.as({ tenant, subject: 'hanna', roles: ['helpdesk'], amr: ['pwd'] }), 'ann'), 'insufficient_user_authentication')
  isRefused(t, await issue(await service.as({ tenant, subject: 'hanna', roles: ['helpdesk'], authSecondsAgo: 660 }), 'ann'), 'insufficient_user_authentication')
  isRefused(t, await issue(hans, 'nobody'), 'not_found')
  const elsewhere = await service.as({ tenant: await service.tenant(), subject: 'hans', roles: ['helpdesk', 'privilegedAdmin'] })
  isRefused(t, await issue(elsewhere, 'ann'), 'not_found', {}, 'a neighbour\'s administrator')
  for (const client of [hans, petra]) t.equal((await issue(client, 'ann')).status, 201)
})

t.test('a user who is disabled could not use it, one who was off-boarded is gone', async (t) => {
  const { tenant, petra, hans } = await scene()
  await petra.put('/v1/users/ann', { status: 'disabled' })
  isRefused(t, await issue(hans, 'ann'), 'method_not_usable')
  await service.owner.inTenant(await service.tenantIdOf(tenant), ({ db, tenantId }) => db.updateTable('users').set({ status: 'offboarded' }).where('tenant_id', '=', tenantId).where('user_id', '=', 'ann').execute())
  isRefused(t, await issue(hans, 'ann'), 'user_offboarded')
})

t.test('nothing is issued to a user who is frozen, until that is lifted', async (t) => {
  const { tenant, ann, hans } = await scene()
  const pass = await issued(hans, 'ann')
  await service.owner.inTenant(await service.tenantIdOf(tenant), ({ db, tenantId, now }) => db.updateTable('users').set({ frozen_until: new Date(now.getTime() + 60_000) }).where('tenant_id', '=', tenantId).where('user_id', '=', 'ann').execute())
  isRefused(t, await issue(hans, 'ann'), 'user_frozen')
  isRefused(t, await ann.delete(`/v1/users/me/authenticators/${pass.authenticatorId}`), 'user_frozen')
  t.equal((await hans.delete(`/v1/users/ann/authenticators/${pass.authenticatorId}`)).status, 204, 'but taken away')
  t.equal((await hans.delete('/v1/users/ann/lockout')).status, 204)
  t.equal((await issue(hans, 'ann')).status, 201)
})

t.test('for a privileged user: the help desk never; a privileged administrator waits, and collects what a second one approved', async (t) => {
  const { tenant, as, petra, hans } = await scene()
  await petra.put('/v1/users/eve', { privileged: true })
  isRefused(t, await issue(hans, 'eve'), 'forbidden', { rule: 'privileged_target' })
  isRefused(t, await issue(hans, 'eve', { breakGlass: true }), 'forbidden', { rule: 'privileged_target' })
  const waiting = await issue(petra, 'eve', { basis: 'inPerson', lifetimeMinutes: 30 }, { 'idempotency-key': 'ask' })
  const { approvalId } = waiting.body
  t.match(waiting, { status: 202, headers: { location: `/v1/approvals/${approvalId}` } })
  t.strictSame(waiting.body, { status: 'pendingApproval', approvalId })
  t.strictSame((await issue(petra, 'eve', { basis: 'inPerson', lifetimeMinutes: 30 }, { 'idempotency-key': 'ask' })).body, waiting.body)
  t.same((await petra.get('/v1/users/eve/authenticators')).body.items, [])
  isRefused(t, await petra.post(`/v1/approvals/${approvalId}/approve`), 'forbidden', { rule: 'own_request' })
  isRefused(t, await petra.post(`/v1/approvals/${approvalId}/collect`), 'approval_closed', {}, 'not before it is approved')
  const paul = await as('paul', 'privilegedAdmin')
  t.match(await paul.post(`/v1/approvals/${approvalId}/approve`), { status: 200, body: { status: 'completed', collectable: true } })
  t.same((await petra.get('/v1/users/eve/authenticators')).body.items, [], 'it is made when it is collected')
  isRefused(t, await paul.post(`/v1/approvals/${approvalId}/collect`), 'not_found', {}, 'by nobody else')
  const key = { 'idempotency-key': 'collect' }
  const collected = await petra.post(`/v1/approvals/${approvalId}/collect`, {}, key)
  t.match(collected, { status: 200, body: { status: 'completed', temporaryAccessPass: { value: /^[0-9A-Z]{12}$/, oneTime: true } } })
  const { temporaryAccessPass: pass } = collected.body
  t.equal(Date.parse(pass.expiresAt) - Date.parse(pass.startsAt), 1_800_000, 'as it was asked for')
  t.equal((await petra.post(`/v1/approvals/${approvalId}/collect`, {}, key)).body.temporaryAccessPass.value, null)
  isRefused(t, await petra.post(`/v1/approvals/${approvalId}/collect`), 'approval_closed', {}, 'once')
  const eve = await as('eve')
  t.equal((await verify(eve, (await begunByPass(eve)).id, pass.value)).status, 200)
  t.match(await auditOf(service, tenant, 'action=pass.issued'), [{ actor: { id: 'petra' }, userId: 'eve', details: { basis: 'inPerson', approvalId, approver: 'paul' } }])
})

t.test('what waited is judged again when it is approved and when it is collected', async (t) => {
  const { tenant, as, petra } = await scene()
  const paul = await as('paul', 'privilegedAdmin')
  await petra.put('/v1/users/eve', { privileged: true })
  const ask = async () => (await issue(petra, 'eve', { lifetimeMinutes: 60 })).body.approvalId as string
  const [one, two] = [await ask(), await ask()]
  t.equal((await paul.post(`/v1/approvals/${one}/approve`)).status, 200)
  await setPolicy(service, tenant, { pass: { minutes: 20, maxMinutes: 30 } })
  isRefused(t, await petra.post(`/v1/approvals/${one}/collect`), 'policy_out_of_bounds')
  isRefused(t, await paul.post(`/v1/approvals/${two}/approve`), 'policy_out_of_bounds')
  await setPolicy(service, tenant, { pass: { minutes: 20, maxMinutes: 480 } })
  await moveClock(petra, 1_801)
  isRefused(t, await petra.post(`/v1/approvals/${one}/collect`), 'approval_closed', {}, 'within 30 minutes')
})

t.test('break-glass does without the second approver, once a day, where the policy allows it', async (t) => {
  const { tenant, as, petra } = await scene()
  await (await as('paul', 'privilegedAdmin')).get('/v1/users/me')
  for (const userId of ['eve', 'eva']) await petra.put(`/v1/users/${userId}`, { privileged: true })
  await setPolicy(service, tenant, { breakGlass: false })
  isRefused(t, await issue(petra, 'eve', { breakGlass: true }), 'forbidden', { rule: 'break_glass' })
  await setPolicy(service, tenant, { breakGlass: true })
  t.equal((await issue(petra, 'ann', { breakGlass: true })).status, 201, 'where nobody has to approve it breaks nothing')
  t.match(await issue(petra, 'eve', { breakGlass: true }), { status: 201, body: { value: String } })
  isRefused(t, await issue(petra, 'eva', { breakGlass: true }), 'forbidden', { rule: 'break_glass' })
  t.same((await auditOf(service, tenant, 'action=breakGlass.used')).map(({ userId }) => userId), ['eve'])
})

t.test('20 an hour by one administrator, whatever for; above it 429 and an audit row', async (t) => {
  const { tenant, as, hans } = await scene()
  await setPolicy(service, tenant, { limits: { resetsPerHour: 2 } })
  await (await as('bob')).get('/v1/users/me')
  for (const userId of ['ann', 'bob']) await issued(hans, userId)
  const refused = await issue(hans, 'ann')
  isRefused(t, refused, 'rate_limited', { rule: 'policy.limits.resetsPerHour' })
  t.equal(refused.headers['retry-after'], String(refused.body.retryAfterSeconds))
  t.match(await auditOf(service, tenant, 'action=limit.reached'), [{ actor: { id: 'hans' }, outcome: 'refused' }])
  t.equal((await issue(await as('hanna', 'helpdesk'), 'ann')).status, 201, 'everyone has their own')
  await moveClock(hans, 3_601)
  t.equal((await issue(hans, 'ann')).status, 201)
})

t.test('the person is told at every verified address, and the note goes into the audit log without numbers', async (t) => {
  const { tenant, hans, ann } = await scene()
  await registered(service, tenant, 'ann', ['mobilePhone', 'alternateEmail'])
  const { value } = await issued(hans, 'ann', { basis: 'inPerson', note: 'Rang from +1 415 555 0199 and showed a badge' })
  const { body: { items } } = await ann.get('/v1/sandbox/messages?waitSeconds=5')
  t.ok(items.length > 0)
  for (const { kind, body } of items) {
    t.equal(kind, 'notice')
    t.match(body, /temporary access pass/)
    t.notMatch(body, new RegExp(value))
  }
  const [row] = await auditOf(service, tenant, 'action=pass.issued')
  t.match(row, { userId: 'ann', actor: { kind: 'person', id: 'hans' }, details: { basis: 'inPerson', oneTime: true, note: 'Rang from ••• and showed a badge' } })
  t.notMatch(JSON.stringify(row), new RegExp(value))
})

t.test('the value is nowhere: not in a table, a log or the audit log', async (t) => {
  const { ann, hans } = await scene()
  const pass = await issued(hans, 'ann', { oneTime: false })
  await issue(hans, 'ann', { oneTime: false }, { 'idempotency-key': 'kept' })
  const { value } = await issued(hans, 'ann', { oneTime: false })
  const { id } = await begunByPass(ann)
  await verify(ann, id, pass.value)
  await verify(ann, id, value.toLowerCase(), { 'idempotency-key': 'used' })
  isRefused(t, await byPass(ann, 'me', { note: value }), 'validation_failed')
  const needles = [pass.value, value].flatMap((one) => [one, one.toLowerCase(), Buffer.from(one).toString('hex'), Buffer.from(one).toString('base64').slice(0, 14)])
  const found = await asOwner(service.database.ownerUrl, async (owner) => {
    const { rows: tables } = await owner.query<{ name: string }>(`select c.relname::text as name from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'`)
    const hits: string[] = []
    for (const { name } of tables) {
      const { rows } = await owner.query<{ row: string }>(`select t::text as row from ${name} t`)
      if (rows.some(({ row }) => needles.some((needle) => row.includes(needle)))) hits.push(name)
    }
    return hits
  })
  t.same(found, [])
  t.notOk(needles.some((needle) => service.logged().join('').includes(needle)))
})

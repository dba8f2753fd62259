import t from 'tap'
import { auditOf, disable, isRefused } from '../../support/answers.ts'
import { pendingMethod, start, started, verify } from '../../support/challenges.ts'
import { countWrongCodes } from '../../support/limits.ts'
import { atOnce, replicasOf, tally } from '../../support/replicas.ts'
import { codeOf, moveClock, otherCode, testService, verifiedMethod } from '../../support/service.ts'
import { scopes, type Role } from '../../../src/vocabulary.ts'

const service = await testService(t)
const anns = '/v1/users/ann/lockout'
const guessable = ['sms', 'voice', 'email', 'totp', 'recoveryCode']
const unlocked = { userId: 'ann', lockedUntil: null, frozenUntil: null, wrongCodesInARow: 0, lockedChannels: [], lockedMethods: [] }

async function withAnn ({ privileged = false } = {}) {
  const tenant = await service.tenant()
  await (await service.as({ tenant, subject: 'directory', kind: 'app', scopes: ['users:write'] })).put('/v1/users/ann', { privileged })
  const as = (subject: string, ...roles: Role[]) => service.as({ tenant, subject, roles })
  const lock = () => countWrongCodes(service, tenant, 'ann', { inARow: 10, lockedSeconds: 900 })
  return { tenant, as, lock, ann: await as('ann'), hans: await as('hans', 'helpdesk'), petra: await as('petra', 'privilegedAdmin') }
}

t.test('whoever has given no wrong code is not locked', async (t) => {
  const { ann, hans } = await withAnn()
  for (const client of [ann, hans]) t.strictSame((await client.get(anns)).body, unlocked)
  t.equal((await ann.get('/v1/users/me/lockout')).status, 200)
})

t.test('a lock names its end and the channels it is for; once it is over, only the count is left', async (t) => {
  const { ann, lock } = await withAnn()
  await lock()
  const { body } = await ann.get(anns)
  t.match(body, { wrongCodesInARow: 10, lockedChannels: guessable, lockedMethods: [], frozenUntil: null })
  const lastsSeconds = (Date.parse(body.lockedUntil) - Date.now()) / 1000
  t.ok(lastsSeconds > 890 && lastsSeconds <= 901, `${lastsSeconds} s`)
  await moveClock(ann, 899 - 20)
  t.match((await ann.get(anns)).body, { lockedUntil: body.lockedUntil })
  await moveClock(ann, 901)
  t.strictSame((await ann.get(anns)).body, { ...unlocked, wrongCodesInARow: 10 })
})

t.test('a method with 50 wrong codes in a row is named, and no longer once it is disabled, removed or gone', async (t) => {
  const { tenant, ann, hans } = await withAnn()
  const phone = await verifiedMethod(ann, { kind: 'mobilePhone', value: '+14155550132' })
  const second = await verifiedMethod(ann, { kind: 'alternatePhone', value: '+14155550144' })
  const { body: pending } = await ann.post('/v1/users/me/contact-methods', { kind: 'officePhone', value: '+14155550155' })
  const authenticator = crypto.randomUUID()
  await countWrongCodes(service, tenant, 'ann', { inARow: 3, byMethod: { [phone.id]: 50, [second.id]: 49, [pending.id]: 51, [authenticator]: 50 } })
  const named = async () => (await hans.get(anns)).body.lockedMethods as string[]
  t.strictSame(await named(), [phone.id, pending.id, authenticator].toSorted((a, b) => a < b ? -1 : 1))
  t.match((await hans.get(anns)).body, { lockedUntil: null, lockedChannels: [] }, 'which locks no channel')
  await disable(service, tenant, phone.id)
  await moveClock(ann, 24 * 3600 + 5)
  t.strictSame(await named(), [authenticator], 'the pending one has ended')
})

t.test('the person, readers and apps with sign-in:read see it, of privileged users as well; everyone else hears 404', async (t) => {
  const { tenant, as, ann, lock } = await withAnn({ privileged: true })
  await lock()
  for (const role of ['reader', 'helpdesk', 'privilegedAdmin'] as const) t.match((await (await as(`a-${role}`, role)).get(anns)).body, { wrongCodesInARow: 10 }, role)
  t.match((await ann.get('/v1/users/me/lockout')).body, { userId: 'ann', wrongCodesInARow: 10 })
  const app = (...given: typeof scopes[number][]) => service.as({ tenant, subject: 'payroll', kind: 'app', scopes: given })
  t.match((await (await app('sign-in:read')).get(anns)).body, { wrongCodesInARow: 10 })
  isRefused(t, await (await app(...scopes.filter((scope) => scope !== 'sign-in:read'))).get(anns), 'not_found', {}, 'an app with every other scope')
  for (const role of ['user', 'policyAdmin', 'auditor'] as const) isRefused(t, await (await as(`a-${role}`, role)).get(anns), 'not_found', {}, role)

  const elsewhere = await service.tenant()
  for (const path of [anns, '/v1/users/nobody/lockout']) isRefused(t, await (await service.as({ tenant: elsewhere, subject: 'rita', roles: ['reader'] })).get(path), 'not_found', {}, 'another tenant')
  isRefused(t, await (await app('sign-in:read')).get('/v1/users/me/lockout'), 'validation_failed', { parameter: 'userId' })
})

t.test('the help desk lifts a lock and clears every count; it is written down with what was lifted', async (t) => {
  const { tenant, ann, hans } = await withAnn()
  const method = crypto.randomUUID()
  await countWrongCodes(service, tenant, 'ann', { inARow: 12, lockedSeconds: 900, byMethod: { [method]: 50 } })
  t.match(await hans.delete(anns), { status: 204, text: '' })
  t.strictSame((await ann.get(anns)).body, unlocked)
  t.match(await auditOf(service, tenant, 'action=lockout.lifted'), [{ userId: 'ann', actor: { kind: 'person', id: 'hans' }, outcome: 'done', details: { wrongCodesInARow: 12, locked: true, methodIds: [method] } }])
})

t.test('ten wrong codes lock, and once the lock is lifted the next code is judged', async (t) => {
  const { ann, hans } = await withAnn()
  const methodId = await pendingMethod(ann, { kind: 'mobilePhone', value: '+14155550132' })
  for (const aheadSeconds of [40, 120]) {
    const { id } = await started(ann, methodId)
    const wrong = otherCode(await codeOf(ann, id))
    for (let time = 1; time <= 5; time++) isRefused(t, await verify(ann, id, wrong), 'wrong_code')
    await moveClock(ann, aheadSeconds)
  }
  t.match((await ann.get(anns)).body, { wrongCodesInARow: 10, lockedChannels: guessable })
  isRefused(t, await start(ann, methodId), 'user_locked')
  t.equal((await hans.delete(anns)).status, 204)
  t.strictSame((await ann.get(anns)).body, unlocked)
  const { id } = await started(ann, methodId)
  t.equal((await verify(ann, id, await codeOf(ann, id))).status, 200)
})

t.test('where nothing is to be lifted it is 204 all the same, and no row', async (t) => {
  const { tenant, hans } = await withAnn()
  t.equal((await hans.delete(anns)).status, 204, 'there never was a wrong code')
  await countWrongCodes(service, tenant, 'ann', { inARow: 0, byMethod: { [crypto.randomUUID()]: 0 } })
  t.equal((await hans.delete(anns)).status, 204, 'all counts are zero')
  t.strictSame(await auditOf(service, tenant, 'action=lockout.lifted'), [])
  await countWrongCodes(service, tenant, 'ann', { inARow: 1 })
  t.equal((await hans.delete(anns)).status, 204, 'a count below the lock')
  t.match(await auditOf(service, tenant, 'action=lockout.lifted'), [{ details: { wrongCodesInARow: 1, locked: false, methodIds: [] } }])
})

t.test('of 12 who lift the same lock at once at three replicas one does', async (t) => {
  const { tenant, hans, lock } = await withAnn()
  await lock()
  const replicas = (await replicasOf(t, service, 3)).of(hans)
  t.strictSame(tally(await atOnce(12, (index) => replicas[index % 3]!.delete(anns))), { 204: 12 })
  t.equal((await auditOf(service, tenant, 'action=lockout.lifted')).length, 1)
})

t.test('the lock of a privileged user is lifted by a privileged administrator, at once; by nobody of the help desk', async (t) => {
  const { tenant, ann, hans, petra, lock } = await withAnn({ privileged: true })
  await lock()
  isRefused(t, await hans.delete(anns), 'forbidden', { rule: 'privileged_target' })
  t.match((await ann.get(anns)).body, { wrongCodesInARow: 10 })
  t.equal((await petra.delete(anns)).status, 204, 'no second approver')
  t.strictSame((await ann.get(anns)).body, unlocked)
  t.match(await auditOf(service, tenant, 'action=lockout.lift'), [{ outcome: 'refused', userId: 'ann', actor: { id: 'hans' }, details: { rule: 'privileged_target' } }])
})

t.test('nobody lifts their own lock, whatever their role', async (t) => {
  const { tenant, as } = await withAnn()
  for (const roles of [['helpdesk'], ['privilegedAdmin'], ['helpdesk', 'privilegedAdmin']] as Role[][]) {
    const subject = `a-${roles.join('-')}`
    const administrator = await as(subject, ...roles)
    await administrator.get('/v1/users/me')
    await countWrongCodes(service, tenant, subject, { inARow: 10, lockedSeconds: 900 })
    for (const id of [subject, 'me']) isRefused(t, await administrator.delete(`/v1/users/${id}/lockout`), 'forbidden', { rule: 'self_administration' }, `${subject} as ${id}`)
    t.match((await administrator.get('/v1/users/me/lockout')).body, { wrongCodesInARow: 10, lockedChannels: guessable })
  }
  for (const role of ['user', 'reader', 'policyAdmin', 'auditor'] as const) isRefused(t, await (await as(`a-${role}`, role)).delete('/v1/users/me/lockout'), 'forbidden', { rule: 'role' }, role)
})

t.test('other roles, apps with every scope, a stale second factor, another tenant: refused, and the lock stays', async (t) => {
  const { tenant, as, ann, hans, lock } = await withAnn()
  await lock()
  for (const role of ['user', 'reader', 'policyAdmin', 'auditor'] as const) isRefused(t, await (await as(`a-${role}`, role)).delete(anns), 'forbidden', { rule: 'role' }, role)
  isRefused(t, await (await service.as({ tenant, subject: 'payroll', kind: 'app', scopes })).delete(anns), 'forbidden', { rule: 'scope' })
  isRefused(t, await (await service.as({ tenant, subject: 'hans', roles: ['helpdesk'], scopes })).delete(anns), 'forbidden', { rule: 'role' }, 'a token whose scopes do not name it')
  isRefused(t, await (await service.as({ tenant, subject: 'hans', roles: ['helpdesk'], authSecondsAgo: 605 })).delete(anns), 'insufficient_user_authentication')
  isRefused(t, await (await service.as({ tenant, subject: 'hans', roles: ['helpdesk'], amr: ['pwd'] })).delete(anns), 'insufficient_user_authentication')
  const elsewhere = await service.tenant()
  isRefused(t, await (await service.as({ tenant: elsewhere, subject: 'petra', roles: ['privilegedAdmin'] })).delete(anns), 'not_found', {}, 'another tenant')
  isRefused(t, await hans.delete('/v1/users/nobody/lockout'), 'not_found')
  t.match((await ann.get(anns)).body, { wrongCodesInARow: 10, lockedChannels: guessable })
  await service.owner.inTenant(await service.tenantIdOf(tenant), (tx) => tx.db.updateTable('users').set({ status: 'offboarded' }).where('tenant_id', '=', tx.tenantId).where('user_id', '=', 'ann').execute())
  isRefused(t, await hans.delete(anns), 'user_offboarded')
})

import t from 'tap'
import { approve, read, waitingIn, withBoss, type Scene } from '../../support/approvals.ts'
import { auditOf, isRefused } from '../../support/answers.ts'
import { testService, type Answer, type Client } from '../../support/service.ts'

const service = await testService(t)

interface Wait {
  name: string
  action: string
  /** Who asks; a privileged administrator unless told. */
  by?: 'pia'
  ask: (client: Client, scene: Scene, headers?: Record<string, string>) => Promise<Answer>
  details: object
  /** What is seen once it is done, and not before. */
  done: (scene: Scene) => Promise<boolean>
}

const listed = async ({ boss, methods }: Scene) => (await boss.get(methods)).body.items as Array<{ id: string, kind: string, isDefault: boolean, pendingChange: object | null }>
const user = async ({ paul }: Scene) => (await paul.get('/v1/users/boss')).body

/** All that waits of what is there, as `rules.md` lists it. */
const waits: Wait[] = [
  { name: 'adding a method', action: 'contactMethod.add', details: { kind: 'officePhone', display: '+1 ••• ••• ••44' }, ask: (client, { methods }, headers) => client.post(methods, { kind: 'officePhone', value: '+14155550144' }, headers), done: async (scene) => (await listed(scene)).length === 3 },
  { name: 'changing a method', action: 'contactMethod.change', details: { fields: ['value'], display: '+1 ••• ••• ••44' }, ask: (client, { methods, phone }, headers) => client.patch(`${methods}/${phone}`, { value: '+14155550144' }, headers), done: async (scene) => (await listed(scene))[0]!.pendingChange !== null },
  { name: 'removing a method', action: 'contactMethod.remove', details: {}, ask: (client, { methods, email }, headers) => client.delete(`${methods}/${email}`, headers), done: async (scene) => (await listed(scene)).length === 1 },
  { name: 'choosing the default', action: 'defaultMethod.choose', details: { channel: 'voice', display: '+1 ••• ••• ••32' }, ask: (client, { phone }, headers) => client.put('/v1/users/boss/default-method', { methodId: phone, channel: 'voice' }, headers),
    done: async (scene) => (await scene.boss.get(`${scene.methods}/${scene.phone}`)).body.channels[0] === 'voice' },
  { name: 'changing the sign-in e-mail', action: 'user.change', details: { fields: ['displayName', 'signInEmail'], signInEmailDisplay: 'b•••@example.net' }, ask: (client, _scene, headers) => client.put('/v1/users/boss', { displayName: 'The Boss', signInEmail: 'b@example.net' }, headers), done: async (scene) => (await user(scene)).signInEmailDisplay === 'b•••@example.net' },
  { name: 'changing the status', action: 'user.change', details: { fields: ['status'], status: 'disabled' }, ask: (client, _scene, headers) => client.put('/v1/users/boss', { status: 'disabled' }, headers), done: async (scene) => (await user(scene)).status === 'disabled' },
  { name: 'clearing privilege', action: 'privilege.clear', details: {}, ask: (client, _scene, headers) => client.delete('/v1/users/boss/privilege', headers), done: async (scene) => !(await user(scene)).privileged },
  { name: 'a weaker policy', by: 'pia', action: 'policy.change', details: { fields: ['codes.length', 'emailCounts'], weaker: ['emailCounts'], change: { codes: { length: 8 }, emailCounts: true } },
    ask: (client, _scene, headers) => client.patch('/v1/policy', { codes: { length: 8 }, emailCounts: true }, headers), done: async ({ pia }) => (await pia.get('/v1/policy')).body.emailCounts },
  { name: 'a first security contact', by: 'pia', action: 'organization.change', details: { fields: ['name', 'securityContact'] }, ask: (client, _scene, headers) => client.patch('/v1/organization', { name: 'New', securityContact: { email: 'sec@example.org' } }, headers),
    done: async ({ pia }) => (await pia.get('/v1/organization')).body.securityContact !== null },
]

for (const { name, action, by = 'petra', ask, details, done } of waits) {
  t.test(`${name} waits, does nothing until then, and is done as asked once approved`, async (t) => {
    const scene = await withBoss(service)
    const { tenant, paul } = scene
    const approvalId = waitingIn(await ask(scene[by], scene))
    t.notOk(await done(scene), 'not before')
    const { details: shown, ...approval } = (await read(paul, approvalId)).body
    t.match(approval, { status: 'pending', action, userId: by === 'pia' ? null : 'boss', requestedBy: by })
    t.same(shown, details)
    t.notMatch(approval.summary, new RegExp(action), 'in plain words')
    t.match(await approve(paul, approvalId), { status: 200, body: { status: 'completed' } })
    t.notMatch(JSON.stringify((await read(paul, approvalId)).body), /•••/, 'afterwards nothing of it is shown')
    t.ok(await done(scene), 'it is done')
    const [change] = (await auditOf(service, tenant, `actor=${by}`)).filter(({ details }) => details.approver !== undefined)
    t.match(change, { outcome: 'done', details: { approvalId, approver: 'paul' } })
    t.ok(await (async () => !JSON.stringify(await auditOf(service, tenant)).match(/4155550144|•••|example\.(net|org)/))(), 'no number and no address in the log')
  })
}

t.test('If-Match is judged when it is asked for and again when it is approved', async (t) => {
  for (const { name, by = 'petra', ask, done } of waits.filter(({ action }) => action !== 'contactMethod.add')) {
    const scene = await withBoss(service)
    isRefused(t, await ask(scene[by], scene, { 'if-match': '"99"' }), 'version_mismatch', {}, `${name}: when it is asked for`)
    t.notOk(await done(scene))
    const path = { petra: '/v1/users/boss', pia: name === 'a weaker policy' ? '/v1/policy' : '/v1/organization' }[by]
    const resource = name.includes('method') || name.includes('default') ? `${scene.methods}/${name === 'removing a method' ? scene.email : scene.phone}` : path
    const { etag } = (await (by === 'pia' ? scene.pia : scene.petra).get(resource)).headers
    const approvalId = waitingIn(await ask(scene[by], scene, { 'if-match': String(etag) }))
    if (resource.startsWith(scene.methods)) await scene.boss.patch(resource, { label: 'moved on' })
    else if (by === 'petra') await scene.petra.put(path, { locale: 'fr' })
    else await scene.pia.patch(path, path === '/v1/policy' ? { codes: { length: 9 } } : { locale: 'fr' })
    isRefused(t, await approve(scene.paul, approvalId), 'version_mismatch', {}, `${name}: when it is approved`)
    t.match((await read(scene.paul, approvalId)).body, { status: 'pending' })
    t.notOk(await done(scene))
  }
})

t.test('what would be refused is refused at once, and nothing waits', async (t) => {
  const scene = await withBoss(service)
  const { petra, pia, paul, methods, phone, as, tenant } = scene
  isRefused(t, await petra.post(methods, { kind: 'officePhone', value: '+1' }), 'invalid_phone_number')
  isRefused(t, await petra.post(methods, { kind: 'mobilePhone', value: '+14155550144' }), 'method_limit_reached')
  isRefused(t, await petra.post(methods, { kind: 'alternatePhone', value: '+14155550132' }), 'duplicate_method')
  isRefused(t, await petra.patch(`${methods}/${phone}`, { kind: 'officePhone' }), 'kind_immutable')
  isRefused(t, await petra.delete(`${methods}/${phone}`), 'last_method')
  isRefused(t, await petra.delete(`${methods}/0199c0de-0000-7000-8000-00000000dead`), 'not_found')
  isRefused(t, await petra.put('/v1/users/boss', { signInEmail: 'BOSS@example.org' }), 'same_as_sign_in')
  isRefused(t, await petra.put('/v1/users/boss', { privileged: false, status: 'disabled' }), 'forbidden', { rule: 'second_approver' }, 'PUT does not clear privileged')
  isRefused(t, await petra.delete('/v1/users/nobody/privilege'), 'not_found')
  isRefused(t, await petra.delete('/v1/users/petra/privilege'), 'forbidden', { rule: 'self_administration' })
  isRefused(t, await pia.patch('/v1/policy', { codes: { length: 5 } }), 'policy_out_of_bounds')
  isRefused(t, await pia.patch('/v1/organization', { securityContact: { email: 'x' } }), 'invalid_email')
  const stale = await service.as({ tenant, subject: 'petra', roles: ['privilegedAdmin'], authSecondsAgo: 700 })
  const staleScene = { ...scene }
  for (const { name, ask } of waits.filter(({ by }) => by === undefined)) isRefused(t, await ask(stale, staleScene), 'insufficient_user_authentication', {}, name)
  const hans = await as('hans', 'helpdesk')
  isRefused(t, await hans.post(methods, { kind: 'officePhone', value: '+14155550144' }), 'forbidden', { rule: 'privileged_target' })
  isRefused(t, await hans.delete('/v1/users/boss/privilege'), 'forbidden', { rule: 'role' })
  const app = await service.as({ tenant, subject: 'directory', kind: 'app', scopes: ['users:write'] })
  isRefused(t, await app.put('/v1/users/boss', { status: 'disabled' }), 'forbidden', { rule: 'privileged_target' })
  isRefused(t, await app.delete('/v1/users/boss/privilege'), 'forbidden', { rule: 'scope' })
  t.same((await paul.get('/v1/approvals')).body.items, [])
})

t.test('what need not wait does not: other fields, unprivileged users, a stronger policy, no change, locks and sessions', async (t) => {
  const { petra, pia, paul, as, methods, phone } = await withBoss(service)
  t.equal((await petra.put('/v1/users/boss', { displayName: 'The Boss', locale: 'fr', status: 'active' })).status, 200)
  t.equal((await petra.delete('/v1/users/boss/lockout')).status, 204)
  t.equal((await petra.post('/v1/users/boss/session-revocations')).status, 201)
  const again = await as('boss')
  t.equal((await again.patch(`${methods}/${phone}`, { label: 'mine' })).status, 200, 'the person themself')
  const ann = await as('ann')
  await ann.get('/v1/users/me')
  t.equal((await petra.put('/v1/users/ann', { signInEmail: 'ann@example.org', status: 'active' })).status, 200)
  t.equal((await petra.post('/v1/users/ann/contact-methods', { kind: 'officePhone', value: '+14155550144' })).status, 201)
  t.equal((await petra.delete('/v1/users/ann/privilege')).status, 204, 'there is nothing to clear')
  t.equal((await pia.patch('/v1/policy', { codes: { length: 8 } })).status, 200)
  t.equal((await pia.patch('/v1/organization', { securityContact: null, name: 'Other' })).status, 200)
  t.same((await paul.get('/v1/approvals')).body.items, [])
})

t.test('a dry run of a weaker policy says that it would wait', async (t) => {
  const { pia, paul } = await withBoss(service)
  t.match((await pia.patch('/v1/policy?dryRun=true', { emailCounts: true })).body, { dryRun: true, allowed: true, waitsForApproval: true, weaker: ['emailCounts'] })
  t.match((await pia.patch('/v1/policy?dryRun=true', { codes: { length: 8 } })).body, { dryRun: true, allowed: true, waitsForApproval: false, weaker: [] })
  t.same((await paul.get('/v1/approvals')).body.items, [])
})

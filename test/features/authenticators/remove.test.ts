import t from 'tap'
import { auditOf, isRefused, setPolicy } from '../../support/answers.ts'
import { read, verify } from '../../support/challenges.ts'
import { begunByPass, byPass, issued } from '../../support/passes.ts'
import { app, proofOf, registered, withProof } from '../../support/proofs.ts'
import { testService } from '../../support/service.ts'
import type { Role } from '../../../src/vocabulary.ts'

const service = await testService(t)
const path = (userId: string, id = '') => `/v1/users/${userId}/authenticators${id === '' ? '' : `/${id}`}`

async function scene () {
  const tenant = await service.tenant()
  const as = (subject: string, ...roles: Role[]) => service.as({ tenant, subject, roles })
  const ann = await as('ann')
  await ann.get('/v1/users/me')
  return { tenant, as, ann, petra: await as('petra', 'privilegedAdmin'), hans: await as('hans', 'helpdesk') }
}

t.test('who removes it: the person, the help desk, an app with the person\'s proof; it is void with its challenges', async (t) => {
  const { tenant, ann, hans } = await scene()
  const payroll = await service.as({ tenant, subject: 'payroll', kind: 'app', scopes: ['contact-methods:write', 'contact-methods:read'] })
  for (const [who, client, userId] of [['ann', ann, 'me'], ['hans', hans, 'ann'], ['payroll', payroll, 'ann']] as const) {
    const pass = await issued(hans, 'ann')
    const { id } = await begunByPass(ann)
    const proof = who === 'payroll' ? withProof(await proofOf(service, tenant, { userId: 'ann', starter: app('payroll') })) : {}
    if (who === 'payroll') isRefused(t, await client.delete(path(userId, pass.authenticatorId)), 'proof_required')
    const { status, text } = await client.delete(path(userId, pass.authenticatorId), proof)
    t.match({ status, text }, { status: 204, text: '' }, who)
    t.match((await read(ann, id)).body, { status: 'canceled' })
    isRefused(t, await verify(ann, id, pass.value), 'challenge_canceled')
    isRefused(t, await byPass(ann), 'no_usable_method')
    t.same((await client.get(path(userId))).body, { items: [] })
    for (const again of [await client.delete(path(userId, pass.authenticatorId), proof), await client.get(path(userId, pass.authenticatorId))]) isRefused(t, again, 'not_found')
    t.match((await auditOf(service, tenant, 'action=pass.voided'))[0], { actor: { id: who }, userId: 'ann', details: { authenticatorId: pass.authenticatorId, reason: 'removed' } })
  }
})

t.test('a password, or a proof to register, is not enough to take the way back in away', async (t) => {
  const { tenant, hans } = await scene()
  const thief = await service.as({ tenant, subject: 'ann', amr: ['pwd'] })
  const pass = await issued(hans, 'ann', { oneTime: false })
  isRefused(t, await thief.delete(path('me', pass.authenticatorId)), 'proof_required', {}, 'not even where a password registers')
  const recovery = withProof(await proofOf(service, tenant, { userId: 'ann', purpose: 'recovery', channel: 'temporaryAccessPass' }))
  isRefused(t, await thief.delete(path('me', pass.authenticatorId), recovery), 'proof_required')
  await registered(service, tenant, 'ann', ['mobilePhone'])
  isRefused(t, await thief.delete(path('me', pass.authenticatorId)), 'proof_required')
  const { proof } = (await verify(thief, (await begunByPass(thief, 'me', { purpose: 'stepUp' })).id, pass.value)).body
  t.equal((await thief.delete(path('me', pass.authenticatorId), withProof(proof))).status, 204, 'who has the pass may')
})

t.test('of a privileged user it waits for a second approver, and is judged again', async (t) => {
  const { tenant, as, petra, hans } = await scene()
  const pass = await issued(petra, 'ann')
  await petra.put('/v1/users/ann', { privileged: true })
  isRefused(t, await hans.delete(path('ann', pass.authenticatorId)), 'forbidden', { rule: 'privileged_target' })
  isRefused(t, await petra.delete(path('ann', pass.authenticatorId), { 'if-match': '"2"' }), 'version_mismatch')
  isRefused(t, await petra.delete(path('ann', crypto.randomUUID())), 'not_found')
  const [one, two] = [await petra.delete(path('ann', pass.authenticatorId), { 'if-match': '"1"' }), await petra.delete(path('ann', pass.authenticatorId))]
  t.match(one, { status: 202, headers: { location: `/v1/approvals/${one.body.approvalId}` }, body: { status: 'pendingApproval' } })
  t.equal((await petra.get(path('ann'))).body.items.length, 1)
  const paul = await as('paul', 'privilegedAdmin')
  t.equal((await paul.post(`/v1/approvals/${one.body.approvalId}/approve`)).status, 200)
  t.same((await petra.get(path('ann'))).body.items, [])
  isRefused(t, await paul.post(`/v1/approvals/${two.body.approvalId}/approve`), 'not_found', {}, 'there is nothing left to do')
  t.match(await auditOf(service, tenant, 'action=pass.voided'), [{ actor: { id: 'petra' }, details: { approver: 'paul' } }])
})

t.test('who sees it: the person, readers, apps that read methods; others hear 404', async (t) => {
  const { tenant, as, ann, hans } = await scene()
  const pass = await issued(hans, 'ann')
  const reads = await service.as({ tenant, subject: 'payroll', kind: 'app', scopes: ['contact-methods:read'] })
  for (const client of [hans, await as('rita', 'reader'), reads]) {
    t.match((await client.get(path('ann'))).body, { items: [{ id: pass.authenticatorId, kind: 'temporaryAccessPass', status: 'active' }] })
    const one = await client.get(path('ann', pass.authenticatorId.toUpperCase()))
    t.match(one, { status: 200, headers: { etag: '"1"' } })
    t.equal((await client.get(path('ann', pass.authenticatorId), { 'if-none-match': '"1"' })).status, 304)
  }
  t.equal((await ann.get(`${path('me')}?limit=1`)).body.items.length, 1)
  isRefused(t, await ann.get(`${path('me')}?cursor=x`), 'invalid_cursor')
  isRefused(t, await ann.get(`${path('me')}?limit=0`), 'validation_failed', { parameter: 'limit' })
  const others = [await as('bob'), await as('pia', 'policyAdmin'), await service.as({ tenant, subject: 'x', kind: 'app', scopes: ['challenges:write'] }), await service.as({ tenant: await service.tenant(), subject: 'nora', roles: ['privilegedAdmin'] })]
  for (const client of others) for (const url of [path('ann'), path('ann', pass.authenticatorId)]) isRefused(t, await client.get(url), 'not_found')
  isRefused(t, await others[0]!.delete(path('ann', pass.authenticatorId)), 'not_found')
  isRefused(t, await others[0]!.delete(path('me', pass.authenticatorId)), 'not_found')
  isRefused(t, await hans.get(path('nobody')), 'not_found')
  t.equal((await ann.get(path('me'))).body.items.length, 1)
  await setPolicy(service, tenant, { pass: { minutes: 30 } })
  t.equal((await ann.delete(path('me', pass.authenticatorId))).status, 204, 'a policy that changed leaves it as it is')
})

import t from 'tap'
import { approve, read, reject, waitingIn, withBoss } from '../../support/approvals.ts'
import { auditOf, isRefused } from '../../support/answers.ts'
import { moveClock, testService, type Client } from '../../support/service.ts'

const service = await testService(t)
const pass = '/v1/users/boss/authenticators/temporary-access-pass'
const collect = (client: Client, approvalId: string, headers?: Record<string, string>) => client.post(`/v1/approvals/${approvalId}/collect`, {}, headers)

t.test('a pass that was approved is made when its requester collects it, and shown to them once', async (t) => {
  const { tenant, petra, paul, pia, as } = await withBoss(service)
  const approvalId = waitingIn(await petra.post(pass, { lifetimeMinutes: 30, oneTime: true }))
  isRefused(t, await collect(petra, approvalId), 'approval_closed', {}, 'not before it is approved')
  const approved = await approve(paul, approvalId)
  t.match(approved, { status: 200, body: { status: 'completed', collectable: true, collectedAt: null } })
  t.equal(Date.parse(approved.body.collectUntil) - Date.parse(approved.body.decidedAt), 30 * 60_000)
  t.equal(approved.body.temporaryAccessPass, undefined, 'the approver sees none')

  for (const other of [paul, pia]) isRefused(t, await collect(other, approvalId), 'not_found', {}, 'to anyone else there is nothing')
  for (const role of ['helpdesk', 'reader'] as const) isRefused(t, await collect(await as(`a-${role}`, role), approvalId), 'forbidden', { rule: 'role' })
  const key = { 'idempotency-key': 'mine' }
  const collected = await collect(petra, approvalId, key)
  const { temporaryAccessPass, ...approval } = collected.body
  t.match(temporaryAccessPass, { value: /^.{8,48}$/, oneTime: true })
  t.same(Object.keys(temporaryAccessPass), ['authenticatorId', 'value', 'startsAt', 'expiresAt', 'oneTime'])
  t.equal(Date.parse(temporaryAccessPass.expiresAt) - Date.parse(temporaryAccessPass.startsAt), 30 * 60_000)
  t.same(approval, (await read(paul, approvalId)).body)
  t.match(approval, { status: 'completed', collectable: false, collectedAt: String })

  const replayed = await collect(petra, approvalId, key)
  t.equal(replayed.headers['idempotent-replayed'], 'true')
  t.same(replayed.body, { ...collected.body, temporaryAccessPass: { ...temporaryAccessPass, value: null } }, 'a repeated answer does not show it again')
  isRefused(t, await collect(petra, approvalId), 'approval_closed', {}, 'once')
  t.match(await auditOf(service, tenant, 'action=approval.collected'), [{ actor: { id: 'petra' }, userId: 'boss', details: { approvalId, action: 'temporaryAccessPass.issue' } }])
  t.match(await auditOf(service, tenant, 'action=pass.issued'), [{ actor: { id: 'petra' }, details: { approvalId, approver: 'paul' } }])
})

t.test('what is rejected, has nothing to give or is over 30 minutes past its approval is not collected', async (t) => {
  const { petra, paul, phone, methods } = await withBoss(service)
  const [rejected, late] = [waitingIn(await petra.post(pass)), waitingIn(await petra.post(pass))]
  const other = waitingIn(await petra.patch(`${methods}/${phone}`, { label: 'x' }))
  await reject(paul, rejected)
  await approve(paul, other)
  await approve(paul, late)
  isRefused(t, await collect(petra, rejected), 'approval_closed')
  isRefused(t, await collect(petra, other), 'approval_closed')
  await moveClock(petra, 1_801)
  t.match((await read(petra, late)).body, { status: 'completed', collectable: false })
  isRefused(t, await collect(petra, late), 'approval_closed')
  t.same((await petra.get('/v1/users/boss/authenticators')).body.items, [], 'no pass was made')
})

t.test('what was collected is judged as things are then', async (t) => {
  const { tenant, petra, paul, pia } = await withBoss(service)
  const approvalId = waitingIn(await petra.post(pass, { lifetimeMinutes: 480 }))
  await approve(paul, approvalId)
  await pia.patch('/v1/policy', { pass: { maxMinutes: 60 } })
  isRefused(t, await collect(petra, approvalId), 'policy_out_of_bounds')
  const helpdesk = await service.as({ tenant, subject: 'petra', roles: ['policyAdmin'] })
  isRefused(t, await collect(helpdesk, approvalId), 'forbidden', { rule: 'privileged_target' }, 'without the role there is none')
  t.match((await read(petra, approvalId)).body, { collectable: true, collectedAt: null }, 'what was refused took nothing')
})

import t from 'tap'
import { approve, read, reject, waitingIn, withBoss } from '../../support/approvals.ts'
import { auditOf, isRefused } from '../../support/answers.ts'
import { moveClock, testService } from '../../support/service.ts'

const service = await testService(t)

t.test('what waits is shown to whoever asked and to privileged administrators, and says all but what is personal', async (t) => {
  const { petra, paul, pia, as, phone, methods } = await withBoss(service)
  const answer = await petra.patch(`${methods}/${phone}`, { value: '+14155550133', label: 'New' })
  t.same(answer.body, { status: 'pendingApproval', approvalId: waitingIn(answer) })
  const { approvalId } = answer.body
  const shown = (await read(paul, approvalId)).body
  t.same(shown, {
    id: approvalId, status: 'pending', action: 'contactMethod.change', summary: 'Change a contact method of a privileged user', userId: 'boss', resourceId: phone,
    details: { fields: ['value', 'label'], display: '+1 ••• ••• ••33' }, requestedBy: 'petra', requestedAt: shown.requestedAt, expiresAt: shown.expiresAt, decidedBy: null, decidedAt: null,
    collectable: false, collectUntil: null, collectedAt: null,
  })
  t.equal(Date.parse(shown.expiresAt) - Date.parse(shown.requestedAt), 30 * 60_000, 'for 30 minutes')
  t.same((await read(petra, approvalId)).body, shown)
  isRefused(t, await read(pia, approvalId), 'not_found', {}, 'a policy administrator sees what they asked for')
  for (const role of ['helpdesk', 'reader', 'auditor'] as const) isRefused(t, await read(await as(`a-${role}`, role), approvalId), 'forbidden', { rule: 'role' }, role)
  isRefused(t, await read(await as('ann'), approvalId), 'forbidden', { rule: 'role' })
  isRefused(t, await read(await service.as({ tenant: await service.tenant(), subject: 'petra', roles: ['privilegedAdmin'] }), approvalId), 'not_found', {}, 'another tenant')
  isRefused(t, await paul.get('/v1/approvals/0199c0de-0000-7000-8000-00000000dead'), 'not_found')
})

t.test('the list is paged, newest first, filtered by status, and holds only their own for a policy administrator', async (t) => {
  const { petra, paul, pia, phone, methods, as } = await withBoss(service)
  const ids: string[] = []
  for (const label of ['a', 'b', 'c']) ids.unshift(waitingIn(await petra.patch(`${methods}/${phone}`, { label })))
  const mine = waitingIn(await pia.patch('/v1/policy', { emailCounts: true }))
  const listed = async (client: typeof petra, query = '') => (await client.get(`/v1/approvals?${query}`)).body.items.map(({ id }: { id: string }) => id)
  t.same(await listed(paul), [mine, ...ids])
  t.same(await listed(petra), [mine, ...ids])
  t.same(await listed(pia), [mine])
  await approve(paul, ids[0]!)
  await reject(paul, ids[1]!)
  t.same(await listed(paul, 'status=completed'), [ids[0]])
  t.same(await listed(paul, 'status=rejected'), [ids[1]])
  t.same(await listed(paul, 'status=pending'), [mine, ids[2]])
  t.same(await listed(paul, 'status=expired'), [])
  const first = (await paul.get('/v1/approvals?limit=3')).body
  t.same([...first.items, ...(await paul.get(`/v1/approvals?limit=3&cursor=${first.nextCursor}`)).body.items].map(({ id }) => id), [mine, ...ids])
  isRefused(t, await paul.get(`/v1/approvals?status=pending&cursor=${first.nextCursor}`), 'invalid_cursor')
  isRefused(t, await paul.get('/v1/approvals?status=open'), 'validation_failed', { parameter: 'status' })
  await moveClock(petra, 1801)
  t.same(await listed(paul, 'status=pending'), [])
  t.same(await listed(paul, 'status=expired'), [mine, ids[2]])
  isRefused(t, await (await as('ann')).get('/v1/approvals'), 'forbidden', { rule: 'role' })
})

t.test('a second privileged administrator approves, it is carried out, and the log names both', async (t) => {
  const { tenant, petra, paul, boss, phone, methods } = await withBoss(service)
  const approvalId = waitingIn(await petra.patch(`${methods}/${phone}`, { label: 'Desk' }))
  t.match((await boss.get(`${methods}/${phone}`)).body, { label: null }, 'nothing is changed before')
  const approved = await paul.post(`/v1/approvals/${approvalId}/approve`, { note: 'Called back on +1 415 555 0132.' })
  t.match(approved, { status: 200, body: { status: 'completed', decidedBy: 'paul', collectable: false } })
  t.same(approved.body, (await read(petra, approvalId)).body)
  t.match((await boss.get(`${methods}/${phone}`)).body, { label: 'Desk' })
  const rows = await auditOf(service, tenant, 'userId=boss')
  t.match(rows[0], { action: 'contactMethod.changed', actor: { id: 'petra' }, details: { approvalId, approver: 'paul', fields: ['label'] } })
  t.match(rows[1], { action: 'approval.approved', actor: { id: 'paul' }, details: { approvalId, action: 'contactMethod.change', requester: 'petra', note: 'Called back on •••.' } })
  t.match(rows[2], { action: 'approval.requested', actor: { id: 'petra' }, details: { approvalId, action: 'contactMethod.change', fields: ['label'] } })
})

t.test('what is decided or expired is not decided again: 409 approval_closed', async (t) => {
  const { petra, paul, phone, methods, as } = await withBoss(service)
  const ask = async (label: string) => waitingIn(await petra.patch(`${methods}/${phone}`, { label }))
  const [approved, rejected, expired] = [await ask('a'), await ask('b'), await ask('c')]
  const third = await as('piet', 'privilegedAdmin')
  await approve(paul, approved)
  await reject(paul, rejected)
  for (const id of [approved, rejected]) for (const verdict of ['approve', 'reject']) isRefused(t, await third.post(`/v1/approvals/${id}/${verdict}`), 'approval_closed')
  await moveClock(petra, 1799 - 60)
  t.match((await read(paul, expired)).body, { status: 'pending' })
  await moveClock(petra, 1801)
  t.match((await read(paul, expired)).body, { status: 'expired', decidedBy: null })
  for (const verdict of ['approve', 'reject']) isRefused(t, await third.post(`/v1/approvals/${expired}/${verdict}`), 'approval_closed')
  t.match((await petra.get(`${methods}/${phone}`)).body, { label: 'a' })
})

t.test('rejecting does nothing of it; whoever asked withdraws it', async (t) => {
  const { tenant, petra, paul, pia, email, methods } = await withBoss(service)
  const first = waitingIn(await petra.delete(`${methods}/${email}`))
  t.match(await paul.post(`/v1/approvals/${first}/reject`, { note: 'Not her.' }), { status: 200, body: { status: 'rejected', decidedBy: 'paul' } })
  const second = waitingIn(await petra.delete(`${methods}/${email}`))
  t.match(await reject(petra, second), { status: 200, body: { status: 'rejected', decidedBy: 'petra' } })
  const third = waitingIn(await pia.patch('/v1/policy', { emailCounts: true }))
  t.match(await reject(pia, third), { status: 200, body: { status: 'rejected', decidedBy: 'pia' } }, 'a policy administrator, too')
  t.equal((await petra.get(`${methods}/${email}`)).status, 200)
  t.match(await auditOf(service, tenant, 'action=approval.rejected'), [{ actor: { id: 'pia' } }, { actor: { id: 'petra' } }, { actor: { id: 'paul' }, details: { approvalId: first, requester: 'petra', note: 'Not her.' } }])
})

t.test('nobody approves their own request or what is about themself, and only a privileged administrator with a second factor approves', async (t) => {
  const { tenant, petra, paul, pia, as, phone, methods } = await withBoss(service)
  const approvalId = waitingIn(await petra.patch(`${methods}/${phone}`, { label: 'x' }))
  isRefused(t, await approve(petra, approvalId), 'forbidden', { rule: 'own_request' })
  const boss = await as('boss', 'privilegedAdmin')
  isRefused(t, await approve(boss, approvalId), 'forbidden', { rule: 'self_administration' })
  isRefused(t, await reject(boss, approvalId), 'forbidden', { rule: 'self_administration' })
  isRefused(t, await approve(pia, approvalId), 'forbidden', { rule: 'role' })
  isRefused(t, await reject(pia, approvalId), 'not_found')
  for (const role of ['helpdesk', 'reader', 'auditor'] as const) isRefused(t, await approve(await as(`a-${role}`, role), approvalId), 'forbidden', { rule: 'role' })
  for (const verdict of ['approve', 'reject', 'collect']) {
    for (const stale of [{ authSecondsAgo: 700 }, { amr: ['pwd'] }]) {
      const client = await service.as({ tenant, subject: verdict === 'collect' ? 'petra' : 'paul', roles: ['privilegedAdmin'], ...stale })
      isRefused(t, await client.post(`/v1/approvals/${approvalId}/${verdict}`), 'insufficient_user_authentication', {}, `${verdict} ${JSON.stringify(stale)}`)
    }
    const app = await service.as({ tenant, subject: 'robot', kind: 'app', scopes: ['users:write', 'contact-methods:write', 'mfa-resets:write'] })
    isRefused(t, await app.post(`/v1/approvals/${approvalId}/${verdict}`), 'forbidden', { rule: 'scope' }, `an app: ${verdict}`)
  }
  const elsewhere = await service.as({ tenant: await service.tenant(), subject: 'paul', roles: ['privilegedAdmin'] })
  isRefused(t, await approve(elsewhere, approvalId), 'not_found')
  t.match((await read(paul, approvalId)).body, { status: 'pending' })
  t.match(await auditOf(service, tenant, 'action=approvals.approve&actor=petra'), [{ outcome: 'refused', userId: 'boss', details: { rule: 'own_request' } }])
})

t.test('the same request with the same key is asked for, approved and rejected once', async (t) => {
  const { petra, paul, methods } = await withBoss(service)
  const key = { 'idempotency-key': 'once' }
  const ask = () => petra.post(methods, { kind: 'officePhone', value: '+14155550144' }, key)
  const [first, again] = [await ask(), await ask()]
  t.same([again.status, again.body, again.headers.location, again.headers['idempotent-replayed']], [202, first.body, first.headers.location, 'true'])
  t.equal((await paul.get('/v1/approvals')).body.items.length, 1)
  const approvalId = waitingIn(first)
  const [done, replayed] = [await approve(paul, approvalId, key), await approve(paul, approvalId, key)]
  t.same([replayed.status, replayed.body], [200, done.body])
  isRefused(t, await approve(paul, approvalId), 'approval_closed', {}, 'without the key it is a second time')
})

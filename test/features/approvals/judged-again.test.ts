import { sql } from 'kysely'
import t from 'tap'
import { approve, read, waitingIn, withBoss } from '../../support/approvals.ts'
import { auditOf, isRefused } from '../../support/answers.ts'
import { testService } from '../../support/service.ts'
import { asSuperuser } from '../../support/superuser.ts'

const service = await testService(t)

t.test('a requester who was disabled or signed out meanwhile asks for nothing any more', async (t) => {
  const { tenant, paul, phone, methods, as } = await withBoss(service)
  const petra = await service.as({ tenant, subject: 'petra', roles: ['privilegedAdmin'], authSecondsAgo: 5 })
  const approvalId = waitingIn(await petra.patch(`${methods}/${phone}`, { label: 'x' }))
  const piet = await as('piet', 'privilegedAdmin')
  t.equal((await piet.post('/v1/users/petra/session-revocations')).status, 201)
  isRefused(t, await approve(paul, approvalId), 'forbidden', { rule: 'requester' }, 'signed out')

  const other = waitingIn(await piet.patch(`${methods}/${phone}`, { label: 'x' }))
  const disabling = waitingIn(await (await as('petra', 'privilegedAdmin')).put('/v1/users/piet', { status: 'disabled' }))
  t.equal((await approve(paul, disabling)).status, 200)
  isRefused(t, await approve(paul, other), 'forbidden', { rule: 'requester' }, 'disabled')
  t.match((await read(paul, other)).body, { status: 'pending', decidedBy: null })
  t.match((await paul.get(`${methods}/${phone}`)).body, { label: null })
})

t.test('the target, the method and the policy are judged as they are by then', async (t) => {
  const { tenant, petra, paul, pia, boss, phone, email, methods, as } = await withBoss(service)
  const removal = waitingIn(await petra.delete(`${methods}/${email}`))
  const naming = waitingIn(await petra.patch(`${methods}/${email}`, { label: 'x' }))
  const office = waitingIn(await petra.post(methods, { kind: 'officePhone', value: '+14155550144' }))
  const clearing = waitingIn(await petra.delete('/v1/users/boss/privilege'))
  t.equal((await boss.delete(`${methods}/${email}`)).status, 204)
  isRefused(t, await approve(paul, removal), 'not_found', {}, 'it is gone already')
  isRefused(t, await approve(paul, naming), 'not_found')
  await pia.patch('/v1/policy', { kinds: ['mobilePhone', 'alternateEmail'] })
  isRefused(t, await approve(paul, office), 'channel_not_available', { rule: 'policy.kinds' }, 'the policy has none any more')
  t.same((await paul.get('/v1/approvals?status=pending')).body.items.length, 4)

  t.equal((await approve(paul, clearing)).status, 200)
  t.match((await paul.get('/v1/users/boss')).body, { privileged: false })
  t.equal((await petra.put('/v1/users/boss', { privileged: true })).status, 200)
  const label = waitingIn(await petra.patch(`${methods}/${phone}`, { label: 'late' }))
  const secondClearing = waitingIn(await (await as('piet', 'privilegedAdmin')).delete('/v1/users/boss/privilege'))
  await approve(paul, secondClearing)
  t.equal((await approve(paul, label)).status, 200, 'whoever is not privileged any more needs no second approver, and it is done')
  t.match((await paul.get(`${methods}/${phone}`)).body, { label: 'late' })

  await asSuperuser(service, `update users set status = 'offboarded' where tenant_id = '${await service.tenantIdOf(tenant)}' and user_id = 'boss'`)
  await asSuperuser(service, `update users set privileged = true where tenant_id = '${await service.tenantIdOf(tenant)}' and user_id = 'boss'`)
  isRefused(t, await approve(paul, naming), 'user_offboarded')
  isRefused(t, await petra.delete('/v1/users/boss/privilege'), 'user_offboarded')
})

t.test('a request that was altered where it is stored is not carried out', async (t) => {
  const { tenant, petra, paul, phone, email, methods } = await withBoss(service)
  const ask = async (id: string) => waitingIn(await petra.patch(`${methods}/${id}`, { label: 'x' }))
  const other = await ask(email)
  const alterations: Record<string, string> = {
    'the requester': 'requester = \'boss\'', 'the target': 'user_id = \'petra\'', 'the action': 'action = \'privilege.clear\'', 'the resource': `resource_id = '${email}'`,
    'what the approver reads': 'details = \'{}\'', 'its time': 'expires_at = expires_at + interval \'1 day\'', 'a bit of the request': 'request = set_byte(request, 20, get_byte(request, 20) # 1)',
    'the request of another': `request = (select request from approvals where id = '${other}')`, 'its hash': 'request_mac = set_byte(request_mac, 0, get_byte(request_mac, 0) # 1)',
    'the request of another, with its hash': `(request, request_mac) = (select request, request_mac from approvals where id = '${other}')`, 'no request at all': 'request = null',
  }
  for (const [what, change] of Object.entries(alterations)) {
    const approvalId = await ask(phone)
    await asSuperuser(service, `update approvals set ${change} where id = '${approvalId}'`)
    isRefused(t, await approve(paul, approvalId), 'approval_closed', { rule: 'altered_request' }, what)
    t.match((await paul.get(`${methods}/${phone}`)).body, { label: null })
  }
  t.match(await auditOf(service, tenant, 'action=approval.altered'), [{ outcome: 'refused', actor: { id: 'paul' } }, {}])
  t.equal((await approve(paul, other)).status, 200, 'what was left alone is')
})

t.test('once nothing can come of it any more the request is erased', async (t) => {
  const { tenant, petra, paul, phone, methods } = await withBoss(service)
  const ask = async () => waitingIn(await petra.patch(`${methods}/${phone}`, { value: '+14155550144' }))
  const [approved, rejected, waiting] = [await ask(), await ask(), await ask()]
  await approve(paul, approved)
  await paul.post(`/v1/approvals/${rejected}/reject`)
  const tenantId = await service.tenantIdOf(tenant)
  const kept = async () => (await asSuperuser<{ id: string }>(service, `select id from approvals where request is not null and tenant_id = '${tenantId}'`)).map(({ id }) => id)
  t.same(await kept(), [waiting])
  t.notMatch(JSON.stringify(await asSuperuser(service, 'select * from approvals')), /4155550144/, 'and never in clear')
  const forget = () => service.owner.inTenant(tenantId, ({ db }) => sql`select forget_approvals(10)`.execute(db))
  await forget()
  t.same(await kept(), [waiting], 'not before its time is over')
  await petra.put('/v1/sandbox/clock', { offsetSeconds: 1_801 })
  await forget()
  t.same(await kept(), [])
  t.match((await read(paul, waiting)).body, { status: 'expired', action: 'contactMethod.change' }, 'what it was stays')
})

import t from 'tap'
import { auditOf, isRefused } from '../../support/answers.ts'
import { cancel, oneOfEachEnd, read, refusalOfEnd, start, started, verify } from '../../support/challenges.ts'
import { registered } from '../../support/proofs.ts'
import { nowhere } from '../../support/replicas.ts'
import { codeOf, testService } from '../../support/service.ts'

const service = await testService(t)

/** Ann with two phones, and an app that may challenge her. */
async function scene (on = service) {
  const tenant = await on.tenant()
  const ids = await registered(on, tenant, 'ann', ['mobilePhone', 'alternatePhone'])
  const payroll = await on.as({ tenant, subject: 'payroll', kind: 'app', scopes: ['challenges:write', 'sign-in:read'] })
  return { tenant, payroll, ids, ann: await on.as({ tenant, subject: 'ann' }), signIn: () => started(payroll, ids.mobilePhone!, { userId: 'ann', purpose: 'signIn' }) }
}

t.test('a canceled challenge has ended, and its right code is dead; its send counts all the same', async (t) => {
  const { tenant, payroll, ids, signIn } = await scene()
  const challenge = await signIn()
  const code = await codeOf(payroll, challenge.id)
  const other = await started(payroll, ids.alternatePhone!, { userId: 'ann', purpose: 'signIn' })
  const { status, body } = await cancel(payroll, challenge.id)
  t.equal(status, 200)
  t.strictSame(body, { ...challenge, status: 'canceled', endedAt: body.endedAt, delivery: 'sent' })
  t.ok(body.endedAt >= body.createdAt && body.endedAt < body.expiresAt)
  t.strictSame((await read(payroll, challenge.id)).body, body)
  isRefused(t, await verify(payroll, challenge.id, code), 'challenge_canceled')
  isRefused(t, await cancel(payroll, challenge.id), 'challenge_canceled')
  const again = await start(payroll, ids.mobilePhone!, { userId: 'ann', purpose: 'signIn' })
  isRefused(t, again, 'send_limited')
  t.notOk(again.body.challengeId, 'and there is no pending one to name')
  t.match((await read(payroll, other.id)).body, { status: 'pending' }, 'others go on')
  t.match(await auditOf(service, tenant, 'action=challenge.canceled'), [{ userId: 'ann', actor: { kind: 'app', id: 'payroll' }, details: { challengeId: challenge.id, purpose: 'signIn' } }])
})

t.test('what has not gone out yet is not sent any more', async (t) => {
  const stuck = await testService(t, { workerUrl: nowhere })
  const { tenant, payroll, signIn } = await scene(stuck)
  const challenge = await signIn()
  t.match((await cancel(payroll, challenge.id)).body, { status: 'canceled', delivery: 'failed' })
  const rows = await stuck.owner.inTenant(await stuck.tenantIdOf(tenant), ({ db }) => db.selectFrom('messages').select(['state', 'recipient', 'content']).execute())
  t.strictSame(rows, [{ state: 'failed', recipient: null, content: null }])
})

t.test('what has ended is not canceled', async (t) => {
  const eve = await service.as({ tenant: await service.tenant(), subject: 'eve' })
  for (const [end, id] of Object.entries(await oneOfEachEnd(eve))) {
    const before = (await read(eve, id)).body
    isRefused(t, await cancel(eve, id), refusalOfEnd[end as keyof typeof refusalOfEnd], {}, end)
    t.strictSame((await read(eve, id)).body, before)
  }
})

t.test('only who started it may; for everyone else it is a 404 and it goes on', async (t) => {
  const { tenant, payroll, ann, signIn } = await scene()
  const challenge = await signIn()
  const elsewhere = await service.tenant()
  const others = [ann, ...await Promise.all([
    service.as({ tenant, subject: 'hans', roles: ['helpdesk'] }), service.as({ tenant, subject: 'petra', roles: ['privilegedAdmin'] }),
    service.as({ tenant, subject: 'vpn', kind: 'app', scopes: ['challenges:write', 'sign-in:read'] }), service.as({ tenant, subject: 'payroll' }),
    service.as({ tenant, subject: 'payroll', kind: 'app', scopes: ['sign-in:read'] }), service.as({ tenant: elsewhere, subject: 'payroll', kind: 'app', scopes: ['challenges:write', 'sign-in:read'] }),
  ])]
  for (const other of others) isRefused(t, await cancel(other, challenge.id), 'not_found')
  isRefused(t, await cancel(payroll, crypto.randomUUID()), 'not_found')
  isRefused(t, await cancel(payroll, 'x'), 'validation_failed', { parameter: 'challengeId' })
  t.equal((await verify(payroll, challenge.id, await codeOf(payroll, challenge.id))).status, 200)
})

t.test('the same key tells the same again', async (t) => {
  const { payroll, signIn } = await scene()
  const challenge = await signIn()
  await codeOf(payroll, challenge.id)
  const key = { 'idempotency-key': 'once' }
  const first = await cancel(payroll, challenge.id, undefined, key)
  t.equal(first.status, 200)
  for (const body of [undefined, {}]) {
    const again = await cancel(payroll, challenge.id, body, key)
    t.match(again, { status: 200, headers: { 'idempotent-replayed': 'true' } })
    t.strictSame(again.body, first.body)
  }
  isRefused(t, await cancel(payroll, challenge.id, undefined, { 'idempotency-key': 'twice' }), 'challenge_canceled')
})

t.test('the body may be left away or say nothing; anything else is refused', async (t) => {
  const { payroll, ids, signIn } = await scene()
  const challenge = await signIn()
  isRefused(t, await cancel(payroll, challenge.id, { reason: 'x' }), 'validation_failed', { pointer: '/reason' })
  for (const body of ['null', '[]', '"x"']) isRefused(t, await cancel(payroll, challenge.id, body, { 'content-type': 'application/json' }), 'validation_failed', {}, body)
  t.match((await read(payroll, challenge.id)).body, { status: 'pending' })
  t.equal((await cancel(payroll, challenge.id, {})).status, 200)
  const other = await started(payroll, ids.alternatePhone!, { userId: 'ann', purpose: 'signIn' })
  t.equal((await cancel(payroll, other.id, '', { 'content-type': 'application/json' })).status, 200)
})

import t from 'tap'
import { failChallenge } from '../../../src/features/challenges/challenges.ts'
import { deliveryOf, pendingMethod, read, start, started, verify } from '../../support/challenges.ts'
import { codeOf, moveClock, otherCode, testService } from '../../support/service.ts'

const service = await testService(t)
const daySeconds = 86_400

t.test('only who started a challenge sees it: everyone else hears the same 404 as for one that is not there', async (t) => {
  const tenant = await service.tenant()
  const elsewhere = await service.tenant()
  const ann = await service.as({ tenant, subject: 'ann' })
  const app = await service.as({ tenant, subject: 'payroll', kind: 'app', scopes: ['challenges:write'] })
  const methodId = await pendingMethod(ann, { value: '+14155550101' })
  const challenge = await started(ann, methodId)
  const { delivery: _delivery, ...shown } = (await read(ann, challenge.id)).body
  const { delivery: _queued, ...told } = challenge
  t.strictSame(shown, told)

  const code = await codeOf(ann, challenge.id)
  const others = await Promise.all([
    service.as({ tenant, subject: 'bob' }),
    service.as({ tenant, subject: 'hans', roles: ['helpdesk'] }),
    service.as({ tenant, subject: 'petra', roles: ['privilegedAdmin'] }),
    service.as({ tenant, subject: 'ann', kind: 'app', scopes: ['challenges:write'] }),
    service.as({ tenant, subject: 'payroll', kind: 'app', scopes: ['challenges:write'] }),
    service.as({ tenant, subject: 'payroll', kind: 'app', scopes: ['users:read', 'contact-methods:read'] }),
    service.as({ tenant: elsewhere, subject: 'ann' }),
    service.as({ tenant: elsewhere, subject: 'payroll', kind: 'app', scopes: ['challenges:write'] }),
  ])
  const plain = (answer: Awaited<ReturnType<typeof read>>) => {
    const { 'x-request-id': _id, date: _date, ...headers } = answer.headers
    return { status: answer.status, headers, body: { ...answer.body, instance: null } }
  }
  const nothing = plain(await read(app, '0199c0de-0000-7000-8000-00000000dead'))
  t.match(nothing, { status: 404, body: { code: 'not_found' } })
  for (const other of others) {
    t.strictSame(plain(await read(other, challenge.id)), nothing)
    t.strictSame(plain(await verify(other, challenge.id, code)), nothing)
  }
  t.match((await read(ann, challenge.id)).body, { status: 'pending', attemptsRemaining: 5 }, 'nothing of it was counted')

  const limited = await service.as({ tenant, subject: 'ann', scopes: ['users:read'] })
  t.match((await read(limited, challenge.id)).body, { status: 403, code: 'forbidden', rule: 'scope' }, 'a token is limited to its scopes')
  t.match((await read(ann, 'nonsense')).body, { status: 400, code: 'validation_failed' })
  t.equal((await verify(ann, challenge.id, code)).status, 200)
})

t.test('every end state is told for at least 24 h after the end, by reading and by checking', async (t) => {
  const tenant = await service.tenant()
  const ann = await service.as({ tenant, subject: 'ann' })
  const challenges: Record<string, string> = {}

  const approved = await started(ann, await pendingMethod(ann, { value: '+14155550101' }))
  t.equal((await verify(ann, approved.id, await codeOf(ann, approved.id))).status, 200)
  challenges.approved = approved.id

  const exhausted = await started(ann, await pendingMethod(ann, { kind: 'alternatePhone', value: '+14155550102' }))
  const wrong = otherCode(await codeOf(ann, exhausted.id))
  for (let attempt = 0; attempt < 5; attempt++) await verify(ann, exhausted.id, wrong)
  challenges.exhausted = exhausted.id

  const methodId = await pendingMethod(ann, { kind: 'officePhone', value: '+14155550198' })
  const failing = await started(ann, methodId)
  await deliveryOf(ann, failing.id, 'failed')
  challenges.failed = failing.id

  const email = await pendingMethod(ann, { kind: 'alternateEmail', value: 'ann@example.org' })
  challenges.canceled = (await started(ann, email)).id
  await moveClock(ann, 31)
  challenges.expired = (await started(ann, email)).id

  const codes: Record<string, [number, string]> = {
    approved: [409, 'challenge_approved'], exhausted: [409, 'challenge_exhausted'], failed: [409, 'challenge_failed'], canceled: [409, 'challenge_canceled'], expired: [410, 'challenge_expired'],
  }
  for (const offsetSeconds of [31 + 602, 31 + 600 + daySeconds - 60]) {
    await moveClock(ann, offsetSeconds)
    for (const [status, id] of Object.entries(challenges)) {
      const { body } = await read(ann, id)
      t.match(body, { id, status }, `${status} after ${offsetSeconds} s`)
      t.ok(body.endedAt >= body.createdAt && body.endedAt <= body.expiresAt, 'ended in its time')
      const [httpStatus, code] = codes[status]!
      const { status: answered, body: problem } = await verify(ann, id, '000000')
      t.match({ answered, code: problem.code }, { answered: httpStatus, code })
      t.notOk('attemptsRemaining' in problem)
    }
  }
  t.equal((await read(ann, challenges.expired!)).body.endedAt, (await read(ann, challenges.expired!)).body.expiresAt)
})

t.test('an end state never turns into another: time does not expire what had ended, nor does a late failure', async (t) => {
  const tenant = await service.tenant()
  const ann = await service.as({ tenant, subject: 'ann' })
  const methodId = await pendingMethod(ann, { value: '+14155550101' })
  const first = await started(ann, methodId)
  await codeOf(ann, first.id)
  await moveClock(ann, 302)
  t.match((await read(ann, first.id)).body, { status: 'expired' })
  const tenantId = await service.tenantIdOf(tenant)
  await service.deps.db.inTenant(tenantId, (tx) => failChallenge(tx, first.id))
  t.match((await read(ann, first.id)).body, { status: 'expired' })

  const second = await started(ann, methodId)
  t.match((await read(ann, first.id)).body, { status: 'expired', endedAt: first.expiresAt }, 'a newer one does not cancel it any more')
  await ann.patch(`/v1/users/me/contact-methods/${methodId}`, { value: '+14155550102' })
  t.match((await read(ann, first.id)).body, { status: 'expired', endedAt: first.expiresAt })
  t.match((await read(ann, second.id)).body, { status: 'canceled' })
  t.equal((await start(ann, methodId)).status, 201)
})

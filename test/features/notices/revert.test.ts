import t from 'tap'
import { auditOf, isRefused } from '../../support/answers.ts'
import { pendingMethod, started, verify } from '../../support/challenges.ts'
import { act, at, changeValue, open, pathTo, press, registeredAnn, toldBy, valueOf } from '../../support/notices.ts'
import { codeOf, moveClock, testService } from '../../support/service.ts'

const service = await testService(t)
const methods = '/v1/users/me/contact-methods'
const day = 86_400

t.test('the old contact of a change brings its value back: the new one is gone, its codes are dead, and everyone hears of it', async (t) => {
  const { ann, tenant, phone } = await registeredAnn(service)
  const told = await toldBy(ann, () => changeValue(ann, phone, at.next))
  await ann.patch(`${methods}/${phone}`, { value: at.third })
  await moveClock(ann, 60)
  const challenge = await started(ann, phone, { purpose: 'stepUp' })
  const code = await codeOf(ann, challenge.id)
  const reverted = await toldBy(ann, () => press(service, pathTo(told, at.mobile)))
  t.match((await ann.get(`${methods}/${phone}`)).body, { value: at.mobile, display: '+1 ••• ••• ••32', status: 'active', isDefault: true, pendingChange: null })
  isRefused(t, await verify(ann, challenge.id, code), 'challenge_canceled')
  t.strictSame(reverted.map(({ to }) => to).toSorted(), [at.mobile, at.next, at.email, at.signIn].toSorted())
  t.notMatch(reverted.find(({ to }) => to === at.next)!.body, /not-me/, 'who lost it cannot freeze the user for that')
  t.match(reverted.find(({ to }) => to === at.email)!.body, /not-me/)
  t.match(await auditOf(service, tenant, 'action=contactMethod.reverted'), [{ userId: 'ann', actor: { kind: 'system', id: 'notice-link' }, details: { methodId: phone } }])
  t.match((await ann.get('/v1/users/me/lockout')).body, { frozenUntil: null })
  const next = await started(ann, phone, { purpose: 'stepUp' })
  t.equal((await verify(ann, next.id, await codeOf(ann, next.id))).status, 200, 'and it is used again')
})

t.test('the old sign-in e-mail brings itself back', async (t) => {
  const { ann, petra, tenant } = await registeredAnn(service)
  const told = await toldBy(ann, () => petra.put('/v1/users/ann', { signInEmail: 'thief@example.net' }))
  t.equal((await press(service, pathTo(told, at.signIn))).statusCode, 200)
  t.match((await ann.get('/v1/users/me')).body, { signInEmail: at.signIn })
  t.match((await petra.post('/v1/users/search', { email: at.signIn })).body.items, [{ userId: 'ann' }])
  t.equal((await auditOf(service, tenant, 'action=user.signInEmailReverted')).length, 1)
})

t.test('an old contact that had itself replaced another one less than 7 days before freezes instead; after 7 days it reverts', async (t) => {
  for (const [waitSeconds, deed] of [[7 * day - 60, 'freeze'], [7 * day + 60, 'revert']] as const) {
    const { tenant, ann, phone } = await registeredAnn(service)
    await changeValue(ann, phone, at.next)
    await moveClock(ann, waitSeconds)
    const told = await toldBy(ann, () => changeValue(ann, phone, at.third))
    const link = pathTo(told, at.next)
    t.match((await open(service, link)).body, deed === 'freeze' ? /stops every change/ : /brings back/)
    t.equal((await press(service, link)).statusCode, 200)
    const again = await service.as({ tenant, subject: 'ann' })
    t.equal(await valueOf(again, phone), deed === 'freeze' ? at.third : at.next)
    t.equal((await again.get('/v1/users/me/lockout')).body.frozenUntil === null, deed === 'revert')
  }
})

t.test('the first owner can undo both changes of a thief within 72 hours, who can undo nothing of that', async (t) => {
  const { ann, phone } = await registeredAnn(service)
  const first = await toldBy(ann, () => changeValue(ann, phone, at.next))
  const second = await toldBy(ann, () => changeValue(ann, phone, at.third))
  t.match((await open(service, pathTo(second, at.next))).body, /stops every change/)
  t.match(await press(service, pathTo(first, at.mobile)), { statusCode: 200, body: /in force again/ })
  t.equal(await valueOf(ann, phone), at.mobile)
})

t.test('unless the user was reset since: then the link is over and nothing comes back', async (t) => {
  const { ann, hans, phone } = await registeredAnn(service)
  const told = await toldBy(ann, () => changeValue(ann, phone, at.next))
  t.equal((await hans.post('/v1/users/ann/mfa-resets', { scope: 'methods', methodIds: [phone], reason: 'newDevice' })).status, 201)
  t.strictSame(await act(service, pathTo(told, at.mobile)), { status: 410, code: 'link_expired' })
})

t.test('what cannot come back freezes: the method was removed, or the value is another method\'s by now', async (t) => {
  const one = await registeredAnn(service)
  const removed = await toldBy(one.ann, () => changeValue(one.ann, one.email, 'other@example.org'))
  t.equal((await one.ann.delete(`${methods}/${one.email}`)).status, 204)
  t.match(await press(service, pathTo(removed, at.email)), { statusCode: 200, body: /frozen for 24 hours/ })

  const two = await registeredAnn(service)
  const taken = await toldBy(two.ann, () => changeValue(two.ann, two.phone, at.next))
  await pendingMethod(two.ann, { kind: 'alternatePhone', value: at.mobile })
  t.match(await press(service, pathTo(taken, at.mobile)), { statusCode: 200, body: /frozen for 24 hours/ })
})

import t from 'tap'
import { auditOf, isRefused } from '../../support/answers.ts'
import { pendingMethod, start, started, verify } from '../../support/challenges.ts'
import { at, changeValue, pathTo, press, registeredAnn, setSecurityContact, toldBy } from '../../support/notices.ts'
import { codeOf, moveClock, testService } from '../../support/service.ts'

const service = await testService(t)
const methods = '/v1/users/me/contact-methods'
const hour = 3_600

/** Ann, who has pressed the button of a notice about a removed method. */
async function frozen () {
  const around = await registeredAnn(service)
  await setSecurityContact(service, around.tenant)
  const pending = await pendingMethod(around.ann, { kind: 'alternatePhone', value: at.alternate })
  const waiting = await started(around.ann, pending)
  const code = await codeOf(around.ann, waiting.id)
  const before = await service.as({ tenant: around.tenant, subject: 'ann', authSecondsAgo: 30 })
  const app = await service.as({ tenant: around.tenant, subject: 'portal', kind: 'app', scopes: ['contact-methods:write', 'challenges:write', 'sign-in:read'] })
  const told = await toldBy(around.petra, () => changeValue(around.ann, around.email, 'other@example.org'))
  const alerts = await toldBy(around.petra, () => press(service, pathTo(told, at.signIn)))
  return { ...around, pending, waiting, code, before, app, alerts, ann: await service.as({ tenant: around.tenant, subject: 'ann' }) }
}

t.test('any other link freezes for 24 hours: sessions end, codes and proofs die, the user registers again, the security contact is alerted', async (t) => {
  const { tenant, ann, app, before, waiting, code, alerts } = await frozen()
  isRefused(t, await before.get('/v1/users/me'), 'invalid_token', {}, 'an earlier session')
  isRefused(t, await verify(ann, waiting.id, code), 'challenge_canceled')
  const { body } = await app.get('/v1/users/ann/sign-in-requirements')
  t.match(body, { state: 'reregistrationRequired', reason: 'compromised', next: 'wait', frozenUntil: String, sessionsValidFrom: String, devicesValidFrom: String, lockedUntil: null })
  t.ok(Math.abs(Date.parse(body.frozenUntil) - Date.parse(body.since) - 24 * hour * 1000) < 1000)
  t.match((await ann.get('/v1/users/me/lockout')).body, { frozenUntil: body.frozenUntil })
  t.match(alerts, [{ to: at.security, subject: 'Acme Ltd: someone said: this was not me', body: /a change of the account of user ann was not theirs/ }])
  t.equal(alerts.length, 1)
  t.match(await auditOf(service, tenant, 'action=user.frozen'), [{ userId: 'ann', actor: { kind: 'system', id: 'notice-link' }, outcome: 'done', details: { until: body.frozenUntil, notice: 'methodChanged' } }])
})

t.test('while frozen nothing of the user is changed, by whomever', async (t) => {
  const { ann, app, hans, phone, pending, email } = await frozen()
  const attempts = {
    add: ann.post(methods, { kind: 'officePhone', value: at.third }), change: ann.patch(`${methods}/${phone}`, { value: at.third }), label: ann.patch(`${methods}/${phone}`, { label: 'x' }),
    remove: ann.delete(`${methods}/${email}`), default: ann.put('/v1/users/me/default-method', { methodId: phone, channel: 'voice' }), verify: start(ann, pending),
    'an app adds': app.post('/v1/users/ann/contact-methods', { kind: 'officePhone', value: at.third }), 'an app changes': app.patch(`/v1/users/ann/contact-methods/${phone}`, { label: 'x' }),
    'an app verifies': app.post('/v1/challenges', { userId: 'ann', purpose: 'verifyContact', methodId: pending }), 'the help desk adds': hans.post('/v1/users/ann/contact-methods', { kind: 'officePhone', value: at.third }),
  }
  for (const [name, attempt] of Object.entries(attempts)) isRefused(t, await attempt, 'user_frozen', {}, name)
  const blind = await start(await service.as({ tenant: (await service.tenant()), subject: 'x', kind: 'app', scopes: ['challenges:write'] }), pending, { userId: 'ann' })
  t.equal(blind.status, 201, 'who may not know gets a decoy')
})

t.test('it ends after 24 hours by itself', async (t) => {
  const { tenant, petra, app } = await frozen()
  await moveClock(petra, 24 * hour - 60)
  t.match((await app.get('/v1/users/ann/sign-in-requirements')).body, { next: 'wait' })
  await moveClock(petra, 24 * hour + 5)
  t.match((await app.get('/v1/users/ann/sign-in-requirements')).body, { next: 'register', frozenUntil: null, state: 'reregistrationRequired' })
  const ann = await service.as({ tenant, subject: 'ann' })
  t.match((await ann.get('/v1/users/me/lockout')).body, { frozenUntil: null })
  t.not((await ann.post(methods, { kind: 'officePhone', value: at.third })).body.code, 'user_frozen')
})

t.test('an administrator lifts it with the lock, written down once; the person cannot', async (t) => {
  const { tenant, ann, hans, app } = await frozen()
  isRefused(t, await ann.delete('/v1/users/ann/lockout'), 'forbidden', { rule: 'role' })
  t.match((await ann.get('/v1/users/me/lockout')).body, { frozenUntil: String })
  for (let time = 0; time < 2; time++) t.equal((await hans.delete('/v1/users/ann/lockout')).status, 204)
  t.match((await app.get('/v1/users/ann/sign-in-requirements')).body, { next: 'register', frozenUntil: null })
  t.match(await auditOf(service, tenant, 'action=freeze.lifted'), [{ userId: 'ann', actor: { id: 'hans' } }])
  t.equal((await auditOf(service, tenant, 'action=freeze.lifted')).length, 1)
  t.equal((await hans.post('/v1/users/ann/contact-methods', { kind: 'officePhone', value: at.third })).status, 201)
})

t.test('an administrator may reset the user while it lasts', async (t) => {
  const { hans } = await frozen()
  t.equal((await hans.post('/v1/users/ann/mfa-resets', { scope: 'all', reason: 'compromised' })).status, 201)
})

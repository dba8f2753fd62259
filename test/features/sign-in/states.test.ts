import t from 'tap'
import { setPolicy } from '../../support/answers.ts'
import { countWrongCodes } from '../../support/limits.ts'
import { registered } from '../../support/proofs.ts'
import { codeOf, moveClock, otherCode, testService, verifiedMethod } from '../../support/service.ts'
import { person } from '../../support/sign-in.ts'
import { started, verify } from '../../support/challenges.ts'

const hour = 3600
const day = 24 * hour
const service = await testService(t)

/** Ann after a reset `secondsAgo`, which left a phone and an e-mail that were bound two days before. */
async function annAfterReset ({ reason = 'lostDevice', secondsAgo = 0, deadlineDays = null as number | null } = {}) {
  const scene = await person(service)
  const ids = await registered(service, scene.tenant, 'ann', ['mobilePhone', 'alternateEmail'])
  if (deadlineDays !== null) await setPolicy(service, scene.tenant, { registration: { deadlineDays } })
  const since = new Date(Date.now() - secondsAgo * 1000)
  await scene.asOwner('reregistration_since', since)
  await scene.asOwner('reregistration_reason', reason)
  return { ...scene, ids, since }
}

t.test('after a reset nothing that was verified before counts, and it proves who they are', async (t) => {
  const { read, ids, since } = await annAfterReset()
  t.strictSame((await read()).body, {
    userId: 'ann', state: 'reregistrationRequired', since: since.toISOString(), reason: 'lostDevice', next: 'register',
    registration: {
      missing: [{ count: 1, oneOf: ['passkey', 'totp', 'mobilePhone'] }], deadline: null,
      acceptedProofs: [
        { channel: 'temporaryAccessPass' }, { channel: 'sms', methodId: ids.mobilePhone, display: '+1 ••• ••• ••32' }, { channel: 'voice', methodId: ids.mobilePhone, display: '+1 ••• ••• ••32' },
        { channel: 'email', methodId: ids.alternateEmail, display: 's•••@example.org' },
      ],
    },
    methods: [], lockedUntil: null, frozenUntil: null, sessionsValidFrom: null, devicesValidFrom: null,
  })
})

t.test('once some of what is required was verified after the reset, it is in progress; once all is, registered again', async (t) => {
  const { tenant, ann, read, asOwner } = await person(service)
  await setPolicy(service, tenant, { registration: { required: [{ count: 1, oneOf: ['mobilePhone'] }, { count: 1, oneOf: ['officePhone'] }] } })
  await asOwner('reregistration_since', new Date())
  await asOwner('reregistration_reason', 'compromised')
  await verifiedMethod(ann, { kind: 'alternateEmail', value: 'ann@example.org' })
  t.match((await read()).body, { state: 'reregistrationRequired' }, 'an e-mail is not required')
  const phone = await verifiedMethod(ann, { kind: 'mobilePhone', value: '+14155550132' })
  const { body } = await read()
  t.match(body, { state: 'reregistrationInProgress', reason: 'compromised', next: 'register', methods: [{ id: phone.id }] })
  t.strictSame(body.registration.missing, [{ count: 1, oneOf: ['officePhone'] }])
  await verifiedMethod(ann, { kind: 'officePhone', value: '+14155550144' })
  t.match((await read()).body, { state: 'registered', since: null, reason: null, next: 'challenge', registration: { missing: [], acceptedProofs: [] } })
})

t.test('where the policy sets days, the deadline is told, and from then on the user is turned away', async (t) => {
  const { ann, read, since } = await annAfterReset({ deadlineDays: 7 })
  const deadline = new Date(since.getTime() + 7 * day * 1000).toISOString()
  t.match((await read()).body, { state: 'reregistrationRequired', registration: { deadline } })
  await moveClock(ann, 7 * day - 60)
  t.match((await read()).body, { state: 'reregistrationRequired' })
  await moveClock(ann, 7 * day)
  const { body } = await read()
  t.match(body, { state: 'reregistrationExpired', since: since.toISOString(), next: 'deny', registration: { deadline, missing: [{ count: 1 }] } })
  t.strictSame([body.methods, body.registration.acceptedProofs], [[], []])
})

t.test('the days are for registering again: someone who never registered has no deadline', async (t) => {
  const { tenant, ann, read } = await person(service)
  await setPolicy(service, tenant, { registration: { deadlineDays: 1 } })
  await moveClock(ann, 3 * day)
  t.match((await read()).body, { state: 'notRegistered', since: null, next: 'register', registration: { deadline: null } })
})

t.test('a method proves who they are once it has been what it is for a day, where the policy takes its kind, and no e-mail does after compromised', async (t) => {
  const { tenant, ann, read, asOwner } = await person(service)
  const proofs = async () => (await read()).body.registration.acceptedProofs.map(({ channel }: { channel: string }) => channel)
  await registered(service, tenant, 'ann', ['officePhone', 'alternateEmail'], 23.9)
  t.strictSame(await proofs(), ['temporaryAccessPass'], 'bound 23.9 hours ago')
  await moveClock(ann, hour)
  t.strictSame(await proofs(), ['temporaryAccessPass', 'voice', 'email'])
  await setPolicy(service, tenant, { registration: { proofs: ['phone', 'recoveryCode'] } })
  t.strictSame(await proofs(), ['voice'], 'nobody has recovery codes yet')
  await setPolicy(service, tenant, { registration: { proofs: ['alternateEmail'] } })
  t.strictSame(await proofs(), ['email'])
  await asOwner('reregistration_since', new Date())
  await asOwner('reregistration_reason', 'compromised')
  t.strictSame(await proofs(), [])
})

t.test('ten wrong codes make a user wait, and the lock is told until its end', async (t) => {
  const { ann, read } = await person(service)
  const { id } = await verifiedMethod(ann, { kind: 'mobilePhone', value: '+14155550132' })
  for (let challenge = 0; challenge < 2; challenge++) {
    if (challenge > 0) await moveClock(ann, 60)
    const { id: challengeId } = await started(ann, id, { purpose: 'stepUp' })
    const wrong = otherCode(await codeOf(ann, challengeId))
    for (let attempt = 0; attempt < 5; attempt++) {
      t.match((await read()).body, { state: 'registered', next: 'challenge', lockedUntil: null })
      await verify(ann, challengeId, wrong)
    }
  }
  const { body } = await read()
  t.match(body, { state: 'registered', next: 'wait', methods: [{ id }] }, 'the lock stands beside the state')
  const lastsSeconds = (Date.parse(body.lockedUntil) - Date.now()) / 1000 - 60
  t.ok(lastsSeconds > 880 && lastsSeconds < 901, `${lastsSeconds} s`)
  await moveClock(ann, 60 + 905)
  t.match((await read()).body, { next: 'challenge', lockedUntil: null })
})

t.test('a lock makes whoever must register wait, too, and changes nothing for whoever is turned away', async (t) => {
  const { tenant, read, asOwner } = await annAfterReset()
  await countWrongCodes(service, tenant, 'ann', { inARow: 10, lockedSeconds: 900 })
  const { body } = await read()
  t.match(body, { state: 'reregistrationRequired', next: 'wait', lockedUntil: /Z$/ })
  t.ok(body.registration.acceptedProofs.length > 1, 'what they can prove it with afterwards')
  await asOwner('status', 'disabled')
  t.match((await read()).body, { state: 'disabled', next: 'deny', lockedUntil: /Z$/ })
})

t.test('a method with 50 wrong codes in a row is none; where it is the last one, the user waits for an administrator', async (t) => {
  const { tenant, ann, read } = await person(service)
  const ids = await registered(service, tenant, 'ann', ['mobilePhone', 'officePhone', 'alternateEmail'])
  await countWrongCodes(service, tenant, 'ann', { inARow: 3, byMethod: { [ids.mobilePhone!]: 50, [ids.officePhone!]: 49 } })
  const { body } = await read()
  t.match(body, { state: 'registered', next: 'challenge' })
  t.strictSame(body.methods.map(({ id }: { id: string }) => id), [ids.officePhone])
  await countWrongCodes(service, tenant, 'ann', { inARow: 3, byMethod: { [ids.mobilePhone!]: 50, [ids.officePhone!]: 51 } })
  await moveClock(ann, 2 * day)
  const locked = await read()
  t.match(locked.body, { state: 'registered', next: 'wait', lockedUntil: null })
  t.strictSame(locked.body.methods, [])
  const hans = await service.as({ tenant, subject: 'hans', roles: ['helpdesk'] })
  await hans.delete('/v1/users/ann/lockout')
  t.match((await read()).body, { next: 'challenge', methods: [{ id: ids.mobilePhone }, { id: ids.officePhone }] })
})

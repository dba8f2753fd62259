import t from 'tap'
import { auditOf, isRefused, setPolicy, startVerification } from '../../support/answers.ts'
import { blockFor12Hours } from '../../support/limits.ts'
import { clientOf, codeOf, moveClock, testService, verifiedMethod, type Answer, type Client } from '../../support/service.ts'
import type { Caller } from '../../support/tokens.ts'

const service = await testService(t)
const fresh = { amr: ['pwd', 'mfa'], authSecondsAgo: 0 }

/** Ann and Ben with a phone each, and a blocked prefix. */
async function people () {
  const tenant = await service.tenant()
  await blockFor12Hours(service, tenant, '1212555')
  const ids: Record<string, string> = {}
  for (const subject of ['ann', 'ben']) ids[subject] = (await verifiedMethod(await service.as({ tenant, subject }), { kind: 'mobilePhone', value: '+14155550132' })).id
  return { tenant, ids, as: (caller: Omit<Caller, 'tenant'>) => service.as({ tenant, ...caller }) }
}

/** Every change that a person makes, for themself or as an administrator, and every reveal. */
const changes = (ids: Record<string, string>): Array<[string, Omit<Caller, 'tenant'>, (client: Client) => Promise<Answer>]> => [
  ...[{ subject: 'ann' }, { subject: 'hans', roles: ['helpdesk' as const] }].flatMap((caller): ReturnType<typeof changes> => {
    const path = '/v1/users/ann/contact-methods'
    return [
      [`${caller.subject} adds`, caller, (client) => client.post(path, { kind: 'alternatePhone', value: '+14155550144' })],
      [`${caller.subject} changes`, caller, (client) => client.patch(`${path}/${ids.ann}`, { label: 'Mine' })],
      [`${caller.subject} chooses`, caller, (client) => client.put('/v1/users/ann/default-method', { methodId: ids.ann })],
      [`${caller.subject} removes`, caller, (client) => client.delete(`${path}/${ids.ann}`)],
    ]
  }),
  ['petra puts a user', { subject: 'petra', roles: ['privilegedAdmin'] }, (client) => client.put('/v1/users/ann', { displayName: 'Ann' })],
  ['petra reveals a list', { subject: 'petra', roles: ['privilegedAdmin'] }, (client) => client.get('/v1/users/ann/contact-methods?reveal=true')],
  ['petra reveals a method', { subject: 'petra', roles: ['privilegedAdmin'] }, (client) => client.get(`/v1/users/ann/contact-methods/${ids.ann}?reveal=true`)],
  ['petra reveals a user', { subject: 'petra', roles: ['privilegedAdmin'] }, (client) => client.get('/v1/users/ann?reveal=true')],
  ['pia changes the policy', { subject: 'pia', roles: ['policyAdmin'] }, (client) => client.patch('/v1/policy', { codes: { length: 8 } })],
  ['pia tries a policy', { subject: 'pia', roles: ['policyAdmin'] }, (client) => client.patch('/v1/policy?dryRun=true', { codes: { length: 8 } })],
  ['hans lifts a lock', { subject: 'hans', roles: ['helpdesk'] }, (client) => client.delete('/v1/users/ann/lockout')],
  ['ben revokes his sessions', { subject: 'ben' }, (client) => client.post('/v1/users/me/session-revocations')],
  ['hans revokes sessions', { subject: 'hans', roles: ['helpdesk'] }, (client) => client.post('/v1/users/ben/session-revocations')],
  ['pia lifts a block', { subject: 'pia', roles: ['policyAdmin'] }, (client) => client.delete('/v1/fraud/prefix-blocks/1212555')],
  ['pia changes the organisation', { subject: 'pia', roles: ['policyAdmin'] }, (client) => client.patch('/v1/organization', { name: 'New Ltd' })],
]

t.test('each change asks for a second factor at most 10 minutes old: 401 with max_age, and nothing happens', async (t) => {
  const { tenant, ids, as } = await people()
  const unfit = [
    ['older than 10 minutes', { ...fresh, authSecondsAgo: 605 }], ['a password only', { ...fresh, amr: ['pwd'] }], ['no amr at all', { ...fresh, amr: [] }],
    ['what is no second factor', { ...fresh, amr: ['pwd', 'pin', 'kba', 'user', 'face', 'OTP'] }],
  ] as const
  for (const [name, caller, change] of changes(ids)) {
    for (const [why, factor] of unfit) {
      const answer = await change(await as({ ...caller, ...factor }))
      isRefused(t, answer, 'insufficient_user_authentication', {}, `${name}, ${why}`)
      t.match(answer.headers['www-authenticate'], /^Bearer realm="latchkey", error="insufficient_user_authentication", error_description="[^"]+", max_age="600"$/)
    }
  }
  const done = (await auditOf(service, tenant)).filter(({ outcome, action }) => outcome === 'done' && /revealed|^user\.changed|^policy|^organization|removed|contactMethod\.changed|chosen|lifted|revoked/.test(action))
  t.same(done, [], 'no change was made')
  t.ok((await auditOf(service, tenant, 'action=contactMethods.write')).every(({ outcome, details }) => outcome === 'refused' && details.code === 'insufficient_user_authentication'))
})

t.test('with a fresh one each of them works', async (t) => {
  const { ids, as } = await people()
  for (const [name, caller, change] of changes(ids)) {
    const { status, body } = await change(await as({ ...caller, ...fresh, authSecondsAgo: 590 }))
    // The same kind or number twice, and the last method: judged after the second factor, and refused for their own sake.
    t.ok(status < 300 || ['duplicate_method', 'method_limit_reached', 'last_method'].includes(body.code), `${name} ${status}`)
  }
})

t.test('a token without auth_time never steps up', async (t) => {
  const { tenant, ids } = await people()
  const client = clientOf(service, await service.issuer.tokenOf({ tenant, subject: 'ann' }, { auth_time: undefined }))
  isRefused(t, await client.patch(`/v1/users/me/contact-methods/${ids.ann}`, { label: 'x' }), 'insufficient_user_authentication')
})

t.test('the second factor must be as strong as the strongest method: passkey > totp > phone > e-mail', async (t) => {
  const tenant = await service.tenant()
  const withPhone = await verifiedMethod(await service.as({ tenant, subject: 'phone' }), { kind: 'mobilePhone', value: '+14155550132' })
  await verifiedMethod(await service.as({ tenant, subject: 'phone' }), { kind: 'alternateEmail', value: 'phone@example.org' })
  const withEmail = await verifiedMethod(await service.as({ tenant, subject: 'email' }), { kind: 'alternateEmail', value: 'email@example.org' })
  await setPolicy(service, tenant, { registration: { firstRegistration: 'proof' } })
  const rename = async (subject: string, id: string, amr: string[]) => (await service.as({ tenant, subject, amr })).patch(`/v1/users/me/contact-methods/${id}`, { label: amr.join(' ') || 'none' })

  for (const amr of [['hwk'], ['swk', 'user'], ['sc'], ['pwd', 'otp'], ['pwd', 'mfa'], ['pwd', 'sms'], ['otp', 'sms'], ['pwd', 'otp', 'tel']]) {
    t.equal((await rename('phone', withPhone.id, amr)).status, 200, `phone: ${amr.join(' ')}`)
    t.equal((await rename('email', withEmail.id, amr)).status, 200, `e-mail: ${amr.join(' ')}`)
  }
  for (const amr of [['pwd', 'email'], ['otp', 'email']]) {
    isRefused(t, await rename('phone', withPhone.id, amr), 'insufficient_user_authentication', {}, `phone: ${amr.join(' ')}`)
    t.equal((await rename('email', withEmail.id, amr)).status, 200, `e-mail: ${amr.join(' ')}`)
  }
})

t.test('only active methods count for the strength', async (t) => {
  const tenant = await service.tenant()
  const ann = await service.as({ tenant, subject: 'ann' })
  const { body: pending } = await ann.post('/v1/users/me/contact-methods', { kind: 'mobilePhone', value: '+14155550132' })
  await setPolicy(service, tenant, { registration: { firstRegistration: 'proof' } })
  const byEmail = await service.as({ tenant, subject: 'ann', amr: ['pwd', 'email'] })
  t.equal((await byEmail.patch(`/v1/users/me/contact-methods/${pending.id}`, { label: 'x' })).status, 200)
  await setPolicy(service, tenant, { emailCounts: true })
  const challenge = await startVerification(ann, pending.id)
  await ann.post(`/v1/challenges/${challenge}/verify`, { code: await codeOf(ann, challenge) })
  isRefused(t, await byEmail.patch(`/v1/users/me/contact-methods/${pending.id}`, { label: 'y' }), 'insufficient_user_authentication')
})

t.test('an administrator\'s own methods decide how strong they must be', async (t) => {
  const { tenant, as } = await people()
  await verifiedMethod(await as({ subject: 'hans', roles: ['helpdesk'] }), { kind: 'mobilePhone', value: '+14155550177' })
  const byEmail = await as({ subject: 'hans', roles: ['helpdesk'], amr: ['pwd', 'email'] })
  isRefused(t, await byEmail.post('/v1/users/ben/contact-methods', { kind: 'alternateEmail', value: 'ben@example.org' }), 'insufficient_user_authentication')
  const bySms = await service.as({ tenant, subject: 'hans', roles: ['helpdesk'], amr: ['pwd', 'sms'] })
  t.equal((await bySms.post('/v1/users/ben/contact-methods', { kind: 'alternateEmail', value: 'ben@example.org' })).status, 201)
})

t.test('reading, and starting and checking a challenge, ask for none', async (t) => {
  const { tenant, ids, as } = await people()
  const ann = await as({ subject: 'ann' })
  await ann.patch(`/v1/users/me/contact-methods/${ids.ann}`, { value: '+14155550144' })
  const stale = await service.as({ tenant, subject: 'ann', amr: ['pwd'], authSecondsAgo: 100_000 })
  for (const path of ['/v1/users/me', '/v1/users/me/contact-methods', `/v1/users/me/contact-methods/${ids.ann}`]) t.equal((await stale.get(path)).status, 200, path)
  const challenge = await startVerification(stale, ids.ann!)
  t.equal((await stale.get(`/v1/challenges/${challenge}`)).status, 200)
  t.equal((await stale.post(`/v1/challenges/${challenge}/verify`, { code: await codeOf(stale, challenge) })).status, 200)
})

t.test('the sandbox clock does not age a second factor', async (t) => {
  const { ids, as } = await people()
  const ann = await as({ subject: 'ann' })
  await moveClock(ann, 40 * 86_400)
  t.equal((await ann.patch(`/v1/users/me/contact-methods/${ids.ann}`, { label: 'x' })).status, 200)
  t.equal((await ann.get(`/v1/users/me/contact-methods/${ids.ann}`)).body.value, '+14155550132', 'nor its 12 hours')
})

import t from 'tap'
import { auditOf, isRefused, setPolicy, startVerification } from '../../support/answers.ts'
import { app, approved, proofOf, registered, withProof, type Grant } from '../../support/proofs.ts'
import { codeOf, moveClock, testService, type Answer, type Client } from '../../support/service.ts'
import { signProof } from '../../../src/features/proofs/proofs.ts'
import type { Role } from '../../../src/vocabulary.ts'

const service = await testService(t)
const phone = { kind: 'mobilePhone', value: '+14155550144' }
const mine = '/v1/users/me/contact-methods'
const anns = '/v1/users/ann/contact-methods'

/** Ann, registered two days ago, and whoever comes with a proof of theirs beside a token that is not enough. */
async function people () {
  const tenant = await service.tenant()
  const ids = await registered(service, tenant, 'ann', ['mobilePhone', 'officePhone'])
  const as = (subject: string, roles: Role[] = [], token: { amr?: string[], authSecondsAgo?: number } = { amr: ['pwd'] }) => service.as({ tenant, subject, roles, ...token })
  return { tenant, ids, as, proof: (grant: Grant) => proofOf(service, tenant, grant) }
}

t.test('a step-up proof stands in for a fresh second factor, for every change a person makes', async (t) => {
  const { tenant, ids, as } = await people()
  const changes: Array<[string, string, Role[], (client: Client, headers: Record<string, string>) => Promise<Answer>]> = [
    ['adds', 'ann', [], (client, headers) => client.post(mine, { kind: 'alternateEmail', value: 'ann@example.org' }, headers)],
    ['changes', 'ann', [], (client, headers) => client.patch(`${mine}/${ids.mobilePhone}`, { value: '+14155550155' }, headers)],
    ['chooses', 'ann', [], (client, headers) => client.put('/v1/users/me/default-method', { methodId: ids.officePhone }, headers)],
    ['removes', 'ann', [], (client, headers) => client.delete(`${mine}/${ids.officePhone}`, headers)],
    ['adds for someone', 'hans', ['helpdesk'], (client, headers) => client.post(anns, { kind: 'alternatePhone', value: '+14155550166' }, headers)],
    ['puts a user', 'petra', ['privilegedAdmin'], (client, headers) => client.put('/v1/users/ann', { displayName: 'Ann' }, headers)],
    ['reveals', 'petra', ['privilegedAdmin'], (client, headers) => client.get(`${anns}?reveal=true`, headers)],
    ['reveals one', 'petra', ['privilegedAdmin'], (client, headers) => client.get(`${anns}/${ids.mobilePhone}?reveal=true`, headers)],
    ['changes the policy', 'pia', ['policyAdmin'], (client, headers) => client.patch('/v1/policy', { codes: { length: 8 } }, headers)],
    ['changes the organisation', 'pia', ['policyAdmin'], (client, headers) => client.patch('/v1/organization', { name: 'New Ltd' }, headers)],
  ]
  for (const [name, userId, roles, change] of changes) {
    const client = await as(userId, roles, name === 'adds' ? { authSecondsAgo: 5_000 } : { amr: ['pwd'], authSecondsAgo: 5_000 })
    const subject = await approved(service, tenant, { userId })
    isRefused(t, await change(client, {}), 'insufficient_user_authentication', {}, `${name} without`)
    const answer = await change(client, withProof(await signProof(service.deps, subject)))
    t.ok(answer.status < 300, `${name} with (${answer.status})`)
    const rows = (await auditOf(service, tenant)).filter(({ requestId, outcome }) => requestId === answer.headers['x-request-id'] && outcome === 'done')
    t.ok(rows.length > 0 && rows.every(({ details }) => details.proof === subject.challengeId), `${name}: the audit row names the challenge`)
  }
})

t.test('a proof serves again and again until it ends, by the server\'s clock and not the sandbox\'s', async (t) => {
  const { ids, as, proof } = await people()
  const ann = await as('ann')
  const fresh = withProof(await proof({ userId: 'ann' }))
  for (const label of ['one', 'two']) t.equal((await ann.patch(`${mine}/${ids.mobilePhone}`, { label }, fresh)).status, 200)
  await moveClock(ann, 40 * 86_400)
  t.equal((await ann.patch(`${mine}/${ids.mobilePhone}`, { label: 'three' }, fresh)).status, 200, 'a moved clock does not age it')
  await moveClock(ann, 0)
  const nearly = await proof({ userId: 'ann', approvedMinutesAgo: 9.8 })
  t.equal((await ann.patch(`${mine}/${ids.mobilePhone}`, { label: 'four' }, withProof(nearly))).status, 200)
  const over = await proof({ userId: 'ann', approvedMinutesAgo: 10.6 })
  isRefused(t, await ann.patch(`${mine}/${ids.mobilePhone}`, { label: 'five' }, withProof(over)), 'insufficient_user_authentication')
  const recovery = { userId: 'ann', purpose: 'recovery', channel: 'temporaryAccessPass' } as const
  const add = (value: string, minutes: number) => proof({ ...recovery, approvedMinutesAgo: minutes }).then((one) => ann.post(mine, { kind: 'alternateEmail', value }, withProof(one)))
  isRefused(t, await add('a@example.org', 5.6), 'insufficient_user_authentication', {}, 'a recovery proof ends after 5 minutes')
  t.equal((await add('a@example.org', 4.8)).status, 201)
})

t.test('whose token is enough is not asked for a proof, and a bad one does no harm', async (t) => {
  const { tenant, ids, as } = await people()
  const ann = await as('ann', [], {})
  const answer = await ann.patch(`${mine}/${ids.mobilePhone}`, { label: 'x' }, withProof('nonsense'))
  t.equal(answer.status, 200)
  t.notOk('proof' in (await auditOf(service, tenant, 'action=contactMethod.changed'))[0]!.details)
  t.equal((await ann.get(mine, withProof('nonsense'))).status, 200)
  const fit = await approved(service, tenant, { userId: 'ann', purpose: 'recovery', channel: 'temporaryAccessPass' })
  t.equal((await ann.patch(`${mine}/${ids.mobilePhone}`, { label: 'y' }, withProof(await signProof(service.deps, fit)))).status, 200, 'one that is not enough takes nothing away')
})

t.test('with nothing but a password and a recovery proof a person registers: adds, corrects, verifies', async (t) => {
  const tenant = await service.tenant()
  await setPolicy(service, tenant, { registration: { firstRegistration: 'proof' } })
  const { alternateEmail } = await registered(service, tenant, 'eve', ['alternateEmail'])
  const eve = await service.as({ tenant, subject: 'eve', amr: ['pwd'] })
  for (const grant of [{ channel: 'email', methodId: alternateEmail! }, { channel: 'temporaryAccessPass' }, { channel: 'recoveryCode' }] as const) {
    const subject = await approved(service, tenant, { userId: 'eve', purpose: 'recovery', ...grant })
    const headers = withProof(await signProof(service.deps, subject))
    isRefused(t, await eve.post(mine, phone), 'proof_required')
    const { body: wrong } = await eve.post(mine, { ...phone, value: '+14155550145' }, headers)
    t.equal((await eve.patch(`${mine}/${wrong.id}`, { value: phone.value }, headers)).status, 200, 'a slip is put right')
    t.match(await auditOf(service, tenant, 'action=contactMethod.added'), [{ details: { proof: subject.challengeId } }])
    t.equal((await eve.delete(`${mine}/${wrong.id}`, headers)).status, 204, 'or taken back')
  }
  const headers = withProof(await proofOf(service, tenant, { userId: 'eve', purpose: 'recovery', channel: 'temporaryAccessPass' }))
  const { body: added } = await eve.post(mine, { ...phone, isDefault: true }, headers)
  const challenge = await startVerification(eve, added.id)
  t.equal((await eve.post(`/v1/challenges/${challenge}/verify`, { code: await codeOf(eve, challenge) })).status, 200)
  t.match((await eve.get(`${mine}/${added.id}`)).body, { status: 'active', isDefault: true })
  isRefused(t, await eve.delete(`${mine}/${added.id}`, headers), 'insufficient_user_authentication', {}, 'what is verified asks for more')
})

t.test('a privileged user registers with a proof as well', async (t) => {
  const tenant = await service.tenant()
  const headers = (userId: string) => proofOf(service, tenant, { userId, purpose: 'recovery', channel: 'temporaryAccessPass' }).then(withProof)
  const pia = await service.as({ tenant, subject: 'pia', roles: ['policyAdmin'], amr: ['pwd'] })
  isRefused(t, await pia.post(mine, phone), 'proof_required')
  t.equal((await pia.post(mine, phone, await headers('pia'))).status, 201)
})

t.test('what was planted with the password is verified with a proof, too', async (t) => {
  const tenant = await service.tenant()
  const dan = await service.as({ tenant, subject: 'dan', amr: ['pwd'] })
  const { body: planted } = await dan.post(mine, { kind: 'alternatePhone', value: '+14155550166' })
  await registered(service, tenant, 'dan', ['mobilePhone'])
  await service.owner.inTenant(await service.tenantIdOf(tenant), ({ db, tenantId, now }) => db.updateTable('users').set({ first_registered_at: now }).where('tenant_id', '=', tenantId).execute())
  const headers = withProof(await proofOf(service, tenant, { userId: 'dan' }))
  const { body: { id } } = await dan.post('/v1/challenges', { userId: 'me', purpose: 'verifyContact', methodId: planted.id }, headers)
  const check = async (more = {}) => dan.post(`/v1/challenges/${id}/verify`, { code: await codeOf(dan, id) }, more)
  isRefused(t, await check(), 'insufficient_user_authentication')
  t.equal((await check(headers)).status, 200)
})

t.test('an app with the user\'s proof changes, chooses and removes their methods, and verifies what others brought', async (t) => {
  const { tenant, ids, as, proof } = await people()
  const payroll = await service.as({ tenant, subject: 'payroll', kind: 'app', scopes: ['contact-methods:read', 'contact-methods:write', 'challenges:write'] })
  const subject = await approved(service, tenant, { userId: 'ann', starter: app('payroll') })
  const headers = withProof(await signProof(service.deps, subject))
  t.equal((await payroll.patch(`${anns}/${ids.mobilePhone}`, { label: 'x' }, headers)).status, 200)
  t.equal((await payroll.put('/v1/users/ann/default-method', { methodId: ids.officePhone }, headers)).status, 200)
  t.equal((await payroll.delete(`${anns}/${ids.officePhone}`, headers)).status, 204)
  for (const action of ['contactMethod.changed', 'defaultMethod.chosen', 'contactMethod.removed']) {
    t.match(await auditOf(service, tenant, `action=${action}`), [{ actor: { kind: 'app', id: 'payroll' }, userId: 'ann', details: { proof: subject.challengeId } }])
  }

  const { body: added } = await payroll.post(anns, { kind: 'alternateEmail', value: 'ann@example.org' })
  const start = (more = {}) => payroll.post('/v1/challenges', { userId: 'ann', purpose: 'verifyContact', methodId: added.id }, more)
  isRefused(t, await start(), 'proof_required')
  isRefused(t, await start(withProof(await proof({ userId: 'ann', starter: app('vpn') }))), 'proof_required')
  const { status, body: challenge } = await start(headers)
  t.equal(status, 201)
  const verify = async (more = {}) => payroll.post(`/v1/challenges/${challenge.id}/verify`, { code: await codeOf(payroll, challenge.id) }, more)
  isRefused(t, await verify(), 'proof_required')
  t.equal((await verify(headers)).status, 200)
  t.match((await (await as('ann')).get(`${mine}/${added.id}`)).body, { status: 'active' })
})

import t from 'tap'
import { sql } from 'kysely'
import { isRefused, setPolicy } from '../../support/answers.ts'
import { asOwner as connected } from '../../support/cluster.ts'
import { app, person, proofOf, raiseEpoch, registered, withProof, type Grant } from '../../support/proofs.ts'
import { testService, type Client } from '../../support/service.ts'

const service = await testService(t)
const methods = '/v1/users/ann/contact-methods'
const email = { kind: 'alternateEmail', value: 'ann@example.com' }
const appScopes = ['contact-methods:write', 'contact-methods:read'] as const

/** Ann and Ben, registered two days ago, with a token of a password each; and two apps. */
async function people () {
  const tenant = await service.tenant()
  const ids = { ann: await registered(service, tenant, 'ann', ['mobilePhone']), ben: await registered(service, tenant, 'ben', ['mobilePhone']) }
  const as = (subject: string) => service.as({ tenant, subject, amr: ['pwd'] })
  const appOf = (subject: string) => service.as({ tenant, subject, kind: 'app', scopes: [...appScopes] })
  return {
    tenant, ids, ann: await as('ann'), ben: await as('ben'), payroll: await appOf('payroll'), vpn: await appOf('vpn'),
    proof: (grant: Partial<Grant> = {}) => proofOf(service, tenant, { userId: 'ann', ...grant }),
  }
}

const rename = (client: Client, methodId: string, proof: string, userId = 'ann') =>
  client.patch(`/v1/users/${userId}/contact-methods/${methodId}`, { label: 'Changed' }, withProof(proof))

t.test('a person\'s proof serves nobody but them, in their tenant', async (t) => {
  const { tenant, ids, ann, ben, payroll, proof } = await people()
  const anns = await proof()
  isRefused(t, await rename(ben, ids.ben.mobilePhone!, anns, 'ben'), 'insufficient_user_authentication', {}, 'with another person\'s token, for that person')
  isRefused(t, await rename(ben, ids.ann.mobilePhone!, anns), 'not_found', {}, 'or for its own user')
  isRefused(t, await rename(payroll, ids.ann.mobilePhone!, anns), 'proof_required', {}, 'with the token of an app')
  const namesake = await service.as({ tenant, subject: 'ann', kind: 'app', scopes: [...appScopes] })
  isRefused(t, await rename(namesake, ids.ann.mobilePhone!, anns), 'proof_required', {}, 'with that of an app called ann')
  const helpdesk = await service.as({ tenant, subject: 'hans', roles: ['helpdesk'], amr: ['pwd'] })
  isRefused(t, await rename(helpdesk, ids.ann.mobilePhone!, anns), 'insufficient_user_authentication', {}, 'with an administrator\'s, for its own user')

  const elsewhere = await service.tenant()
  const { mobilePhone } = await registered(service, elsewhere, 'ann', ['mobilePhone'])
  const otherAnn = await service.as({ tenant: elsewhere, subject: 'ann', amr: ['pwd'] })
  isRefused(t, await rename(otherAnn, mobilePhone!, anns), 'insufficient_user_authentication', {}, 'in another tenant, for the same name')
  isRefused(t, await rename(otherAnn, mobilePhone!, await proofOf(service, tenant, { userId: 'ann' }, { tenantSlug: elsewhere })), 'insufficient_user_authentication', {}, 'nor where the proof names that tenant')

  t.match((await ben.get('/v1/users/me/contact-methods')).body.items, [{ label: null, version: 1 }])
  t.match((await ann.get(methods)).body.items, [{ label: null, version: 1 }], 'nothing was changed')
  t.equal((await rename(ann, ids.ann.mobilePhone!, anns)).status, 200, 'her own does')
})

t.test('an app\'s proof serves that app alone, for that user alone', async (t) => {
  const { ids, ann, payroll, vpn, proof } = await people()
  const mine = await proof({ starter: app('payroll') })
  isRefused(t, await rename(vpn, ids.ann.mobilePhone!, mine), 'proof_required', {}, 'not another app')
  isRefused(t, await rename(payroll, ids.ben.mobilePhone!, mine, 'ben'), 'proof_required', {}, 'not another user')
  isRefused(t, await rename(ann, ids.ann.mobilePhone!, mine), 'insufficient_user_authentication', {}, 'not the user themself')
  isRefused(t, await rename(payroll, ids.ann.mobilePhone!, await proof({ starter: app('latchkey') })), 'proof_required', {}, 'an app that is called as Latchkey')
  t.match((await ann.get(methods)).body.items, [{ label: null, version: 1 }], 'nothing was changed')
  t.equal((await rename(payroll, ids.ann.mobilePhone!, mine)).status, 200)
})

t.test('a proof needs its challenge: approved, of the same user, starter, purpose and epoch', async (t) => {
  const { tenant, ids, ann, proof } = await people()
  const signedOnly = (inDatabase: Partial<Grant>) => proofOf(service, tenant, { userId: 'ann', ...inDatabase }, { userId: 'ann', purpose: 'stepUp', starter: person('ann'), epoch: 0 })
  const unfit: Record<string, Promise<string>> = {
    ...Object.fromEntries(['pending', 'exhausted', 'expired', 'canceled', 'failed'].map((status) => [`a challenge that is ${status}`, signedOnly({ status })])),
    'a challenge for another user': signedOnly({ userId: 'ben' }),
    'a challenge that an app started': signedOnly({ starter: app('payroll') }),
    'a challenge that an app called ann started': signedOnly({ starter: app('ann') }),
    'a challenge that someone else started': signedOnly({ starter: person('ben') }),
    'a challenge to sign in': signedOnly({ purpose: 'signIn' }),
    'a challenge to verify a contact': signedOnly({ purpose: 'verifyContact' }),
    'a challenge of another epoch': signedOnly({ epoch: 1 }),
  }
  for (const [name, one] of Object.entries(unfit)) isRefused(t, await rename(ann, ids.ann.mobilePhone!, await one), 'insufficient_user_authentication', {}, name)
  for (const purpose of ['signIn', 'verifyContact', 'callerCheck', 'transaction'] as const) {
    isRefused(t, await rename(ann, ids.ann.mobilePhone!, await proof({ purpose })), 'insufficient_user_authentication', {}, `a genuine proof of purpose ${purpose}`)
  }
  t.match((await ann.get(methods)).body.items, [{ label: null, version: 1 }], 'nothing was changed')
})

t.test('a proof is worthless once the user was reset, also if that happens between its check and its use', async (t) => {
  const { tenant, ids, ann, payroll, proof } = await people()
  const proofs = [[ann, await proof(), 'insufficient_user_authentication'], [payroll, await proof({ starter: app('payroll') }), 'proof_required']] as const
  const tenantId = await service.tenantIdOf(tenant)
  for (const [client, one, code] of proofs) {
    let answer: ReturnType<typeof rename> | undefined
    await service.owner.inTenant(tenantId, async ({ db }) => {
      await sql`update users set mfa_epoch = mfa_epoch + 1 where tenant_id = ${tenantId} and user_id = 'ann'`.execute(db)
      answer = rename(client, ids.ann.mobilePhone!, one)
      await connected(service.database.ownerUrl, async (looker) => {
        while ((await looker.query('select 1 from pg_stat_activity where datname = current_database() and wait_event_type = \'Lock\'')).rowCount === 0) { /* until it waits for the user */ }
      })
    })
    isRefused(t, (await answer)!, code)
    isRefused(t, await rename(client, ids.ann.mobilePhone!, one), code, {}, 'and afterwards')
    await service.owner.inTenant(tenantId, ({ db }) => sql`update users set mfa_epoch = 0 where tenant_id = ${tenantId}`.execute(db))
    t.equal((await rename(client, ids.ann.mobilePhone!, one)).status, 200, 'the epoch was all that was wrong')
  }
  await raiseEpoch(service, tenant, 'ann')
  t.equal((await rename(ann, ids.ann.mobilePhone!, await proof({ epoch: 1 }))).status, 200, 'one of the new epoch serves')
})

t.test('a proof that is weaker than the strongest method does not serve', async (t) => {
  const { tenant, ids, ann, payroll, proof } = await people()
  isRefused(t, await rename(ann, ids.ann.mobilePhone!, await proof({ channel: 'email' })), 'insufficient_user_authentication')
  isRefused(t, await rename(payroll, ids.ann.mobilePhone!, await proof({ channel: 'email', starter: app('payroll') })), 'proof_required')
  for (const channel of ['sms', 'voice', 'totp', 'passkey', 'recoveryCode', 'temporaryAccessPass'] as const) {
    t.equal((await rename(ann, ids.ann.mobilePhone!, await proof({ channel }))).status, 200, channel)
    t.equal((await rename(payroll, ids.ann.mobilePhone!, await proof({ channel, starter: app('payroll') }))).status, 200, `${channel}, an app`)
  }
  const { alternateEmail } = await registered(service, tenant, 'eve', ['alternateEmail'])
  const eve = await service.as({ tenant, subject: 'eve', amr: ['pwd'] })
  await setPolicy(service, tenant, { registration: { firstRegistration: 'proof' } })
  t.equal((await rename(eve, alternateEmail!, await proof({ userId: 'eve', channel: 'email' }), 'eve')).status, 200, 'an e-mail is enough for who has nothing stronger')
})

t.test('a recovery proof serves to register, and for nothing else', async (t) => {
  const { tenant, ids, ann, payroll, proof } = await people()
  const recovery = await proof({ purpose: 'recovery', channel: 'temporaryAccessPass' })
  const id = ids.ann.mobilePhone!
  const office = await registered(service, tenant, 'ann', ['officePhone'])
  for (const [name, answer] of Object.entries({
    'changes a verified method': await rename(ann, id, recovery), 'gives it another number': await ann.patch(`${methods}/${id}`, { value: '+14155550155' }, withProof(recovery)),
    'removes it': await ann.delete(`${methods}/${id}`, withProof(recovery)), 'chooses another': await ann.put('/v1/users/me/default-method', { methodId: office.officePhone }, withProof(recovery)),
  })) {
    isRefused(t, answer, 'insufficient_user_authentication', {}, name)
    t.match(answer.body.detail, /did not serve/)
  }
  isRefused(t, await rename(payroll, id, await proof({ purpose: 'recovery', starter: app('payroll') })), 'proof_required', {}, 'nor does an app')

  const roles = { pia: ['policyAdmin'], petra: ['privilegedAdmin'], hans: ['helpdesk'] } as const
  const admin = async (subject: keyof typeof roles) => ({ client: await service.as({ tenant, subject, roles: [...roles[subject]], amr: ['pwd'] }), proof: await proof({ userId: subject, purpose: 'recovery', channel: 'recoveryCode' }) })
  const [pia, petra, hans] = [await admin('pia'), await admin('petra'), await admin('hans')]
  for (const [name, answer] of Object.entries({
    'changes the policy': await pia.client.patch('/v1/policy', { codes: { length: 8 } }, withProof(pia.proof)),
    'changes the organisation': await pia.client.patch('/v1/organization', { name: 'x' }, withProof(pia.proof)),
    'changes a user': await petra.client.put('/v1/users/ann', { displayName: 'x' }, withProof(petra.proof)),
    'reveals': await petra.client.get(`${methods}?reveal=true`, withProof(petra.proof)),
    'adds for someone else': await hans.client.post(methods, email, withProof(hans.proof)),
  })) isRefused(t, answer, 'insufficient_user_authentication', {}, name)
  t.match((await ann.get(methods)).body.items, [{ label: null, version: 1, pendingChange: null }, { version: 1 }], 'nothing was changed')
})

t.test('a method that was bound less than 24 hours before does not recover', async (t) => {
  const tenant = await service.tenant()
  await setPolicy(service, tenant, { registration: { firstRegistration: 'proof' } })
  for (const [index, [kind, channel]] of ([['mobilePhone', 'sms'], ['officePhone', 'voice'], ['alternateEmail', 'email']] as const).entries()) {
    for (const [hours, status] of [[23.9, 'refused'], [24.1, 'serves']] as const) {
      const userId = `user-${index}-${status}`
      const ids = await registered(service, tenant, userId, [kind], hours)
      const client = await service.as({ tenant, subject: userId, amr: ['pwd'] })
      const recovery = await proofOf(service, tenant, { userId, purpose: 'recovery', channel, methodId: ids[kind]! })
      const answer = await client.post('/v1/users/me/contact-methods', { kind: 'alternatePhone', value: '+14155550144' }, withProof(recovery))
      if (status === 'serves') t.equal(answer.status, 201, `${kind} ${hours}`)
      else isRefused(t, answer, kind === 'alternateEmail' ? 'proof_required' : 'insufficient_user_authentication', {}, `${kind} ${hours}`)
      const stepUp = await proofOf(service, tenant, { userId, channel, methodId: ids[kind]! })
      t.equal((await rename(client, ids[kind]!, stepUp, userId)).status, 200, 'a step-up asks for no age')
    }
  }
  const gone = await proofOf(service, tenant, { userId: 'user-0-serves', purpose: 'recovery' })
  isRefused(t, await (await service.as({ tenant, subject: 'user-0-serves', amr: ['pwd'] })).post('/v1/users/me/contact-methods', email, withProof(gone)), 'insufficient_user_authentication', {}, 'nor one that is gone')
})

t.test('a recovery proof serves only where the policy accepts it', async (t) => {
  const tenant = await service.tenant()
  const all = { temporaryAccessPass: 'temporaryAccessPass', sms: 'phone', voice: 'phone', email: 'alternateEmail', recoveryCode: 'recoveryCode' } as const
  await setPolicy(service, tenant, { registration: { firstRegistration: 'proof' } })
  let count = 0
  const registers = async (channel: keyof typeof all | 'totp' | 'passkey') => {
    const userId = `user-${++count}`
    const { alternateEmail: methodId } = await registered(service, tenant, userId, ['alternateEmail'])
    const recovery = await proofOf(service, tenant, { userId, purpose: 'recovery', channel, methodId: methodId! })
    return (await service.as({ tenant, subject: userId, amr: ['pwd'] })).post('/v1/users/me/contact-methods', { kind: 'mobilePhone', value: '+14155550144' }, withProof(recovery))
  }
  for (const [channel, name] of Object.entries(all) as Array<[keyof typeof all, string]>) {
    await setPolicy(service, tenant, { registration: { proofs: [name] } })
    t.equal((await registers(channel)).status, 201, `${channel} with ${name}`)
    const others = [...new Set(Object.values(all))].filter((one) => one !== name)
    await setPolicy(service, tenant, { registration: { proofs: others } })
    isRefused(t, await registers(channel), 'proof_required', {}, `${channel} with ${others.join(', ')}`)
  }
  for (const channel of ['totp', 'passkey'] as const) isRefused(t, await registers(channel), 'proof_required', {}, channel)
})

import t from 'tap'
import { isRefused, setPolicy, startVerification } from '../../support/answers.ts'
import { read, verify } from '../../support/challenges.ts'
import { begunByPass, byPass, issue, issued } from '../../support/passes.ts'
import { raiseEpoch, registered, withProof } from '../../support/proofs.ts'
import { codeOf, testService } from '../../support/service.ts'

const service = await testService(t)
const mine = '/v1/users/me/contact-methods'
const phone = { kind: 'mobilePhone', value: '+14155550144' }

/** Ann and Bob with a password each, the help desk, and an app that signs people in. */
async function scene () {
  const tenant = await service.tenant()
  await setPolicy(service, tenant, { registration: { firstRegistration: 'proof' } })
  const password = (subject: string) => service.as({ tenant, subject, amr: ['pwd'] })
  const [ann, bob] = [await password('ann'), await password('bob')]
  for (const client of [ann, bob]) await client.get('/v1/users/me')
  return {
    tenant, ann, bob, hans: await service.as({ tenant, subject: 'hans', roles: ['helpdesk'] }),
    app: (subject: string) => service.as({ tenant, subject, kind: 'app', scopes: ['challenges:write', 'sign-in:read', 'contact-methods:write'] }),
  }
}

t.test('the thief with the password: no pass, no way in; five guesses and it is gone', async (t) => {
  const { ann, hans } = await scene()
  const pass = await issued(hans, 'ann')
  isRefused(t, await ann.post(mine, phone), 'proof_required')
  isRefused(t, await issue(ann, 'me'), 'forbidden', { rule: 'role' })
  t.notMatch((await ann.get('/v1/users/me/authenticators')).text, new RegExp(pass.value))
  const { id } = await begunByPass(ann)
  for (let guess = 0; guess < 5; guess++) isRefused(t, await verify(ann, id, `AAAAAAAAAAA${guess}`), 'wrong_code')
  isRefused(t, await byPass(ann), 'no_usable_method')
})

t.test('the user with a pass of their own: it opens nothing of anyone else', async (t) => {
  const { ann, bob, hans } = await scene()
  const [anns, bobs] = [await issued(hans, 'ann'), await issued(hans, 'bob')]
  isRefused(t, await byPass(bob, 'ann'), 'not_found')
  isRefused(t, await byPass(ann, 'me', { methodId: bobs.authenticatorId }), 'not_found')
  const challenge = await begunByPass(ann)
  isRefused(t, await verify(ann, challenge.id, bobs.value), 'wrong_code')
  for (const act of [() => read(bob, challenge.id), () => verify(bob, challenge.id, anns.value)]) isRefused(t, await act(), 'not_found')
  const own = await begunByPass(bob)
  const { proof } = (await verify(bob, own.id, bobs.value)).body
  isRefused(t, await ann.post(mine, phone, withProof(proof)), 'proof_required', {}, 'nor does its proof')
  isRefused(t, await bob.post('/v1/users/ann/contact-methods', phone, withProof(proof)), 'not_found')
  t.equal((await bob.post(mine, phone, withProof(proof))).status, 201)
})

t.test('the malicious help-desk agent: none to themself, none through the user, and the user hears of each', async (t) => {
  const { tenant, ann, hans } = await scene()
  await registered(service, tenant, 'ann', ['mobilePhone'])
  isRefused(t, await issue(hans, 'hans'), 'forbidden', { rule: 'self_administration' })
  await issued(hans, 'ann')
  isRefused(t, await byPass(hans, 'ann'), 'not_found')
  isRefused(t, await byPass(hans, 'ann', { purpose: 'callerCheck' }), 'channel_not_available')
  const { body: { items } } = await ann.get('/v1/sandbox/messages?waitSeconds=5')
  t.match(items, [{ kind: 'notice', body: /temporary access pass/ }])
})

t.test('the malicious app: another\'s challenge is not there, and its own proof serves itself only', async (t) => {
  const { ann, hans, app } = await scene()
  const pass = await issued(hans, 'ann', { oneTime: false })
  const [vpn, shop] = [await app('vpn'), await app('shop')]
  const { id } = await begunByPass(vpn, 'ann')
  for (const act of [() => read(shop, id), () => verify(shop, id, pass.value)]) isRefused(t, await act(), 'not_found')
  const { proof } = (await verify(vpn, id, pass.value)).body
  isRefused(t, await ann.post(mine, phone, withProof(proof)), 'proof_required', {}, 'not beside another bearer')
  const { body: { id: methodId } } = await shop.post('/v1/users/ann/contact-methods', phone)
  isRefused(t, await shop.delete(`/v1/users/ann/contact-methods/${methodId}`, withProof(proof)), 'proof_required')
  t.equal((await vpn.delete(`/v1/users/ann/contact-methods/${methodId}`, withProof(proof))).status, 204)
})

t.test('the neighbour: the same ids and the same value in another tenant are nothing', async (t) => {
  const here = await scene()
  const there = await scene()
  const pass = await issued(here.hans, 'ann')
  await issued(there.hans, 'ann')
  isRefused(t, await byPass(there.ann, 'me', { methodId: pass.authenticatorId }), 'not_found')
  isRefused(t, await verify(there.ann, (await begunByPass(there.ann)).id, pass.value), 'wrong_code')
  const { id } = await begunByPass(here.ann)
  isRefused(t, await verify(there.ann, id, pass.value), 'not_found')
  t.equal((await verify(here.ann, id, pass.value)).status, 200)
})

t.test('a proof by pass is worth nothing after a reset, and removes nothing that was verified', async (t) => {
  const { tenant, ann, hans } = await scene()
  const pass = await issued(hans, 'ann', { oneTime: false })
  const proof = withProof((await verify(ann, (await begunByPass(ann)).id, pass.value)).body.proof)
  const { body: added } = await ann.post(mine, phone, proof)
  const challenge = await startVerification(ann, added.id)
  t.equal((await verify(ann, challenge, await codeOf(ann, challenge), proof)).status, 200)
  isRefused(t, await ann.delete(`${mine}/${added.id}`, proof), 'insufficient_user_authentication')
  await raiseEpoch(service, tenant, 'ann')
  isRefused(t, await ann.post(mine, { kind: 'alternatePhone', value: '+14155550145' }, proof), 'insufficient_user_authentication')
})

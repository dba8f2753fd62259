import { createRemoteJWKSet, decodeJwt, jwtVerify } from 'jose'
import t from 'tap'
import { isRefused, setPolicy } from '../../support/answers.ts'
import { withProof } from '../../support/proofs.ts'
import { codeOf, moveClock, testService, verifiedMethod, type Client } from '../../support/service.ts'
import { listen } from '../../support/socket.ts'

const service = await testService(t)
const keys = createRemoteJWKSet(new URL(`http://127.0.0.1:${await listen(service.app)}/.well-known/jwks.json`))
const mine = '/v1/users/me/contact-methods'
const phone = { kind: 'mobilePhone', value: '+14155550132' }
const email = { kind: 'alternateEmail', value: 'ann@example.org' }

/** Starts a challenge, gives the code that came back, and gets its proof. */
async function proven (client: Client, challenge: object): Promise<string> {
  const { status, body: { id }, text } = await client.post('/v1/challenges', { userId: 'me', ...challenge })
  if (status !== 201) throw new Error(`starting answered ${status} ${text}`)
  const { body } = await client.post(`/v1/challenges/${id}/verify`, { code: await codeOf(client, id) })
  return body.proof
}

/** Ann with a phone and an e-mail, bound more than a day ago. */
async function ann () {
  const tenant = await service.tenant()
  const fresh = await service.as({ tenant, subject: 'ann' })
  const ids = { phone: (await verifiedMethod(fresh, phone)).id, email: (await verifiedMethod(fresh, email)).id }
  await moveClock(fresh, 86_401)
  return { tenant, ids, ann: await service.as({ tenant, subject: 'ann', amr: ['pwd'], authSecondsAgo: 5_000 }) }
}

t.test('an app signs a person in, and its own services check the proof with the published keys', async (t) => {
  const { tenant, ids } = await ann()
  const app = await service.as({ tenant, subject: 'payroll', kind: 'app', scopes: ['challenges:write', 'sign-in:read', 'contact-methods:write'] })
  const proof = await proven(app, { userId: 'ann', purpose: 'signIn' })
  const { payload } = await jwtVerify(proof, keys, { issuer: 'latchkey', audience: 'payroll', subject: 'ann', typ: 'latchkey-proof+jwt', algorithms: ['ES256'] })
  t.match(payload, { tenant, purpose: 'signIn', amr: ['otp', 'sms'], acr: 'latchkey:phone', epoch: 0 })
  isRefused(t, await app.patch(`/v1/users/ann/contact-methods/${ids.phone}`, { label: 'x' }, withProof(proof)), 'proof_required', {}, 'a sign-in changes nothing')
})

t.test('a person whose token says no more than a password steps up and changes their methods', async (t) => {
  const { ids, ann: person } = await ann()
  isRefused(t, await person.patch(`${mine}/${ids.phone}`, { label: 'x' }), 'insufficient_user_authentication')
  const byEmail = await person.post('/v1/challenges', { userId: 'me', purpose: 'stepUp', methodId: ids.email, channel: 'email' })
  t.not(byEmail.status, 201, 'an e-mail does not count here')
  const proof = await proven(person, { purpose: 'stepUp' })
  t.equal((await person.patch(`${mine}/${ids.phone}`, { label: 'x' }, withProof(proof))).status, 200)
  t.equal((await person.delete(`${mine}/${ids.email}`, withProof(proof))).status, 204)
})

t.test('an app steps a person up and changes that person\'s methods', async (t) => {
  const { tenant, ids } = await ann()
  const app = await service.as({ tenant, subject: 'payroll', kind: 'app', scopes: ['challenges:write', 'sign-in:read', 'contact-methods:write'] })
  const proof = await proven(app, { userId: 'ann', purpose: 'stepUp' })
  t.equal((await app.patch(`/v1/users/ann/contact-methods/${ids.phone}`, { label: 'x' }, withProof(proof))).status, 200)
  const vpn = await service.as({ tenant, subject: 'vpn', kind: 'app', scopes: ['contact-methods:write'] })
  isRefused(t, await vpn.patch(`/v1/users/ann/contact-methods/${ids.phone}`, { label: 'y' }, withProof(proof)), 'proof_required')
})

t.test('a person recovers by a surviving e-mail and registers a phone', async (t) => {
  const tenant = await service.tenant()
  const { id } = await verifiedMethod(await service.as({ tenant, subject: 'ann' }), email)
  await setPolicy(service, tenant, { registration: { firstRegistration: 'proof' } })
  const person = await service.as({ tenant, subject: 'ann', amr: ['pwd'] })
  const recover = () => proven(person, { purpose: 'recovery', methodId: id, channel: 'email' })
  isRefused(t, await person.post(mine, phone, withProof(await recover())), 'proof_required', {}, 'not one bound today')
  await moveClock(person, 86_401)
  const proof = await recover()
  const { status, body: added } = await person.post(mine, phone, withProof(proof))
  t.equal(status, 201)
  await proven(person, { purpose: 'verifyContact', methodId: added.id })
  t.match((await person.get(`${mine}/${added.id}`)).body, { status: 'active', isDefault: true })
  isRefused(t, await person.delete(`${mine}/${id}`, withProof(proof)), 'insufficient_user_authentication', {}, 'and nothing more')
})

t.test('the same answer asked for again brings a proof with the same claims, which serves', async (t) => {
  const { ids, ann: person } = await ann()
  const { body: { id } } = await person.post('/v1/challenges', { userId: 'me', purpose: 'stepUp' })
  const code = await codeOf(person, id)
  const verify = () => person.post(`/v1/challenges/${id}/verify`, { code }, { 'idempotency-key': 'k' })
  const [first, again] = [await verify(), await verify()]
  t.strictSame(decodeJwt(again.body.proof), decodeJwt(first.body.proof))
  t.equal((await person.patch(`${mine}/${ids.phone}`, { label: 'x' }, withProof(again.body.proof))).status, 200)
})

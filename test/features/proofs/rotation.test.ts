import { createLocalJWKSet, decodeProtectedHeader, jwtVerify, type JSONWebKeySet } from 'jose'
import t from 'tap'
import { parseKeyRing } from '../../../src/platform/keys.ts'
import { signProof } from '../../../src/features/proofs/proofs.ts'
import { testKeyRingText } from '../../support/keys.ts'
import { approved, registered, withProof } from '../../support/proofs.ts'
import { replicaOf } from '../../support/replicas.ts'
import { clientOf, testService } from '../../support/service.ts'

const [one, two] = testKeyRingText.split(',') as [string, string]
const rings = { before: one, announced: `${one},+${two}`, inUse: `${one},${two}` }

/** The order of docs/operations.md, caught between any two of its steps: replicas with the ring of this step and of the next. */
const steps = [['before', 'announced'], ['announced', 'inUse']] as const

for (const [earlier, later] of steps) {
  t.test(`with the rings "${earlier}" and "${later}" side by side`, async (t) => {
    const old = await testService(t, { keyRing: parseKeyRing(rings[earlier]) })
    const young = await replicaOf(t, old, { keyRing: parseKeyRing(rings[later]) })
    const tenant = await old.tenant()
    const { mobilePhone } = await registered(old, tenant, 'ann', ['mobilePhone'])
    const token = await old.issuer.tokenOf({ tenant, subject: 'ann', amr: ['pwd'] })
    const url = `/v1/users/me/contact-methods/${mobilePhone}`
    const subject = await approved(old, tenant, { userId: 'ann' })
    const cached = (await old.app.inject('/.well-known/jwks.json')).json() as JSONWebKeySet
    t.equal(cached.keys.length, earlier === 'before' ? 1 : 2, 'what is announced is published')

    const signedBy = { [earlier]: await signProof(old.deps, subject), [later]: await signProof(young.deps, subject) }
    t.equal(new Set(Object.values(signedBy).map((proof) => decodeProtectedHeader(proof).kid)).size, earlier === 'before' ? 1 : 2, 'and not used before it is in use')
    for (const [signer, proof] of Object.entries(signedBy)) {
      await t.resolves(jwtVerify(proof, createLocalJWKSet(cached), { algorithms: ['ES256'] }), `signed by ${signer}: who keeps the keys of ${earlier} accepts it`)
      for (const [checker, service] of Object.entries({ [earlier]: old, [later]: young })) {
        t.equal((await clientOf(service, token).patch(url, { label: signer }, withProof(proof))).status, 200, `signed by ${signer}, taken by ${checker}`)
      }
    }
    const fresh = await old.issuer.tokenOf({ tenant, subject: 'ann' })
    const added = await clientOf(young, fresh).post('/v1/users/me/contact-methods', { kind: 'officePhone', value: '+14155550177' })
    t.match((await clientOf(old, fresh).get(`/v1/users/me/contact-methods/${added.body.id}`)).body, { value: '+14155550177' }, 'what the one seals the other opens')
  })
}

import { createHash } from 'node:crypto'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import t from 'tap'
import { signProof, type ProofSubject } from '../../../src/features/proofs/proofs.ts'
import { keysOf, parseKeyRing } from '../../../src/platform/keys.ts'
import { channels, type Channel } from '../../../src/vocabulary.ts'
import { testKeyRingText } from '../../support/keys.ts'

const keys = keysOf(parseKeyRing(testKeyRingText))
const deps = { keys, proofIssuer: 'latchkey' }
const issuedAt = new Date('2026-11-22T09:30:00.750Z')
const iat = Date.parse('2026-11-22T09:30:00Z') / 1000
const subject: ProofSubject = {
  tenantSlug: 'acme', challengeId: '0199c0de-0000-7000-8000-000000000003', userId: 'ann', purpose: 'signIn', channel: 'sms',
  starter: { kind: 'app', id: 'payroll' }, epoch: 7, contextHash: null, issuedAt,
}
const basic = { iss: 'latchkey', aud: 'payroll', sub: 'ann', tenant: 'acme', jti: subject.challengeId, purpose: 'signIn', epoch: 7, iat, exp: iat + 300 }

/** Written by hand from the contract. */
const authentication: Record<Channel, { amr: string[], acr: string }> = {
  sms: { amr: ['otp', 'sms'], acr: 'latchkey:phone' },
  voice: { amr: ['otp', 'tel'], acr: 'latchkey:phone' },
  email: { amr: ['otp', 'email'], acr: 'latchkey:email' },
  totp: { amr: ['otp'], acr: 'latchkey:otp' },
  passkey: { amr: ['swk', 'user'], acr: 'latchkey:phishing-resistant' },
  recoveryCode: { amr: ['otp'], acr: 'latchkey:recovery' },
  temporaryAccessPass: { amr: ['otp'], acr: 'latchkey:recovery' },
}

t.test('a proof says what the contract says, and nothing else, for each channel', async (t) => {
  for (const channel of channels) {
    const proof = await signProof(deps, { ...subject, channel })
    t.strictSame(decodeProtectedHeader(proof), { alg: 'ES256', typ: 'latchkey-proof+jwt', kid: keys.proofKeys.signing.kid }, channel)
    t.strictSame(decodeJwt(proof), { ...basic, ...authentication[channel] }, channel)
    t.notOk((decodeJwt(proof).amr as string[]).includes('mfa'), 'never mfa')
  }
})

t.test('it lasts 5 minutes, and 10 for stepUp', async (t) => {
  for (const purpose of ['signIn', 'recovery', 'transaction', 'stepUp'] as const) {
    const { exp } = decodeJwt(await signProof(deps, { ...subject, purpose }))
    t.equal(exp! - iat, purpose === 'stepUp' ? 600 : 300, purpose)
  }
})

t.test('it is for the app that started the challenge, and for Latchkey where a person did', async (t) => {
  const byPerson: ProofSubject = { ...subject, purpose: 'stepUp', starter: { kind: 'person', id: 'ann' } }
  t.match(decodeJwt(await signProof(deps, byPerson)), { iss: 'latchkey', aud: 'latchkey', sub: 'ann' })
  const named = { keys, proofIssuer: 'https://mfa.example.com' }
  t.match(decodeJwt(await signProof(named, byPerson)), { iss: 'https://mfa.example.com', aud: 'https://mfa.example.com' })
  t.match(decodeJwt(await signProof(named, subject)), { iss: 'https://mfa.example.com', aud: 'payroll' })
})

t.test('txn is there only with a context', async (t) => {
  const contextHash = createHash('sha256').update('{"display":"Pay 5"}').digest()
  t.strictSame(decodeJwt(await signProof(deps, { ...subject, purpose: 'transaction', contextHash })),
    { ...basic, purpose: 'transaction', ...authentication.sms, txn: contextHash.toString('base64url') })
  t.notOk('txn' in decodeJwt(await signProof(deps, subject)))
})

t.test('signed again, on another replica or later, it says the same', async (t) => {
  const [first, again] = [await signProof(deps, subject), await signProof({ ...deps, keys: keysOf(parseKeyRing(testKeyRingText)) }, { ...subject })]
  t.strictSame([decodeProtectedHeader(again), decodeJwt(again)], [decodeProtectedHeader(first), decodeJwt(first)])
})

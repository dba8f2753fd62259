import { createRemoteJWKSet, jwtVerify, type JWTPayload } from 'jose'
import { withKey } from '../caller.ts'
import type { Cast } from '../cast.ts'
import { answers, refuses, type Tour } from '../tour.ts'
import type { Ann } from './2-registration.ts'

/** An app asks what to do, starts a challenge, checks the code, and its own services check the proof. */
export async function signIn (tour: Tour, { payroll, kiosk }: Cast, { ids }: Ann): Promise<void> {
  const { chapter, ask, holds, codeOf } = tour
  chapter('Payroll asks, challenges, and checks the proof by itself')
  await ask('What must Ann do at sign-in?', payroll.get('/v1/users/ann/sign-in-requirements'), answers(200, {
    state: 'registered', next: 'challenge', lockedUntil: null, frozenUntil: null, sessionsValidFrom: null,
    methods: [{ kind: 'mobilePhone', display: '+1 ••• ••• ••32', channels: ['sms', 'voice'], isDefault: true }, { kind: 'alternatePhone', isDefault: false }, { kind: 'officePhone', channels: ['voice'] }],
  }))
  const start = payroll.post('/v1/challenges', { userId: 'ann', purpose: 'signIn', clientAddress: '198.51.100.7' }, withKey('sign-in-1'))
  const challenge = await ask('A code goes to her default method.', start, answers(201, { status: 'pending', methodId: ids.mobile, destination: '+1 ••• ••• ••32', delivery: 'queued' }, { location: /^\/v1\/challenges\// }))
  await ask('The answer was lost? The same key gives it again, and nothing is sent twice.', start, answers(201, { id: challenge.id as string }, { 'idempotent-replayed': 'true' }))
  const check = payroll.post(`/v1/challenges/${challenge.id}/verify`, { code: await codeOf(payroll, challenge.id) }, withKey('check-1'))
  const { proof } = await ask('The code is right: a signed proof.', check, answers(200, { challengeId: challenge.id as string, status: 'approved', proof: String }))
  const again = await ask('The same key gives a proof with the same claims.', check, answers(200, { status: 'approved', proof: String }, { 'idempotent-replayed': 'true' }))
  await ask('Without it a challenge is good once.', payroll.post(`/v1/challenges/${challenge.id}/verify`, { code: '000000' }), refuses(409, 'challenge_approved'))

  const claims = await checked(tour, proof)
  holds('checked with the published keys and nothing else: ES256, this issuer, this audience, not over', claims, { iss: tour.service.proofIssuer, aud: 'payroll', sub: 'ann', tenant: tour.tenant, jti: challenge.id as string })
  holds('it says for what and how Ann was verified', claims, { purpose: 'signIn', amr: ['otp', 'sms'], acr: 'latchkey:phone', epoch: 0 })
  holds('the repeated one says the same', await checked(tour, again.proof), { jti: challenge.id as string, iat: claims.iat, exp: claims.exp })

  const decoy = await ask('The kiosk may only start challenges. Asked for someone who does not exist, it hears what it always hears.', kiosk.post('/v1/challenges', { userId: 'nobody-of-that-name', purpose: 'signIn' }),
    answers(201, { status: 'pending', channel: 'sms', destination: /^\+1 ••• ••• ••\d\d$/, delivery: 'queued', attemptsRemaining: 5 }))
  await ask('Nothing was sent, and every code is wrong.', kiosk.post(`/v1/challenges/${decoy.id}/verify`, { code: '123456' }), refuses(422, 'wrong_code', { attemptsRemaining: 4 }))
}

async function checked ({ service, tenant }: Tour, proof: string): Promise<JWTPayload & { iat?: number, exp?: number }> {
  const keys = createRemoteJWKSet(new URL(`${service.origin}/.well-known/jwks.json`))
  const { payload } = await jwtVerify(proof, keys, {
    algorithms: ['ES256'], typ: 'latchkey-proof+jwt', issuer: service.proofIssuer, audience: 'payroll', subject: 'ann', requiredClaims: ['exp', 'jti'],
  })
  if (payload['tenant'] !== tenant) throw new Error('the proof is of another tenant')
  return payload
}

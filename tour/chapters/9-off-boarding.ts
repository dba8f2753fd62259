import { createRemoteJWKSet, jwtVerify } from 'jose'
import type { Cast } from '../cast.ts'
import { some } from '../expect.ts'
import { answers, refuses, type Tour } from '../tour.ts'

const daySeconds = 86_400

/** The person leaves: nothing works at once, and after the retention period their data is gone, with a certificate. */
export async function offBoarding (tour: Tour, { helen, paul, payroll }: Cast): Promise<void> {
  const { chapter, ask, holds, as } = tour
  const url = '/v1/users/ann/offboarding'
  chapter('Ann leaves')
  await ask('Before she does: her own history, in plain words.', (await as('ann')).get('/v1/users/me/timeline?limit=200'), answers(200, { items: some(
    { action: 'contactMethod.added', by: 'self', text: /mobile phone was added/ }, { action: 'mfa.reset', by: 'administrator', text: /lost device/ }, { action: 'pass.issued' }, { action: 'user.frozen' }, { action: 'freeze.lifted' },
  ) }))
  await ask('Off-boarding is not for the help desk.', helen.post(url), refuses(403, 'forbidden', { rule: 'role' }))
  await ask('Paul looks at what it would do.', paul.post(`${url}?dryRun=true`, {}), answers(200, { dryRun: true, allowed: true, removed: some({ kind: 'mobilePhone' }, { kind: 'alternateEmail' }), eraseAfter: String, waitsForApproval: false }))
  const gone = await ask('Everything is disabled at once.', paul.post(url, { ticket: 'HR-77' }), answers(201, { status: 'offboarded', offboardedBy: 'paul', eraseAfter: String, certificate: null }))
  holds('her data is erased in 30 days', Math.round((Date.parse(gone.eraseAfter) - Date.parse(gone.offboardedAt)) / 1000), 30 * daySeconds)
  await ask('Not even a new sign-in lets her in.', (await as('ann')).get('/v1/users/me'), refuses(401, 'invalid_token'))
  await ask('The sign-in page turns her away.', payroll.get('/v1/users/ann/sign-in-requirements'), answers(200, { state: 'offboarded', next: 'deny', methods: [] }))

  await ask('31 days later (the sandbox\'s clock is moved; it answers when what is due is done),', paul.put('/v1/sandbox/clock', { offsetSeconds: 31 * daySeconds }), answers(200, { offsetSeconds: 31 * daySeconds }))
  const erased = await ask('her data is gone, and there is a certificate.', paul.get(url), answers(200, { status: 'erased', erasedAt: String, ticket: null, certificate: String }))
  const keys = createRemoteJWKSet(new URL(`${tour.service.origin}/.well-known/jwks.json`))
  const { payload } = await jwtVerify(erased.certificate as string, keys, { algorithms: ['ES256'], typ: 'latchkey-erasure+jwt', issuer: tour.service.proofIssuer, subject: 'ann' })
  holds('checked with the published keys: whose data, when, and how many rows', payload, { sub: 'ann', tenant: tour.tenant, erasedAt: erased.erasedAt as string, erased: { users: 1, contactMethods: Number } })
  await ask('Nothing of her is left but the id.', paul.get('/v1/users/ann'), answers(200, { userId: 'ann', displayName: null, signInEmail: null, signInEmailDisplay: null, status: 'offboarded' }))
}

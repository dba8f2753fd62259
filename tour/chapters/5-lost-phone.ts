import { withKey, type Caller } from '../caller.ts'
import { at, type Cast } from '../cast.ts'
import { some } from '../expect.ts'
import { answers, refuses, type Tour } from '../tour.ts'
import type { Ann } from './2-registration.ts'

/** Ann, who has signed in with nothing but her password, and the pass that she was told. */
export interface Locked { bare: Caller, pass: string }

/** The help desk checks who is calling, looks at what a reset would do, and resets: one call, one transaction. */
export async function lostPhone (tour: Tour, { helen, payroll }: Cast, { withPhone, ids }: Ann): Promise<Locked> {
  const { chapter, ask, codeOf, noticeTo, hide } = tour
  chapter('Ann has lost her phone and calls the help desk')
  await ask('Helen finds her by the number.', helen.post('/v1/users/search', { phone: at.newMobile }), answers(200, { items: [{ userId: 'ann', displayName: 'Ann' }] }))
  await ask('She sees masks, and no full value.', helen.get('/v1/users/ann/contact-methods'),
    answers(200, { items: some({ kind: 'mobilePhone', value: null, display: '+1 ••• ••• ••54' }, { kind: 'alternateEmail', value: null, display: 'a•••@example.org' }) }))
  await ask('May she reset Ann?', helen.get('/v1/users/ann/allowed-actions'), answers(200, { items: some({ action: 'mfaResets.create', allowed: true, waitsForApproval: false }, { action: 'offboarding.write', allowed: false, rule: 'role' }) }))
  const caller = await ask('Is it Ann who calls? A code goes to her alternate e-mail.', helen.post('/v1/challenges', { userId: 'ann', purpose: 'callerCheck', methodId: ids.email }), answers(201, { purpose: 'callerCheck', channel: 'email', destination: 'a•••@example.org' }))
  await ask('Ann reads it out. It is right.', helen.post(`/v1/challenges/${caller.id}/verify`, { code: await codeOf(helen, caller.id) }), answers(200, { status: 'approved' }))

  const reset = { scope: 'all', reason: 'lostDevice', ticket: 'HD-1042', callerChallengeId: caller.id as string, temporaryAccessPass: { lifetimeMinutes: 60, oneTime: true } }
  const phones = some({ kind: 'mobilePhone' }, { kind: 'alternatePhone' }, { kind: 'officePhone' })
  const kept = [{ kind: 'alternateEmail', display: 'a•••@example.org' }]
  await ask('What would a reset do? Nothing is changed.', helen.post('/v1/users/ann/mfa-resets?dryRun=true', reset), answers(200, { dryRun: true, allowed: true, removed: phones, kept, reregistrationRequired: true, waitsForApproval: false }))
  await ask('She is still registered.', payroll.get('/v1/users/ann/sign-in-requirements'), answers(200, { state: 'registered' }))
  const request = helen.post('/v1/users/ann/mfa-resets', reset, withKey('HD-1042'))
  const done = await ask('The reset: methods, sessions, pass, notices, audit log, all of it or nothing.', request, answers(201, {
    status: 'completed', removed: phones, kept, notified: some({ channel: 'sms', display: '+1 ••• ••• ••54' }, { channel: 'email', display: 'a•••@example.org' }), sessionsValidFrom: String,
    temporaryAccessPass: { oneTime: true, startsAt: String, expiresAt: String },
  }, { location: /^\/v1\/mfa-resets\// }))
  const pass = hide(done.temporaryAccessPass.value as string, '(the pass)')
  tour.holds('a pass of 12 characters came with it, shown this once', pass, /^[0-9A-Z]{12}$/)
  await ask('Asked for again with the same key, the answer has no pass any more.', request, answers(201, { id: done.id as string, temporaryAccessPass: { value: null } }, { 'idempotent-replayed': 'true' }))
  await ask('A second press of the button is no second reset.', helen.post('/v1/users/ann/mfa-resets', { scope: 'all', reason: 'lostDevice' }), refuses(409, 'reset_in_progress', { resetId: done.id as string }))
  for (const to of [at.newMobile, at.email, at.signIn]) await noticeTo(helen, to, /sign-in methods of your account were reset by an administrator \(a lost device\)/)
  await noticeTo(helen, at.security, /sign-in methods of the account of user ann were reset/)

  await ask('Ann\'s session of before is over at once.', withPhone.get('/v1/users/me'), refuses(401, 'invalid_token'))
  await ask('The sign-in page hears what is next.', payroll.get('/v1/users/ann/sign-in-requirements'), answers(200, {
    state: 'reregistrationRequired', reason: 'lostDevice', next: 'register', methods: [], sessionsValidFrom: done.sessionsValidFrom as string, devicesValidFrom: String,
    registration: { missing: [{ count: 1 }], acceptedProofs: some({ channel: 'temporaryAccessPass' }) },
  }))
  const bare = await tour.as('ann', { amr: ['pwd'] })
  await ask('Whoever has only her password registers nothing.', bare.post('/v1/users/me/contact-methods', { kind: 'mobilePhone', value: at.stranger }), refuses(403, 'proof_required'))
  return { bare, pass }
}

import type { Caller } from '../caller.ts'
import { at, type Cast } from '../cast.ts'
import { some } from '../expect.ts'
import { addAndVerify } from '../steps.ts'
import { answers, refuses, type Tour } from '../tour.ts'

/** Ann, who signed in a minute ago, and her methods. */
export interface Ann { withPhone: Caller, passwordOnly: Caller, ids: { mobile: string, email: string } }

/** A person registers four ways to be reached; each is pending until its code comes back. */
export async function registration (tour: Tour, { payroll, paul }: Cast): Promise<Ann> {
  const { chapter, ask, codeOf } = tour
  chapter('Ann registers four ways to reach her')
  await ask('The directory makes her known.', paul.put('/v1/users/ann', { displayName: 'Ann', signInEmail: at.signIn, locale: 'en' }), answers(201, { userId: 'ann', signInEmail: null, signInEmailDisplay: 'a•••@example.com', status: 'active' }))
  await ask('The sign-in page hears that she has to register.', payroll.get('/v1/users/ann/sign-in-requirements'),
    answers(200, { state: 'notRegistered', next: 'register', registration: { missing: [{ count: 1, oneOf: some('mobilePhone', 'totp', 'passkey') }] }, methods: [] }))

  const passwordOnly = await tour.as('ann', { amr: ['pwd'], signedInSecondsAgo: 60 })
  const added = await ask('Her mobile phone. A sandbox lets the very first one be added with a password alone.', passwordOnly.post('/v1/users/me/contact-methods', { kind: 'mobilePhone', value: '(415) 555-0132' }),
    answers(201, { kind: 'mobilePhone', status: 'pending', display: '+1 ••• ••• ••32', isDefault: false, channels: ['sms', 'voice'] }, { location: /^\/v1\/users\/.+\/contact-methods\// }))
  const started = await ask('A code is sent to it.', passwordOnly.post('/v1/challenges', { userId: 'me', purpose: 'verifyContact', methodId: added.id }),
    answers(201, { status: 'pending', channel: 'sms', destination: '+1 ••• ••• ••32', codeLength: 6, attemptsRemaining: 5 }))
  const code = await codeOf(passwordOnly, started.id)
  const wrong = String((Number(code) + 1) % 1_000_000).padStart(6, '0')
  await ask('A wrong code is counted.', passwordOnly.post(`/v1/challenges/${started.id}/verify`, { code: wrong }), refuses(422, 'wrong_code', { attemptsRemaining: 4 }))
  await ask('The right one makes it active.', passwordOnly.post(`/v1/challenges/${started.id}/verify`, { code }), answers(200, { status: 'approved' }))
  await ask('It is the default now.', passwordOnly.get(`/v1/users/me/contact-methods/${added.id}`), answers(200, { status: 'active', isDefault: true, verifiedAt: String, value: null, display: '+1 ••• ••• ••32' }))

  await ask('From here on a password is not enough.', passwordOnly.post('/v1/users/me/contact-methods', { kind: 'alternatePhone', value: at.alternate }),
    answers(401, { code: 'insufficient_user_authentication' }, { 'www-authenticate': /error="insufficient_user_authentication".*max_age=/ }))
  const withPhone = await tour.as('ann', { amr: ['pwd', 'otp', 'sms'], signedInSecondsAgo: 60 })
  await addAndVerify(tour, withPhone, { what: 'Her alternate phone, after a second factor', kind: 'alternatePhone', value: at.alternate, channel: 'sms' })
  await addAndVerify(tour, withPhone, { what: 'Her office phone, which is called', kind: 'officePhone', value: at.office, extension: '123', channel: 'voice' })
  const email = await addAndVerify(tour, withPhone, { what: 'Her alternate e-mail', kind: 'alternateEmail', value: at.email, channel: 'email' })
  await ask('She has four, and with a second factor she sees them in full.', withPhone.get('/v1/users/me/contact-methods'), answers(200, {
    items: [{ kind: 'mobilePhone', status: 'active', value: at.mobile }, { kind: 'alternatePhone', status: 'active', value: at.alternate }, { kind: 'officePhone', status: 'active', extension: '123' }, { kind: 'alternateEmail', status: 'active', value: at.email }],
  }))
  await tour.noticeTo(withPhone, at.signIn, /alternate e-mail was added to your account/)
  return { withPhone, passwordOnly, ids: { mobile: added.id as string, email } }
}

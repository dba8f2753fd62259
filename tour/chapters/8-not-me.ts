import { callerOf } from '../caller.ts'
import { at, type Cast } from '../cast.ts'
import { answers, refuses, type Tour } from '../tour.ts'

/** Someone adds a number at Ann's unlocked laptop. The notice has a link, and the link stops everything. */
export async function notMe (tour: Tour, { helen, payroll }: Cast): Promise<void> {
  const { chapter, ask, noticeTo } = tour
  const browser = callerOf('a browser')
  const requirements = payroll.get('/v1/users/ann/sign-in-requirements')
  chapter('"This was not me"')
  const laptop = await tour.as('ann', { amr: ['pwd', 'otp', 'sms'], signedInSecondsAgo: 0 })
  await ask('At Ann\'s unlocked laptop someone adds a number.', laptop.post('/v1/users/me/contact-methods', { kind: 'alternatePhone', value: at.stranger }), answers(201, { status: 'pending' }))
  const notice = await noticeTo(helen, at.email, /alternate phone was added to your account/)
  const path = /\/not-me\/[\w-]+/.exec(notice)?.[0] ?? ''
  await ask('Ann opens the link. Opening it changes nothing, since mail scanners open links too.', browser.get(path, { accept: 'text/html' }), answers(200, /This was not me/))
  await ask('Nothing is frozen.', requirements, answers(200, { state: 'registered', frozenUntil: null }))
  await ask('She presses the button.', browser.post(path, undefined, { accept: 'text/html' }), answers(200, /Done/))
  await ask('It works once.', browser.post(path), refuses(410, 'link_expired'))
  await ask('Changes are frozen for 24 hours, and she must register again.', requirements, answers(200, { state: 'reregistrationRequired', reason: 'compromised', next: 'wait', frozenUntil: String, sessionsValidFrom: String }))
  await noticeTo(helen, at.security, /Someone said that a change of the account of user ann was not theirs/)
  await ask('Nobody adds anything, the help desk neither.', helen.post('/v1/users/ann/contact-methods', { kind: 'officePhone', value: at.office, reason: 'asked by phone' }), refuses(409, 'user_frozen'))

  await ask('Ann comes to the desk. Helen sees the freeze,', helen.get('/v1/users/ann/lockout'), answers(200, { frozenUntil: String, lockedUntil: null }))
  await ask('lifts it,', helen.delete('/v1/users/ann/lockout'), answers(204))
  await ask('and nothing waits any more.', requirements, answers(200, { frozenUntil: null, next: 'register' }))
  const pass = await ask('She has seen Ann\'s badge, and issues a pass.', helen.post('/v1/users/ann/authenticators/temporary-access-pass', { basis: 'inPerson', lifetimeMinutes: 30 }), answers(201, { oneTime: true, startsAt: String, expiresAt: String }))
  tour.hide(pass.value as string, '(the pass)')
}

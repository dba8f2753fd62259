import { withProof } from '../caller.ts'
import { at, type Cast } from '../cast.ts'
import { answers, refuses, type Tour } from '../tour.ts'
import type { Ann } from './2-registration.ts'

/** A new number: the old one works until the new one is verified, and both are told. */
export async function change (tour: Tour, { payroll }: Cast, { passwordOnly, ids }: Ann): Promise<void> {
  const { chapter, ask, codeOf, noticeTo } = tour
  const method = `/v1/users/me/contact-methods/${ids.mobile}`
  chapter('Ann changes to a new number')
  await ask('With a password alone she may not.', passwordOnly.patch(method, { value: at.newMobile }), refuses(401, 'insufficient_user_authentication'))
  const stepUp = await ask('She steps up: a code to the old number.', passwordOnly.post('/v1/challenges', { userId: 'me', purpose: 'stepUp' }), answers(201, { purpose: 'stepUp', destination: '+1 ••• ••• ••32' }))
  const { proof } = await ask('It gives a proof, which stands in for a fresh second factor.', passwordOnly.post(`/v1/challenges/${stepUp.id}/verify`, { code: await codeOf(passwordOnly, stepUp.id) }), answers(200, { status: 'approved', proof: String }))
  await ask('With it she changes the number. The new one waits.', passwordOnly.patch(method, { value: at.newMobile }, withProof(proof)),
    answers(200, { status: 'active', display: '+1 ••• ••• ••32', pendingChange: { display: '+1 ••• ••• ••54', expiresAt: String } }))

  const signIn = await ask('Meanwhile the old number works.', payroll.post('/v1/challenges', { userId: 'ann', purpose: 'signIn' }), answers(201, { methodId: ids.mobile, destination: '+1 ••• ••• ••32' }))
  await ask('Its code lets her in.', payroll.post(`/v1/challenges/${signIn.id}/verify`, { code: await codeOf(payroll, signIn.id) }), answers(200, { status: 'approved' }))

  const verify = await ask('A code goes to the new number.', passwordOnly.post('/v1/challenges', { userId: 'me', purpose: 'verifyContact', methodId: ids.mobile }), answers(201, { destination: '+1 ••• ••• ••54' }))
  await ask('It comes back right.', passwordOnly.post(`/v1/challenges/${verify.id}/verify`, { code: await codeOf(passwordOnly, verify.id) }, withProof(proof)), answers(200, { status: 'approved' }))
  await ask('Now the new number is the method.', passwordOnly.get(method), answers(200, { status: 'active', display: '+1 ••• ••• ••54', pendingChange: null, isDefault: true }))
  await noticeTo(passwordOnly, at.mobile, /mobile phone of your account was changed.*Undo it within 72 hours/s)
  await noticeTo(passwordOnly, at.newMobile, /mobile phone of your account was changed/)
}

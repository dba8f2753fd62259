import { withProof } from '../caller.ts'
import { at, type Cast } from '../cast.ts'
import { some } from '../expect.ts'
import { proofByPass } from '../steps.ts'
import { answers, refuses, type Tour } from '../tour.ts'
import type { Locked } from './5-lost-phone.ts'

/** Pass → proof → new phone → code and proof; then the requirement clears by itself. */
export async function recovery (tour: Tour, { payroll }: Cast, { bare, pass }: Locked): Promise<void> {
  const { chapter, ask, codeOf } = tour
  chapter('Ann registers again, with the pass')
  const proof = withProof(await proofByPass(tour, bare, pass))
  await ask('The pass was good for one use.', bare.get('/v1/users/me/authenticators'), answers(200, { items: [{ kind: 'temporaryAccessPass', status: 'used', oneTime: true }] }))
  const added = await ask('With the proof she adds her new phone.', bare.post('/v1/users/me/contact-methods', { kind: 'mobilePhone', value: at.thirdMobile }, proof), answers(201, { status: 'pending', display: '+1 ••• ••• ••65' }))
  const challenge = await ask('A code is sent to it.', bare.post('/v1/challenges', { userId: 'me', purpose: 'verifyContact', methodId: added.id }), answers(201, { status: 'pending', destination: '+1 ••• ••• ••65' }))
  const code = await codeOf(bare, challenge.id)
  await ask('The code alone does not do: a thief who has the password could have planted the number.', bare.post(`/v1/challenges/${challenge.id}/verify`, { code }), refuses(403, 'proof_required'))
  await ask('Code and proof do.', bare.post(`/v1/challenges/${challenge.id}/verify`, { code }, proof), answers(200, { status: 'approved' }))
  await ask('The policy is met, so the requirement is gone by itself.', payroll.get('/v1/users/ann/sign-in-requirements'),
    answers(200, { state: 'registered', since: null, reason: null, next: 'challenge', methods: some({ kind: 'mobilePhone', display: '+1 ••• ••• ••65', isDefault: true }) }))
}

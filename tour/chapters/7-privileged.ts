import { at, type Cast } from '../cast.ts'
import { some } from '../expect.ts'
import { addAndVerify } from '../steps.ts'
import { answers, refuses, type Tour } from '../tour.ts'

/** What is done to a privileged user takes two, and what it gives is for whoever asked, once. */
export async function privileged (tour: Tour, { helen, paul, petra, payroll }: Cast): Promise<void> {
  const { chapter, ask, hide } = tour
  const resets = '/v1/users/emma/mfa-resets'
  const reset = { scope: 'all', reason: 'newDevice', temporaryAccessPass: { oneTime: true } }
  chapter('Emma runs the company: a reset takes two')
  await ask('She is marked.', paul.put('/v1/users/emma', { displayName: 'Emma', privileged: true }), answers(201, { userId: 'emma', privileged: true }))
  await addAndVerify(tour, await tour.as('emma'), { what: 'Her phone', kind: 'mobilePhone', value: at.emma, channel: 'sms' })
  await ask('A dry run tells Helen why she may not.', helen.post(`${resets}?dryRun=true`, reset), answers(200, { allowed: false, rule: 'privileged_target' }))
  await ask('And she may not.', helen.post(resets, reset), refuses(403, 'forbidden', { rule: 'privileged_target' }))

  const asked = await ask('Paul asks for it. It waits.', paul.post(resets, reset), answers(202, { status: 'pendingApproval', id: String, approvalId: String }, { location: /^\/v1\/approvals\// }))
  const approval = `/v1/approvals/${asked.approvalId}`
  await ask('Nothing has happened yet.', payroll.get('/v1/users/emma/sign-in-requirements'), answers(200, { state: 'registered' }))
  await ask('Nobody approves what they asked for.', paul.post(`${approval}/approve`), refuses(403, 'forbidden', { rule: 'own_request' }))
  await ask('Petra sees what waits.', petra.get('/v1/approvals?status=pending'), answers(200, { items: [{ id: asked.approvalId as string, action: 'mfaResets.create', userId: 'emma', requestedBy: 'paul' }] }))
  await ask('She calls Emma back, and approves. That carries it out.', petra.post(`${approval}/approve`, { note: 'Called back.' }), answers(200, { status: 'completed', decidedBy: 'petra', collectable: true, collectUntil: String }))
  await ask('Emma has to register again.', payroll.get('/v1/users/emma/sign-in-requirements'), answers(200, { state: 'reregistrationRequired', reason: 'newDevice', methods: [] }))
  await ask('The reset says who and when.', paul.get(`/v1/mfa-resets/${asked.id}`), answers(200, { status: 'completed', approvalId: asked.approvalId as string, removed: some({ kind: 'mobilePhone' }), requestedBy: { id: 'paul' } }))

  await ask('The pass is not for Petra.', petra.post(`${approval}/collect`), refuses(404, 'not_found'))
  const { temporaryAccessPass } = await ask('Paul collects it.', paul.post(`${approval}/collect`), answers(200, { collectedAt: String, temporaryAccessPass: { oneTime: true, expiresAt: String } }))
  hide(temporaryAccessPass.value as string, '(the pass)')
  tour.holds('it is there', temporaryAccessPass.value, /^[0-9A-Z]{12}$/)
  await ask('Once.', paul.post(`${approval}/collect`), refuses(409, 'approval_closed'))
}

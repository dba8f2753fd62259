import { at, type Cast } from '../cast.ts'
import { answers, refuses, type Tour } from '../tour.ts'

/** The organisation has a profile, and a security contact that two people agreed on. */
export async function organization ({ chapter, ask }: Tour, { pia, paul }: Cast): Promise<void> {
  chapter('The organisation keeps its own profile')
  await ask('Pia, the policy administrator, names it.', pia.patch('/v1/organization', { name: 'Tour Ltd', phone: '+1 (415) 555-0100', technicalContact: { name: 'IT', email: 'it@example.net' } }),
    answers(200, { name: 'Tour Ltd', phone: '+14155550100', technicalContact: { name: 'IT' } }, { etag: /^"\d+"$/ }))
  const { approvalId } = await ask('Whoever reads security notices is decided by two: a new security contact waits.', pia.patch('/v1/organization', { securityContact: { name: 'Desk', email: at.security } }),
    answers(202, { status: 'pendingApproval', approvalId: String }, { location: /^\/v1\/approvals\// }))
  await ask('Pia may not approve it.', pia.post(`/v1/approvals/${approvalId}/approve`), refuses(403, 'forbidden', { rule: 'role' }))
  await ask('Paul, a privileged administrator, does.', paul.post(`/v1/approvals/${approvalId}/approve`), answers(200, { status: 'completed', requestedBy: 'pia', decidedBy: 'paul' }))
  await ask('Now it is the security contact.', pia.get('/v1/organization'), answers(200, { securityContact: { email: at.security } }))
}

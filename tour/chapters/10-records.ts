import type { Cast } from '../cast.ts'
import { some } from '../expect.ts'
import { answers, refuses, type Tour } from '../tour.ts'

/** Everything is written down, and nobody altered it. */
export async function records ({ chapter, ask }: Tour, { audrey, helen }: Cast): Promise<void> {
  chapter('The auditor looks at it all')
  await ask('The log is not for the help desk.', helen.get('/v1/audit-events'), refuses(403, 'forbidden', { rule: 'role' }))
  await ask('Who reset whom, and who agreed?', audrey.get('/v1/audit-events?action=mfa.reset'), answers(200, { items: [
    { userId: 'emma', actor: { kind: 'person', id: 'paul' }, details: { reason: 'newDevice', approver: 'petra' } },
    { userId: 'ann', actor: { kind: 'person', id: 'helen' }, details: { reason: 'lostDevice', callerChecked: true, resetId: String } },
  ] }))
  await ask('What was refused is in it as well.', audrey.get('/v1/audit-events?actor=helen&action=mfaResets.create'), answers(200, { items: some({ outcome: 'refused', userId: 'emma', details: { rule: 'privileged_target' } }) }))
  await ask('Is the log as it was written?', audrey.get('/v1/audit-events/verification'), answers(200, { intact: true, checked: Number, altered: [], missing: [], unsealed: [], waiting: 0 }))
}

import { Type, type Static } from '@sinclair/typebox'
import { closed, Cursor, Limit, listOf, Nullable, oneOf, ref, Timestamp, Uuid } from '../../platform/http/schemas.ts'
import { approvalStatuses } from '../../vocabulary.ts'

const fields = {
  id: Uuid,
  status: oneOf(approvalStatuses, { description: '`completed`: it was approved and carried out.' }),
  action: Type.String({ description: 'What would be done: `contactMethod.remove`, `policy.change` …' }),
  summary: Type.String({ description: 'The same in plain words.' }),
  userId: Nullable(Type.String(), { description: 'The user it is about; null where it is about the tenant.' }),
  resourceId: Nullable(Type.String(), { description: 'What of the user or tenant it is about, where that is there already.' }),
  details: Type.Record(Type.String(), Type.Unknown(), { description: 'Ids, names of fields, values that are no personal data; while it waits a new number or address as well, masked.' }),
  requestedBy: Type.String({ description: 'Only they withdraw or collect it, and they never approve it.' }),
  requestedAt: Timestamp,
  expiresAt: { ...Timestamp, description: 'Until when it can be decided.' },
  decidedBy: Nullable(Type.String()),
  decidedAt: Nullable(Timestamp),
  collectable: Type.Boolean({ description: 'Whether the requester has something to fetch with `collect`.' }),
  collectUntil: Nullable(Timestamp),
  collectedAt: Nullable(Timestamp),
}

const example = {
  id: '0199c0de-0000-7000-8000-000000000007', status: 'pending' as const, action: 'contactMethod.remove', summary: 'Remove a contact method of a privileged user',
  userId: 'demo-executive', resourceId: '0199c0de-0000-7000-8000-000000000002', details: {}, requestedBy: 'demo-privileged-admin',
  requestedAt: '2026-11-22T09:30:00.000Z', expiresAt: '2026-11-22T10:00:00.000Z', decidedBy: null, decidedAt: null, collectable: false, collectUntil: null, collectedAt: null,
}
const decided = { ...example, decidedBy: 'demo-privileged-admin-2', decidedAt: '2026-11-22T09:35:00.000Z' }
export const approvedExample = { ...decided, status: 'completed' as const }
export const rejectedExample = { ...decided, status: 'rejected' as const }

export const Approval = closed(fields, { $id: 'Approval', title: 'Approval', examples: [example] })
export type Approval = Static<typeof Approval>

export const ApprovalList = listOf(ref(Approval), { $id: 'ApprovalList', title: 'ApprovalList', examples: [{ items: [example] }] })

export const CollectedApproval = closed({
  ...fields,
  temporaryAccessPass: Type.Optional(closed({
    authenticatorId: Uuid,
    value: Nullable(Type.String(), { description: 'Shown this once; null where this answer is a repeated one.' }),
    startsAt: Timestamp,
    expiresAt: Timestamp,
    oneTime: Type.Boolean(),
  })),
}, {
  $id: 'CollectedApproval', title: 'CollectedApproval',
  examples: [{
    ...approvedExample, action: 'temporaryAccessPass.issue', summary: 'Issue a temporary access pass to a privileged user', resourceId: null,
    collectUntil: '2026-11-22T10:05:00.000Z', collectedAt: '2026-11-22T09:36:00.000Z',
    temporaryAccessPass: {
      authenticatorId: '0199c0de-0000-7000-8000-000000000008', value: 'K7QM-2XWD-94TP', startsAt: '2026-11-22T09:36:00.000Z', expiresAt: '2026-11-22T10:36:00.000Z', oneTime: true,
    },
  }],
})
export type CollectedApproval = Static<typeof CollectedApproval>

const Note = Type.Optional(Type.String({ minLength: 1, maxLength: 500, pattern: '^[^\\u0000]*$', description: 'Why; goes into the audit log, without numbers and addresses.' }))
export const Decision = closed({ note: Note }, { $id: 'Decision', title: 'Decision', examples: [{ note: 'Called back.' }] })
export type Decision = Static<typeof Decision>
export const Collection = closed({}, { $id: 'Collection', title: 'Collection', description: 'Nothing has to be said.', examples: [{}] })

export const ApprovalParams = closed({ approvalId: { ...Uuid, description: '`id` of an approval in the list.', examples: [example.id] } })
export const ApprovalsQuery = closed({
  status: Type.Optional(oneOf(approvalStatuses, { description: 'Only these.', examples: ['pending'] })), limit: Limit, cursor: Cursor,
})
export type ApprovalsQuery = Static<typeof ApprovalsQuery>

import { Type, type Static } from '@sinclair/typebox'
import { closed, Cursor, Limit, listOf, Nullable, oneOf, ref, Timestamp, userIdMaxLength, Uuid } from '../../platform/http/schemas.ts'

export const AuditEvent = closed({
  sequence: Type.Integer({ description: 'Number in the chain of the tenant, without gaps.' }),
  id: Uuid,
  at: Timestamp,
  actor: closed({ kind: oneOf(['person', 'app', 'operator', 'system']), id: Type.String() }),
  action: Type.String({ description: 'What was done, or refused: `contactMethod.added`, `policy.changed`, the permission that was refused …' }),
  outcome: oneOf(['done', 'refused']),
  userId: Nullable(Type.String(), { description: 'The user it is about.' }),
  requestId: Nullable(Type.String()),
  details: Type.Record(Type.String(), Type.Unknown(), { description: 'Ids, names and counts; never a number, an address or a code.' }),
}, {
  $id: 'AuditEvent', title: 'AuditEvent',
  examples: [{
    sequence: 12, id: '0199c0de-0000-7000-8000-000000000012', at: '2026-11-22T09:30:00.000Z', actor: { kind: 'person', id: 'demo-user' },
    action: 'contactMethod.added', outcome: 'done', userId: 'demo-user', requestId: '0199c0de-0000-7000-8000-000000000001',
    details: { methodId: '0199c0de-0000-7000-8000-000000000002', kind: 'mobilePhone' },
  }],
})
export type AuditEvent = Static<typeof AuditEvent>

export const AuditEventList = listOf(ref(AuditEvent), {
  $id: 'AuditEventList', title: 'AuditEventList', examples: [{ items: AuditEvent.examples as unknown[] }],
})

const From = Type.Optional(Type.String({ format: 'date-time', maxLength: 40, description: 'At this time or later.', examples: ['2026-11-22T00:00:00Z'] }))
const To = Type.Optional(Type.String({ format: 'date-time', maxLength: 40, description: 'Before this time.', examples: ['2026-11-23T00:00:00Z'] }))

const filters = {
  userId: Type.Optional(Type.String({ minLength: 1, maxLength: userIdMaxLength, description: 'About this user.', examples: ['demo-user'] })),
  actor: Type.Optional(Type.String({ minLength: 1, maxLength: userIdMaxLength, description: 'Done by this person or app.', examples: ['demo-helpdesk'] })),
  action: Type.Optional(Type.String({ minLength: 1, maxLength: 80, description: 'Exactly this action.', examples: ['contactMethod.added'] })),
  from: From, to: To,
}

export const AuditQuery = closed({ ...filters, limit: Limit, cursor: Cursor })
export type AuditQuery = Static<typeof AuditQuery>

export const AuditFilter = closed(filters)
export type AuditFilter = Static<typeof AuditFilter>

/** Newline-delimited JSON: a schema can only say that it is text. */
export const AuditLines = Type.String({
  description: 'One AuditEvent a line, as JSON, in the order of their numbers.',
  examples: [`${JSON.stringify(AuditEvent.examples[0])}\n`],
})

export const AuditRange = closed({ from: From, to: To })
export type AuditRange = Static<typeof AuditRange>

export const AuditVerification = closed({
  from: Nullable(Type.Integer(), { description: 'First number that was checked.' }),
  to: Nullable(Type.Integer(), { description: 'Last number that was checked.' }),
  checked: Type.Integer({ description: 'How many numbers were checked.' }),
  intact: Type.Boolean({ description: 'Nothing altered, missing or unsealed.' }),
  altered: Type.Array(Type.Integer(), { description: 'Numbers whose row or seal is not as it was written. At most 100 are named.' }),
  missing: Type.Array(Type.Integer(), { description: 'Numbers whose row or seal is gone. At most 100 are named.' }),
  unsealed: Type.Array(Uuid, { description: 'Rows that were never numbered. At most 100 are named.' }),
  waiting: Type.Integer({ description: 'Rows that will be numbered within a second.' }),
  checkpoint: Nullable(closed({
    sequence: Type.Integer({ description: 'The last number that was dropped.' }),
    events: Type.Integer({ description: 'How many numbers were dropped with it.' }),
    faults: Type.Integer({ description: 'How many of them were altered or missing even then; at most 100 missing ones are counted.' }),
    madeAt: Timestamp,
  }), { description: 'Where the check began, if what came before is older than 400 days and was dropped; else null.' }),
}, {
  $id: 'AuditVerification', title: 'AuditVerification',
  examples: [{ from: 1, to: 12, checked: 12, intact: true, altered: [], missing: [], unsealed: [], waiting: 0, checkpoint: null }],
})

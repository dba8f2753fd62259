import { Type, type Static } from '@sinclair/typebox'
import { closed, Nullable, oneOf, Timestamp, UserIdParam, Uuid } from '../../platform/http/schemas.ts'
import { messageChannels } from '../../vocabulary.ts'

export const offboardingStatuses = ['offboarded', 'erased', 'undone'] as const

export const NewOffboarding = closed({
  note: Type.Optional(Type.String({ minLength: 1, maxLength: 500, pattern: '^[^\\u0000]*$', description: 'For other administrators.' })),
  ticket: Type.Optional(Type.String({ minLength: 1, maxLength: 100, pattern: '^[^\\u0000]*$', description: 'Where the case is kept.' })),
}, { $id: 'NewOffboarding', title: 'NewOffboarding', examples: [{ ticket: 'HR-77' }] })
export type NewOffboarding = Static<typeof NewOffboarding>

export const Offboarding = closed({
  userId: Type.String(),
  status: oneOf(offboardingStatuses, { description: '`erased`: their data is gone; `undone`: they came back before that.' }),
  note: Nullable(Type.String()),
  ticket: Nullable(Type.String()),
  offboardedBy: Type.String(),
  offboardedAt: Timestamp,
  eraseAfter: { ...Timestamp, description: 'When their data is erased; until then it can be undone.' },
  undoneAt: Nullable(Timestamp),
  erasedAt: Nullable(Timestamp),
  certificate: Nullable(Type.String({ description: 'Once erased: a JWT (type `latchkey-erasure+jwt`) under the keys at `/.well-known/jwks.json` that says how many rows of each table were erased.' })),
}, {
  $id: 'Offboarding', title: 'Offboarding',
  examples: [{
    userId: 'demo-user', status: 'offboarded', note: null, ticket: 'HR-77', offboardedBy: 'demo-privileged-admin', offboardedAt: '2026-11-22T09:30:00.000Z',
    eraseAfter: '2026-12-22T09:30:00.000Z', undoneAt: null, erasedAt: null, certificate: null,
  }],
})
export type Offboarding = Static<typeof Offboarding>

export const OffboardingPreview = closed({
  dryRun: Type.Literal(true),
  allowed: Type.Boolean({ description: 'Whether the caller may do it to this user.' }),
  rule: Type.Optional(Type.String({ description: 'The rule that forbids it.' })),
  removed: Type.Array(closed({ id: Uuid, kind: Type.String(), display: Nullable(Type.String()) }), { description: 'What would stop working.' }),
  notified: Type.Array(closed({ channel: oneOf(messageChannels), display: Type.String() }), { description: 'Who would be told.' }),
  eraseAfter: { ...Timestamp, description: 'When their data would be erased.' },
  waitsForApproval: Type.Boolean({ description: 'Whether a second person would have to approve.' }),
}, {
  $id: 'OffboardingPreview', title: 'OffboardingPreview',
  examples: [{
    dryRun: true, allowed: true, removed: [{ id: '0199c0de-0000-7000-8000-000000000002', kind: 'mobilePhone', display: '+1 ••• ••• ••32' }],
    notified: [{ channel: 'sms', display: '+1 ••• ••• ••32' }], eraseAfter: '2026-12-22T09:30:00.000Z', waitsForApproval: false,
  }],
})
export type OffboardingPreview = Static<typeof OffboardingPreview>

export const OffboardingParams = closed({ userId: UserIdParam })
export const OffboardingQuery = closed({ dryRun: Type.Optional(Type.Boolean({ description: 'Say what would happen and change nothing.', examples: [true] })) })

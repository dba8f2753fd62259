import { Type, type Static } from '@sinclair/typebox'
import { closed, Cursor, Limit, listOf, Nullable, oneOf, ref, Timestamp, UserIdParam, Uuid } from '../../platform/http/schemas.ts'
import { messageChannels, resetReasons } from '../../vocabulary.ts'

export const resetScopes = ['all', 'kinds', 'methods'] as const
export const resetStatuses = ['completed', 'pendingApproval', 'rejected', 'expired'] as const
/** What a reset of some kinds can name. */
export const resettableKinds = ['mobilePhone', 'alternatePhone', 'officePhone', 'alternateEmail', 'totp', 'passkey', 'recoveryCodes', 'temporaryAccessPass'] as const

const NewPass = closed({
  lifetimeMinutes: Type.Optional(Type.Integer({ minimum: 10, maximum: 43_200, description: 'The policy may allow less, and says how long where this is absent.' })),
  oneTime: Type.Optional(Type.Boolean({ description: 'Whether it can be used once only.' })),
})

export const NewReset = closed({
  scope: oneOf(resetScopes, { description: '`all`: every phone and authenticator; an alternate e-mail stays, except after `compromised`. `kinds` and `methods`: what is named.' }),
  kinds: Type.Optional(Type.Array(oneOf(resettableKinds), { minItems: 1, maxItems: 8, uniqueItems: true, description: 'With scope `kinds`.' })),
  methodIds: Type.Optional(Type.Array(Uuid, { minItems: 1, maxItems: 50, uniqueItems: true, description: 'With scope `methods`; from the lists of methods and authenticators.' })),
  reason: oneOf(resetReasons),
  note: Type.Optional(Type.String({ minLength: 1, maxLength: 500, pattern: '^[^\\u0000]*$', description: 'For other administrators.' })),
  ticket: Type.Optional(Type.String({ minLength: 1, maxLength: 100, pattern: '^[^\\u0000]*$', description: 'Where the case is kept.' })),
  callerChallengeId: Type.Optional({ ...Uuid, description: 'A caller check that you started for this user, approved at most 15 minutes ago. It counts once.' }),
  revokeSessions: Type.Optional(Type.Boolean({ default: true, description: '`false` is refused for `lostDevice`, `compromised` and `left`.' })),
  forgetDevices: Type.Optional(Type.Boolean({ default: true, description: 'Apps forget the devices that they remember.' })),
  temporaryAccessPass: Type.Optional(NewPass),
  breakGlass: Type.Optional(Type.Boolean({ description: 'Without the second approver, in an emergency: once a day, and everyone who may approve is told.' })),
}, { $id: 'NewReset', title: 'NewReset', examples: [{ scope: 'all', reason: 'lostDevice', ticket: 'HD-1042' }] })
export type NewReset = Static<typeof NewReset>

const NamedMethod = closed({ id: Uuid, kind: oneOf(resettableKinds), display: Nullable(Type.String({ description: 'The value, masked; null where there is none.' })) })
const Told = closed({ channel: oneOf(messageChannels), display: Type.String({ description: 'Where the notice went, masked.' }) })

const Pass = closed({
  authenticatorId: Uuid,
  value: Nullable(Type.String({ description: 'Shown once; null when the answer is asked for again.' })),
  startsAt: Timestamp,
  expiresAt: Timestamp,
  oneTime: Type.Boolean(),
})

const outcome = {
  removed: Type.Array(NamedMethod, { description: 'What was taken away.' }),
  kept: Type.Array(NamedMethod, { description: 'What the user still has.' }),
  notified: Type.Array(Told, { description: 'Who was told.' }),
}
const outcomeExample = {
  removed: [{ id: '0199c0de-0000-7000-8000-000000000002', kind: 'mobilePhone', display: '+1 ••• ••• ••32' }],
  kept: [{ id: '0199c0de-0000-7000-8000-000000000004', kind: 'alternateEmail', display: 'd•••@example.com' }],
  notified: [{ channel: 'sms', display: '+1 ••• ••• ••32' }, { channel: 'email', display: 'd•••@example.com' }],
}
const resetExampleId = '0199c0de-0000-7000-8000-000000000007'

/** The answer to a reset that was done. */
export const ResetDone = closed({
  id: Uuid, status: Type.Literal('completed'), ...outcome,
  sessionsValidFrom: Nullable(Timestamp, { description: 'Whoever signed in before this is not let in.' }),
  temporaryAccessPass: Type.Optional(Pass),
}, { $id: 'ResetDone', title: 'ResetDone', examples: [{ id: resetExampleId, status: 'completed', ...outcomeExample, sessionsValidFrom: '2026-11-22T09:30:00.000Z' }] })
export type ResetDone = Static<typeof ResetDone>

/** The answer to a reset that waits for a second person. */
export const ResetWaiting = closed({ id: Uuid, status: Type.Literal('pendingApproval'), approvalId: Uuid }, {
  $id: 'ResetWaiting', title: 'ResetWaiting', examples: [{ id: resetExampleId, status: 'pendingApproval', approvalId: '0199c0de-0000-7000-8000-000000000008' }],
})
export type ResetWaiting = Static<typeof ResetWaiting>

/** The answer to a dry run. */
export const ResetPreview = closed({
  dryRun: Type.Literal(true),
  allowed: Type.Boolean({ description: 'Whether the caller may do it to this user.' }),
  rule: Type.Optional(Type.String({ description: 'The rule that forbids it.' })),
  ...outcome,
  reregistrationRequired: Type.Boolean({ description: 'Whether the user would have to register again.' }),
  waitsForApproval: Type.Boolean({ description: 'Whether a second person would have to approve.' }),
}, { $id: 'ResetPreview', title: 'ResetPreview', examples: [{ dryRun: true, allowed: true, ...outcomeExample, reregistrationRequired: true, waitsForApproval: false }] })
export type ResetPreview = Static<typeof ResetPreview>

export const Reset = closed({
  id: Uuid, userId: Type.String(), status: oneOf(resetStatuses), scope: oneOf(resetScopes),
  kinds: Nullable(Type.Array(oneOf(resettableKinds))), methodIds: Nullable(Type.Array(Uuid)),
  reason: oneOf(resetReasons), note: Nullable(Type.String({ description: 'For administrators; null to anyone else.' })), ticket: Nullable(Type.String({ description: 'For administrators; null to anyone else.' })),
  requestedBy: closed({ kind: oneOf(['person', 'app']), id: Type.String() }), approvalId: Nullable(Uuid),
  ...outcome, createdAt: Timestamp, completedAt: Nullable(Timestamp),
}, {
  $id: 'Reset', title: 'Reset',
  examples: [{
    id: resetExampleId, userId: 'demo-user', status: 'completed', scope: 'all', kinds: null, methodIds: null, reason: 'lostDevice', note: null, ticket: 'HD-1042',
    requestedBy: { kind: 'person', id: 'demo-helpdesk' }, approvalId: null, ...outcomeExample, createdAt: '2026-11-22T09:30:00.000Z', completedAt: '2026-11-22T09:30:00.000Z',
  }],
})
export type Reset = Static<typeof Reset>
export const ResetList = listOf(ref(Reset), { $id: 'ResetList', title: 'ResetList', examples: [{ items: Reset.examples as unknown[] }] })

export const ResetsParams = closed({ userId: UserIdParam })
export const ResetParams = closed({ resetId: { ...Uuid, description: 'It comes from the answer to the reset, or from the history of the user.', examples: [resetExampleId] } })
export const ResetQuery = closed({ dryRun: Type.Optional(Type.Boolean({ description: 'Say what would happen and change nothing.', examples: [true] })) })
export const ResetsQuery = closed({ limit: Limit, cursor: Cursor })

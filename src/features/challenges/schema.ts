import { Type, type Static } from '@sinclair/typebox'
import { closed, Nullable, oneOf, Timestamp, Uuid } from '../../platform/http/schemas.ts'
import { challengeStatuses, channels, deliveryStates, purposes } from '../../vocabulary.ts'

export const Challenge = closed({
  id: Uuid,
  status: oneOf(challengeStatuses),
  purpose: oneOf(purposes),
  channel: oneOf(channels),
  methodId: Nullable(Uuid),
  destination: Nullable(Type.String(), { description: 'Where the code went, masked; null where there is nothing to send.' }),
  codeLength: Nullable(Type.Integer()),
  attemptsRemaining: Type.Integer({ description: 'Wrong codes that are left.' }),
  sendsRemaining: Type.Integer({ description: 'Sends to this destination that are left for now.' }),
  expiresAt: Timestamp,
  resendAvailableAt: Nullable(Timestamp),
  createdAt: Timestamp,
  endedAt: Nullable(Timestamp),
  delivery: Nullable(oneOf(deliveryStates), { description: 'What is known of the newest message; null where there is nothing to send.' }),
}, {
  $id: 'Challenge', title: 'Challenge',
  examples: [{
    id: '0199c0de-0000-7000-8000-000000000003', status: 'pending', purpose: 'verifyContact', channel: 'sms', methodId: '0199c0de-0000-7000-8000-000000000002',
    destination: '+1 ••• ••• ••32', codeLength: 6, attemptsRemaining: 5, sendsRemaining: 4, expiresAt: '2026-11-22T09:35:00.000Z',
    resendAvailableAt: '2026-11-22T09:30:30.000Z', createdAt: '2026-11-22T09:30:00.000Z', endedAt: null, delivery: 'queued',
  }],
})
export type Challenge = Static<typeof Challenge>

export const canceledExample = { ...(Challenge.examples as Challenge[])[0]!, status: 'canceled', endedAt: '2026-11-22T09:31:00.000Z', delivery: 'sent' }

/** A second line, or digits that are shown in another order, would make the message say something else. */
const oneLine = '^[^\\u0000-\\u001f\\u007f-\\u009f\\u2028\\u2029\\u202a-\\u202e\\u2066-\\u2069]*$'

export const NewChallenge = closed({
  userId: Type.String({ minLength: 1, maxLength: 128, pattern: '^(?!\\.{1,2}$)[A-Za-z0-9._@|:+=-]{1,128}$', description: 'Whom it is for; `me` for the subject of the token.' }),
  purpose: oneOf(purposes),
  methodId: Type.Optional(Uuid),
  channel: Type.Optional(oneOf(channels, { description: 'The method\'s first channel unless told. `temporaryAccessPass` needs no `methodId`.' })),
  locale: Type.Optional(Type.String({ minLength: 2, maxLength: 35, pattern: '^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$', description: 'Language of the message; the user\'s unless told.' })),
  clientAddress: Type.Optional(Type.String({ minLength: 2, maxLength: 45, pattern: '^[0-9A-Fa-f:.]+$', description: 'IP address of the person, as the app sees it.' })),
  context: Type.Optional(closed({
    display: Type.String({ minLength: 1, maxLength: 80, pattern: oneLine, description: 'Part of the message: one line, without control characters and such as turn the direction of writing.' }),
    data: Type.Optional(Type.Record(Type.String({ maxLength: 100 }), Type.Unknown(), { maxProperties: 50 })),
  }, { description: 'What the person is asked to approve; needed for a `transaction`, and for apps only. 2 KiB in all.' })),
}, {
  $id: 'NewChallenge', title: 'NewChallenge',
  examples: [{ userId: 'me', purpose: 'verifyContact', methodId: '0199c0de-0000-7000-8000-000000000002', channel: 'sms' }],
})
export type NewChallenge = Static<typeof NewChallenge>

/** A code is any string here: what is not made of digits must be counted before it is refused. */
export const Verification = closed({
  code: Type.Optional(Type.String({ maxLength: 128, description: 'The code, exactly as it was sent. A pass, in any case and with spaces and hyphens or without.' })),
  assertion: Type.Optional(Type.Record(Type.String({ maxLength: 100 }), Type.Unknown(), { maxProperties: 20, description: 'A passkey\'s answer.' })),
}, { $id: 'Verification', title: 'Verification', description: 'Exactly one of `code` and `assertion`.', examples: [{ code: '123456' }] })
export type Verification = Static<typeof Verification>

export const Approval = closed({
  challengeId: Uuid,
  status: Type.Literal('approved'),
  proof: Type.String({ description: 'A signed token (JWT) that says who was verified, how, for what and for whom. It is not kept; only this answer has it.' }),
}, {
  $id: 'ChallengeApproval', title: 'ChallengeApproval',
  examples: [{ challengeId: '0199c0de-0000-7000-8000-000000000003', status: 'approved', proof: 'eyJhbGciOiJFUzI1NiIsInR5cCI6ImxhdGNoa2V5LXByb29mK2p3dCJ9.e30.c2lnbmF0dXJl' }],
})
export type Approval = Static<typeof Approval>

/** A body that says nothing; it may also be left away. */
export const NoFields = closed({}, { $id: 'NoFields', title: 'NoFields', description: 'Nothing: the body may be left away.', examples: [{}] })

export const ChallengeParams = closed({
  challengeId: { ...Uuid, description: '`id` in the answer to starting the challenge.', examples: ['0199c0de-0000-7000-8000-000000000003'] },
})

import { Type, type Static } from '@sinclair/typebox'
import { closed, Nullable, oneOf, Timestamp, UserIdParam, Uuid } from '../../../platform/http/schemas.ts'

export const passId = '0199c0de-0000-7000-8000-000000000004'

export const NewPass = closed({
  lifetimeMinutes: Type.Optional(Type.Integer({ minimum: 10, maximum: 43_200, description: 'How long it is good for; at most what the policy allows, and what it says unless told.' })),
  oneTime: Type.Optional(Type.Boolean({ description: 'Whether it is good for one use; as the policy says unless told.' })),
  startsAt: Type.Optional(Type.String({ format: 'date-time', maxLength: 40, description: 'From when it is good; at once unless told, and for a time that is over. At most 30 days ahead.' })),
  basis: Type.Optional(oneOf(['callerCheck', 'inPerson'], { description: 'How you know who asks. `callerCheck`: by a code that was sent to them; `inPerson`: face to face.' })),
  note: Type.Optional(Type.String({ minLength: 1, maxLength: 500, pattern: '^[^\\u0000]*$', description: 'Goes into the audit log, without numbers and addresses.' })),
  callerChallengeId: Type.Optional({ ...Uuid, description: '`id` of a `callerCheck` challenge that you started for this user, that was approved at most 15 minutes ago, and that armed nothing yet.' }),
  breakGlass: Type.Optional(Type.Boolean({ description: 'For a privileged user: without the second approver, once a day, where the policy allows it. Everyone who may approve is told at once.' })),
}, { $id: 'NewTemporaryAccessPass', title: 'NewTemporaryAccessPass', examples: [{ lifetimeMinutes: 60, oneTime: true, basis: 'inPerson', note: 'Showed her badge at the desk.' }] })
export type NewPass = Static<typeof NewPass>

/** The one answer that has the value. */
export interface IssuedPass { authenticatorId: string, value: string, startsAt: string, expiresAt: string, oneTime: boolean }

export const TemporaryAccessPass = closed({
  authenticatorId: Uuid,
  value: Nullable(Type.String(), { description: 'Shown this once: hand it to the person. Null where the answer is asked for again with the same `Idempotency-Key`; then issue another one.' }),
  startsAt: Timestamp,
  expiresAt: Timestamp,
  oneTime: Type.Boolean({ description: 'Good for one use.' }),
}, {
  $id: 'TemporaryAccessPass', title: 'TemporaryAccessPass',
  examples: [{ authenticatorId: passId, value: '7KQ2MX9RTB4W', startsAt: '2026-11-22T09:30:00.000Z', expiresAt: '2026-11-22T10:30:00.000Z', oneTime: true }],
})
export type TemporaryAccessPass = Static<typeof TemporaryAccessPass>

export const PassParams = closed({ userId: UserIdParam })

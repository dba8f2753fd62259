import { Type, type Static } from '@sinclair/typebox'
import { closed, Cursor, Limit, listOf, Nullable, oneOf, ref, Timestamp, UserIdParam, Uuid } from '../../platform/http/schemas.ts'
import { actions, type Action } from '../../vocabulary.ts'

export const TimelineEntry = closed({
  id: Uuid,
  at: Timestamp,
  text: Type.String({ description: 'What was done, in plain words.' }),
  action: Type.String({ description: 'The same as a name that does not change.' }),
  by: oneOf(['self', 'administrator', 'app', 'service'], { description: 'Who did it.' }),
}, {
  $id: 'TimelineEntry', title: 'TimelineEntry',
  examples: [{ id: '0199c0de-0000-7000-8000-000000000012', at: '2026-11-22T09:30:00.000Z', text: 'A mobile phone was added. It counts once it is verified.', action: 'contactMethod.added', by: 'self' }],
})
export type TimelineEntry = Static<typeof TimelineEntry>
export const Timeline = listOf(ref(TimelineEntry), { $id: 'Timeline', title: 'Timeline', examples: [{ items: TimelineEntry.examples as unknown[] }] })

const anything = (description: string) => Type.Array(Type.Record(Type.String(), Type.Unknown()), { description })

export const UserExport = closed({
  userId: Type.String(),
  exportedAt: Timestamp,
  user: Type.Record(Type.String(), Type.Unknown(), { description: 'The user as the service knows them.' }),
  contactMethods: anything('Every method that is bound or was, with its full value until it is erased.'),
  authenticators: anything('Every authenticator that is bound or was; never a secret.'),
  challenges: anything('Every challenge that is kept; never a code.'),
  messages: anything('Every message that was sent or tried; without its text, which is not kept.'),
  resets: anything('Every reset.'),
  lockout: Nullable(Type.Record(Type.String(), Type.Unknown())),
  timeline: Type.Array(ref(TimelineEntry), { description: 'What was done, newest first; the newest 1,000.' }),
}, {
  $id: 'UserExport', title: 'UserExport',
  examples: [{
    userId: 'demo-user', exportedAt: '2026-11-22T09:30:00.000Z', user: { displayName: 'Demo User', locale: 'en' }, contactMethods: [], authenticators: [], challenges: [], messages: [], resets: [],
    lockout: null, timeline: TimelineEntry.examples as unknown[],
  }],
})
export type UserExport = Static<typeof UserExport>

export const AllowedAction = closed({
  action: oneOf(Object.keys(actions) as Action[]),
  allowed: Type.Boolean(),
  rule: Nullable(Type.String({ description: 'The rule that decided, where it is not allowed.' })),
  waitsForApproval: Type.Boolean({ description: 'Allowed, once a second person approves.' }),
})
export const AllowedActions = closed({ userId: Type.String(), items: Type.Array(AllowedAction) }, {
  $id: 'AllowedActions', title: 'AllowedActions',
  examples: [{ userId: 'demo-executive', items: [{ action: 'mfaResets.create', allowed: false, rule: 'privileged_target', waitsForApproval: false }] }],
})
export type AllowedActions = Static<typeof AllowedActions>

export const UserDataParams = closed({ userId: UserIdParam })
export const TimelineQuery = closed({ limit: Limit, cursor: Cursor })

import { Type, type Static } from '@sinclair/typebox'
import { closed, Cursor, Limit, listOf, Nullable, oneOf, ref, Timestamp, UserIdParam } from '../../platform/http/schemas.ts'
import { resetReasons, userStatuses } from '../../vocabulary.ts'

const DisplayName = Type.String({ minLength: 1, maxLength: 200, pattern: '^[^\\u0000-\\u001f\\u007f]*$' })
export const Locale = Type.String({ minLength: 2, maxLength: 35, pattern: '^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$', description: 'BCP 47 language tag.', examples: ['en'] })

export const User = closed({
  userId: Type.String(),
  displayName: Nullable(Type.String()),
  signInEmail: Nullable(Type.String(), { description: 'The full address, for the person themself with a second factor at most 12 h old and with `reveal=true`; else null.' }),
  signInEmailDisplay: Nullable(Type.String(), { description: 'The address, masked.' }),
  locale: Nullable(Type.String()),
  privileged: Type.Boolean({ description: 'Changes to a privileged user need a privileged administrator and a second approver.' }),
  status: oneOf(userStatuses),
  createdAt: Timestamp,
  updatedAt: Timestamp,
  version: Type.Integer(),
}, {
  $id: 'User', title: 'User',
  examples: [{
    userId: 'demo-user', displayName: 'Demo User', signInEmail: null, signInEmailDisplay: 'd•••@example.com', locale: 'en', privileged: false,
    status: 'active', createdAt: '2026-11-22T09:30:00.000Z', updatedAt: '2026-11-22T09:30:00.000Z', version: 1,
  }],
})
export type User = Static<typeof User>

export const UserList = listOf(ref(User), { $id: 'UserList', title: 'UserList', examples: [{ items: User.examples as unknown[] }] })

export const UserChange = closed({
  displayName: Type.Optional(Nullable(DisplayName)),
  signInEmail: Type.Optional(Nullable(Type.String({ minLength: 1, maxLength: 254, description: 'The address the person signs in with. Null takes it away.' }))),
  locale: Type.Optional(Nullable(Locale)),
  privileged: Type.Optional(Type.Boolean({ description: '`true` marks the user; `false` is refused here for a user who is.' })),
  status: Type.Optional(oneOf(['active', 'disabled'], { description: 'A disabled user is not let in anywhere.' })),
}, { $id: 'UserChange', title: 'UserChange', description: 'Fields that are not named keep their value.', examples: [{ displayName: 'Demo User', signInEmail: 'demo-user@example.com', locale: 'en' }] })
export type UserChange = Static<typeof UserChange>

export const UserSearch = closed({
  phone: Type.Optional(Type.String({ minLength: 1, maxLength: 100, description: 'In any usual spelling; national format where `country` or the tenant\'s default country settles it.' })),
  country: Type.Optional(Type.String({ pattern: '^[A-Z]{2}$', maxLength: 2 })),
  email: Type.Optional(Type.String({ minLength: 1, maxLength: 254 })),
}, { $id: 'UserSearch', title: 'UserSearch', description: 'Exactly one of `phone` and `email`.', examples: [{ phone: '+1 415 555 0132' }] })
export type UserSearch = Static<typeof UserSearch>

export const NewSessionRevocation = closed({
  reason: Type.Optional(oneOf(resetReasons, { description: 'Why; goes into the audit log.' })),
  note: Type.Optional(Type.String({ minLength: 1, maxLength: 500, pattern: '^[^\\u0000]*$', description: 'Goes into the audit log, without numbers and addresses.' })),
  forgetDevices: Type.Optional(Type.Boolean({ description: 'Apps forget the devices that they remember as well.' })),
}, { $id: 'NewSessionRevocation', title: 'NewSessionRevocation', examples: [{ reason: 'lostDevice', forgetDevices: true }] })
export type NewSessionRevocation = Static<typeof NewSessionRevocation>

export const SessionRevocation = closed({
  userId: Type.String(),
  sessionsValidFrom: { ...Timestamp, description: 'Whoever signed in before this second is not let in.' },
  devicesValidFrom: Nullable(Timestamp, { description: 'Devices remembered before this are forgotten; null if they never were.' }),
}, {
  $id: 'SessionRevocation', title: 'SessionRevocation',
  examples: [{ userId: 'demo-user', sessionsValidFrom: '2026-11-22T09:30:00.000Z', devicesValidFrom: '2026-11-22T09:30:00.000Z' }],
})
export type SessionRevocation = Static<typeof SessionRevocation>

export const UserParams = closed({ userId: UserIdParam })
export const RevealQuery = closed({ reveal: Type.Optional(Type.Boolean({ description: 'Show full values, for callers with the permission `contact-methods:reveal`. Audited.', examples: [true] })) })

export const UserListQuery = closed({
  search: Type.Optional(Type.String({ minLength: 1, maxLength: 200, pattern: '^[^\\u0000]*$', description: 'A user id, or the start of one or of the name.', examples: ['demo'] })),
  limit: Limit, cursor: Cursor,
})
export type UserListQuery = Static<typeof UserListQuery>

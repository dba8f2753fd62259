import { Type, type Static } from '@sinclair/typebox'
import { closed, Cursor, Limit, listOf, Nullable, oneOf, ref, Timestamp, UserIdParam, Uuid } from '../../platform/http/schemas.ts'
import { authenticatorKinds, authenticatorStatuses } from '../../vocabulary.ts'

const example = {
  id: '0199c0de-0000-7000-8000-000000000004', kind: 'temporaryAccessPass', status: 'active', startsAt: '2026-11-22T09:30:00.000Z', expiresAt: '2026-11-22T10:30:00.000Z', oneTime: true,
  createdAt: '2026-11-22T09:30:00.000Z', lastUsedAt: null, version: 1,
}

export const Authenticator = closed({
  id: Uuid,
  kind: oneOf(authenticatorKinds),
  status: oneOf(authenticatorStatuses, { description: '`pending`: it has not started. `used`: it was good for one use, and had it. `disabled`: there were too many wrong tries.' }),
  startsAt: Nullable(Timestamp, { description: 'Of a pass: from when it is good.' }),
  expiresAt: Nullable(Timestamp, { description: 'Of a pass: until when.' }),
  oneTime: Nullable(Type.Boolean(), { description: 'Of a pass: whether it is good for one use.' }),
  createdAt: Timestamp,
  lastUsedAt: Nullable(Timestamp),
  version: Type.Integer(),
}, { $id: 'Authenticator', title: 'Authenticator', description: 'Never its secret.', examples: [example] })
export type Authenticator = Static<typeof Authenticator>

export const AuthenticatorList = listOf(ref(Authenticator), { $id: 'AuthenticatorList', title: 'AuthenticatorList', examples: [{ items: [example] }] })

export const AuthenticatorsQuery = closed({ limit: Limit, cursor: Cursor })
export type AuthenticatorsQuery = Static<typeof AuthenticatorsQuery>

export const HolderParams = closed({ userId: UserIdParam })
export const AuthenticatorParams = closed({
  userId: UserIdParam, authenticatorId: { ...Uuid, description: '`id` of an authenticator in the list.', examples: [example.id] },
})

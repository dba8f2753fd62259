import { Type, type Static } from '@sinclair/typebox'
import { closed, Cursor, Limit, listOf, Nullable, oneOf, ref, Timestamp, UserIdParam, Uuid } from '../../platform/http/schemas.ts'
import { guessableChannels } from '../../vocabulary.ts'

export const Lockout = closed({
  userId: Type.String(),
  lockedUntil: Nullable(Timestamp, { description: 'Until when codes are not judged; null where they are.' }),
  frozenUntil: Nullable(Timestamp, { description: 'Until when nothing of the user may be changed; null where it may.' }),
  wrongCodesInARow: Type.Integer({ description: 'On all methods together, since the last right code.' }),
  lockedChannels: Type.Array(oneOf(guessableChannels), { description: 'What the lock is for; empty where there is none. A passkey and a temporary access pass stay usable.' }),
  lockedMethods: Type.Array(Uuid, { description: 'Methods with 50 wrong codes in a row that are the last usable one: locked until an administrator lifts it.' }),
}, {
  $id: 'Lockout', title: 'Lockout',
  examples: [{
    userId: 'demo-user', lockedUntil: '2026-11-22T09:45:00.000Z', frozenUntil: null, wrongCodesInARow: 10, lockedChannels: [...guessableChannels], lockedMethods: [],
  }],
})
export type Lockout = Static<typeof Lockout>

export const LockoutParams = closed({ userId: UserIdParam })

export const PrefixBlock = closed({
  prefix: Type.String({ description: 'The first seven digits of the numbers, country code and all.' }),
  blockedAt: Timestamp,
  blockedUntil: Timestamp,
}, { $id: 'PrefixBlock', title: 'PrefixBlock', examples: [{ prefix: '1415555', blockedAt: '2026-11-22T09:30:00.000Z', blockedUntil: '2026-11-22T21:30:00.000Z' }] })
export type PrefixBlock = Static<typeof PrefixBlock>

export const PrefixBlockList = listOf(ref(PrefixBlock), { $id: 'PrefixBlockList', title: 'PrefixBlockList', examples: [{ items: PrefixBlock.examples as unknown[] }] })

export const PrefixBlockQuery = closed({ limit: Limit, cursor: Cursor })
export type PrefixBlockQuery = Static<typeof PrefixBlockQuery>

export const PrefixBlockParams = closed({
  prefix: Type.String({ minLength: 1, maxLength: 7, pattern: '^[0-9]{1,7}$', description: '`prefix` of a block in the list.', examples: ['1415555'] }),
})

import { Type, type Static } from '@sinclair/typebox'
import { closed, Cursor, Limit, listOf, Nullable, oneOf, ref, Timestamp, UserIdParam, Uuid } from '../../platform/http/schemas.ts'
import { channels, methodKinds, methodStatuses } from '../../vocabulary.ts'

export const lineTypes = ['mobile', 'landline', 'mobileOrLandline', 'voip', 'other', 'unknown'] as const

const Value = Type.String({ minLength: 1, maxLength: 320, description: 'A phone number in any usual spelling, or an e-mail address.' })
const Extension = Type.String({ minLength: 1, maxLength: 15, pattern: '^[0-9]{1,15}$', description: 'Only an `officePhone` has one.' })
const Label = Type.String({ minLength: 1, maxLength: 64, pattern: '^[^\\u0000-\\u001f\\u007f]*$' })
const Country = Type.String({ pattern: '^[A-Z]{2}$', maxLength: 2, description: 'Settles a number in national format. ISO 3166-1 alpha-2.' })

const PendingChange = closed({
  display: Type.String({ description: 'The new value, masked.' }),
  extension: Nullable(Type.String()),
  expiresAt: Timestamp,
}, { description: 'A new value that waits for its code. The old one keeps working until then.' })

const example = {
  id: '0199c0de-0000-7000-8000-000000000002', kind: 'mobilePhone', label: 'Personal', status: 'active', value: '+14155550132',
  display: '+1 ••• ••• ••32', extension: null, country: 'US', lineType: 'mobileOrLandline', channels: ['sms', 'voice'],
  purposes: ['mfa', 'recovery', 'notice'], isDefault: true, pendingChange: null, addedBy: 'self', createdAt: '2026-11-22T09:30:00.000Z',
  verifiedAt: '2026-11-22T09:31:00.000Z', lastUsedAt: null, updatedAt: '2026-11-22T09:31:00.000Z', version: 2,
}

export const ContactMethod = closed({
  id: Uuid,
  kind: oneOf(methodKinds),
  label: Nullable(Type.String()),
  status: oneOf(methodStatuses),
  value: Nullable(Type.String(), { description: 'The full value, for the person themself with a second factor at most 12 h old and with `reveal=true`; else null.' }),
  display: Type.String({ description: 'The value, masked.' }),
  extension: Nullable(Type.String(), { description: 'Shown like `value`.' }),
  country: Nullable(Type.String()),
  lineType: Nullable(oneOf(lineTypes)),
  channels: Type.Array(oneOf(channels), { description: 'How it can be reached; the channel tried first stands first.' }),
  purposes: Type.Array(oneOf(['mfa', 'recovery', 'notice'])),
  isDefault: Type.Boolean({ description: 'Tried first at sign-in.' }),
  pendingChange: Nullable(PendingChange),
  addedBy: oneOf(['self', 'administrator', 'app', 'import']),
  createdAt: Timestamp,
  verifiedAt: Nullable(Timestamp, { description: 'When a code sent to it came back right; null if none ever did.' }),
  lastUsedAt: Nullable(Timestamp),
  updatedAt: Timestamp,
  version: Type.Integer(),
}, {
  $id: 'ContactMethod', title: 'ContactMethod', examples: [example],
})
export type ContactMethod = Static<typeof ContactMethod>

/** As it is answered when it has just been added. */
export const pendingExample = { ...example, status: 'pending', isDefault: false, verifiedAt: null, updatedAt: example.createdAt, version: 1 }

export const ContactMethodList = listOf(ref(ContactMethod), { $id: 'ContactMethodList', title: 'ContactMethodList', examples: [{ items: ContactMethod.examples as unknown[] }] })

export const NewContactMethod = closed({
  kind: oneOf(methodKinds),
  value: Value,
  extension: Type.Optional(Nullable(Extension)),
  country: Type.Optional(Nullable(Country)),
  label: Type.Optional(Nullable(Label)),
  isDefault: Type.Optional(Type.Boolean({ description: 'Make it the default once it is verified.' })),
  preVerified: Type.Optional(Type.Boolean({ description: 'A privileged administrator vouches for it, where the policy allows that. Needs `reason`.' })),
  reason: Type.Optional(Type.String({ minLength: 1, maxLength: 500, pattern: '^[^\\u0000]*$', description: 'Why an administrator adds it; goes into the audit log.' })),
}, { $id: 'NewContactMethod', title: 'NewContactMethod', examples: [{ kind: 'mobilePhone', value: '+1 (415) 555-0132', label: 'Personal' }] })
export type NewContactMethod = Static<typeof NewContactMethod>

export const ContactMethodChange = closed({
  kind: Type.Optional(oneOf(methodKinds, { description: 'Cannot change; the same kind is no change.' })),
  value: Type.Optional(Value),
  extension: Type.Optional(Nullable(Extension)),
  country: Type.Optional(Nullable(Country)),
  label: Type.Optional(Nullable(Label)),
  isDefault: Type.Optional(Type.Boolean()),
  pendingChange: Type.Optional(Type.Null({ description: 'Withdraws the change that waits.' })),
}, { $id: 'ContactMethodChange', title: 'ContactMethodChange', minProperties: 1, description: 'Fields that are not named keep their value.', examples: [{ label: 'Work mobile' }] })
export type ContactMethodChange = Static<typeof ContactMethodChange>

export const DefaultMethod = closed({ methodId: Uuid, channel: Type.Optional(oneOf(channels, { description: 'Which of the method\'s channels; its first one unless told.' })) }, {
  $id: 'DefaultMethod', title: 'DefaultMethod', examples: [{ methodId: '0199c0de-0000-7000-8000-000000000002', channel: 'sms' }],
})
export type DefaultMethod = Static<typeof DefaultMethod>

const MethodId = { ...Uuid, description: '`id` of a method in the list of contact methods.', examples: [example.id] }
const Owner = { ...UserIdParam, examples: ['me'] }
const reveal = Type.Optional(Type.Boolean({ description: 'Show full values, for callers with the permission `contact-methods:reveal`. Audited.', examples: [true] }))
export const MethodsQuery = closed({ reveal, limit: Limit, cursor: Cursor })
export const MethodQuery = closed({ reveal })
export const OwnerParams = closed({ userId: Owner })
export const MethodParams = closed({ userId: Owner, methodId: MethodId })

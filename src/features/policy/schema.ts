import { Type, type Static, type TOptional, type TSchema } from '@sinclair/typebox'
import { closed, Nullable, oneOf, Timestamp } from '../../platform/http/schemas.ts'
import { factors, methodKinds } from '../../vocabulary.ts'

/** Every bound here is hard: `PATCH` refuses what lies outside with `policy_out_of_bounds`. */
const whole = (minimum: number, maximum: number, description: string) => Type.Integer({ minimum, maximum, description })
const set = <T extends TSchema>(item: T, minItems: number, maxItems: number, description: string) => Type.Array(item, { minItems, maxItems, uniqueItems: true, description })

const proofs = ['temporaryAccessPass', 'phone', 'alternateEmail', 'recoveryCode'] as const
export const hourlyMax = 10_000

const codes = {
  length: whole(6, 10, 'Digits of a code.'),
  phoneSeconds: whole(60, 600, 'How long a code sent to a phone is good for.'),
  emailSeconds: whole(60, 600, 'How long a code sent to an e-mail is good for.'),
}

const limits = {
  destinationPerTenMinutes: whole(1, 5, 'Codes to one number or address in 10 minutes that were not approved.'),
  destinationPerDay: whole(1, 20, 'The same in 24 hours.'),
  userPerHour: whole(1, hourlyMax, 'Codes for one user in an hour that were not approved.'),
  clientAddressPerHour: whole(1, hourlyMax, 'Codes asked for from one client address in an hour.'),
  prefixPerHour: whole(1, hourlyMax, 'Codes to one number prefix in an hour.'),
  searchesPerHour: whole(1, hourlyMax, 'Searches by phone or e-mail by one caller in an hour.'),
  revealsPerHour: whole(1, hourlyMax, 'Reveals by one caller in an hour.'),
  resetsPerHour: whole(1, hourlyMax, 'Resets and passes by one administrator in an hour.'),
}

const requirement = closed({ count: whole(1, 4, 'How many of them.'), oneOf: set(oneOf(factors), 1, factors.length, 'Which methods count.') })

const registration = {
  required: Type.Array(requirement, { maxItems: 4, description: 'What a user must have; every entry must be met.' }),
  proofs: set(oneOf(proofs), 1, proofs.length, 'What is accepted from someone who has no second factor.'),
  firstRegistration: oneOf(['proof', 'password'], { description: 'Whether a password alone is enough for the very first registration; never for privileged users.' }),
  deadlineDays: Nullable(whole(1, 90, 'Days in which to register again.')),
}

const pass = {
  length: whole(8, 48, 'Characters of a temporary access pass.'),
  minutes: whole(10, 43_200, 'How long it is good for unless told.'),
  maxMinutes: whole(10, 43_200, 'The longest that may be asked for.'),
  oneTime: Type.Boolean({ description: 'Good for one use unless told.' }),
}

const webauthn = {
  rpId: Nullable(Type.String({ minLength: 1, maxLength: 253, pattern: '^[a-z0-9.-]+$' })),
  origins: set(Type.String({ minLength: 1, maxLength: 300, pattern: '^https?://[^\\s/]+$' }), 0, 10, 'Origins whose pages may ask for a passkey.'),
}

const fields = {
  kinds: set(oneOf(methodKinds), 1, methodKinds.length, 'Kinds of contact methods that may be added.'),
  order: set(oneOf(factors), 1, factors.length, 'In which order the next default method is chosen.'),
  alternateEmails: whole(1, 3, 'How many alternate e-mails a user may have.'),
  emailCounts: Type.Boolean({ description: 'Whether an e-mail counts as a second factor. NIST SP 800-63B-4, 3.1.3.1 says it does not.' }),
  phone: oneOf(['allowed', 'notForPrivileged', 'off'], { description: 'Whether phones may be used.' }),
  callerCheck: oneOf(['optional', 'required'], { description: 'Whether the help desk must check the caller before a reset or a pass.' }),
  preVerified: Type.Boolean({ description: 'Whether a privileged administrator may vouch for a method.' }),
  breakGlass: Type.Boolean({ description: 'Whether a privileged administrator may act without the second approver, once a day.' }),
  countries: set(Type.String({ pattern: '^[A-Z]{2}$', maxLength: 2 }), 0, 250, 'Countries whose numbers may be used.'),
  sendsPerDay: whole(1, 1_000_000, 'Daily budget of messages.'),
  retentionDays: whole(0, 400, 'Days until the data of an off-boarded user is erased.'),
}

const optional = <T extends Record<string, TSchema>>(properties: T) =>
  Object.fromEntries(Object.entries(properties).map(([name, schema]) => [name, Type.Optional(schema)])) as { [K in keyof T]: TOptional<T[K]> }

const document = {
  codes: closed(codes), ...fields, registration: closed(registration), pass: closed(pass), limits: closed(limits), webauthn: closed(webauthn),
}
export const PolicyDocument = closed(document)
export type PolicyDocument = Static<typeof PolicyDocument>

const example: PolicyDocument = {
  codes: { length: 6, phoneSeconds: 300, emailSeconds: 600 }, kinds: [...methodKinds],
  order: ['passkey', 'totp', 'mobilePhone', 'alternatePhone', 'officePhone'], alternateEmails: 1, emailCounts: false, phone: 'allowed',
  registration: { required: [{ count: 1, oneOf: ['passkey', 'totp', 'mobilePhone'] }], proofs: [...proofs], firstRegistration: 'proof', deadlineDays: null },
  callerCheck: 'optional', preVerified: false, breakGlass: true, pass: { length: 12, minutes: 60, maxMinutes: 480, oneTime: true }, countries: ['US'],
  sendsPerDay: 10_000,
  limits: {
    destinationPerTenMinutes: 5, destinationPerDay: 20, userPerHour: 10, clientAddressPerHour: 30, prefixPerHour: 20, searchesPerHour: 60,
    revealsPerHour: 60, resetsPerHour: 20,
  },
  retentionDays: 30, webauthn: { rpId: null, origins: [] },
}

/** The defaults of every tenant; `countries` is the tenant's own. */
export const defaultPolicy: PolicyDocument = { ...example, countries: [] }

export const Policy = closed({
  version: Type.Integer(),
  ...document,
  createdAt: Timestamp,
  updatedAt: Timestamp,
  dryRun: Type.Optional(Type.Literal(true, { description: 'Only in a dry run, as the fields below: this is the policy as it would be.' })),
  allowed: Type.Optional(Type.Boolean({ description: 'Whether the caller may make this change.' })),
  waitsForApproval: Type.Optional(Type.Boolean({ description: 'Whether it would wait for a second approver.' })),
  changed: Type.Optional(Type.Array(Type.String(), { description: 'Fields that would change.' })),
  weaker: Type.Optional(Type.Array(Type.String(), { description: 'Fields that would become weaker: they wait for a second approver.' })),
}, {
  $id: 'Policy', title: 'Policy',
  examples: [{ version: 1, ...example, createdAt: '2026-11-22T09:30:00.000Z', updatedAt: '2026-11-22T09:30:00.000Z' }],
})
export type Policy = Static<typeof Policy>

export const PolicyChange = closed({
  ...optional(fields),
  codes: Type.Optional(closed(optional(codes), { minProperties: 1 })),
  registration: Type.Optional(closed(optional(registration), { minProperties: 1 })),
  pass: Type.Optional(closed(optional(pass), { minProperties: 1 })),
  limits: Type.Optional(closed(optional(limits), { minProperties: 1 })),
  webauthn: Type.Optional(closed(optional(webauthn), { minProperties: 1 })),
}, {
  $id: 'PolicyChange', title: 'PolicyChange', minProperties: 1, description: 'Fields that are not named keep their value; lists are replaced whole.',
  examples: [{ codes: { phoneSeconds: 240 } }],
})
export type PolicyChange = Static<typeof PolicyChange>

export const PolicyQuery = closed({ dryRun: Type.Optional(Type.Boolean({ description: 'Say what would happen and change nothing.', examples: [true] })) })

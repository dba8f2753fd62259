import { Type, type Static } from '@sinclair/typebox'
import { closed, Nullable, Timestamp } from '../../platform/http/schemas.ts'

const line = (maxLength: number) => Type.String({ minLength: 1, maxLength, pattern: '^[^\\u0000-\\u001f\\u007f]*$' })
const Country = Type.String({ pattern: '^[A-Z]{2}$', maxLength: 2, description: 'ISO 3166-1 alpha-2.' })
const LanguageTag = Type.String({ minLength: 2, maxLength: 35, pattern: '^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$', description: 'BCP 47 language tag.' })

const Address = closed({
  street: Type.Optional(line(200)), city: Type.Optional(line(100)), region: Type.Optional(line(100)),
  postalCode: Type.Optional(line(20)), country: Type.Optional(Country),
}, { description: 'Postal address.' })

const Contact = closed({
  name: Type.Optional(line(200)),
  email: Type.Optional(Type.String({ minLength: 1, maxLength: 254 })),
  phone: Type.Optional(Type.String({ minLength: 1, maxLength: 100, description: 'In any usual spelling; answered as E.164.' })),
})

const fields = {
  name: Nullable(line(200)),
  address: Nullable(Address),
  phone: Nullable(Type.String({ minLength: 1, maxLength: 100 })),
  technicalContact: Nullable(Contact),
  securityContact: Nullable(Contact, { description: 'Gets security notices. A new one waits for a second approver.' }),
  privacyContact: Nullable(Contact),
  locale: LanguageTag,
  defaultCountry: Nullable(Country, { description: 'Settles numbers in national format. Fixed once set.' }),
}

const example = {
  name: 'Demo Ltd', address: { street: '1 Main Street', city: 'Springfield', country: 'US' }, phone: '+14155550100',
  technicalContact: { name: 'IT', email: 'it@example.com' }, securityContact: { name: 'Security', email: 'security@example.com' },
  privacyContact: null, locale: 'en', defaultCountry: 'US',
}

export const Organization = closed({ ...fields, createdAt: Timestamp, updatedAt: Timestamp, version: Type.Integer() }, {
  $id: 'Organization', title: 'Organization',
  examples: [{ ...example, createdAt: '2026-11-22T09:30:00.000Z', updatedAt: '2026-11-22T09:30:00.000Z', version: 1 }],
})
export type Organization = Static<typeof Organization>

export const OrganizationChange = closed({
  name: Type.Optional(fields.name), address: Type.Optional(fields.address), phone: Type.Optional(fields.phone),
  technicalContact: Type.Optional(fields.technicalContact), securityContact: Type.Optional(fields.securityContact),
  privacyContact: Type.Optional(fields.privacyContact), locale: Type.Optional(fields.locale), defaultCountry: Type.Optional(Country),
}, {
  $id: 'OrganizationChange', title: 'OrganizationChange', minProperties: 1, description: 'Fields that are not named keep their value; null empties one.',
  examples: [{ name: 'Demo Ltd', technicalContact: { name: 'IT', email: 'it@example.com' } }],
})
export type OrganizationChange = Static<typeof OrganizationChange>

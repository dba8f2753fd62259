import t from 'tap'
import { isRefused, setPolicy } from '../../support/answers.ts'
import { testService } from '../../support/service.ts'

const service = await testService(t)
const tenant = await service.tenant()
const admin = await service.as({ tenant, subject: 'pia', roles: ['policyAdmin'] })

/** `{codes: {length: 6}}` of `codes.length` and 6. */
const change = (field: string, value: unknown): object => field.split('.').reduceRight((inner, name) => ({ [name]: inner }), value as object)
const patch = (body: object) => admin.patch('/v1/policy', body)
const dryRun = (body: object) => admin.patch('/v1/policy?dryRun=true', body)
const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'
const required = (count: number) => Array.from({ length: count }, () => ({ count: 1, oneOf: ['mobilePhone'] }))

/** Every number of the policy with its hard bounds. */
const bounds: Array<[string, number, number]> = [
  ['codes.length', 6, 10], ['codes.phoneSeconds', 60, 600], ['codes.emailSeconds', 60, 600], ['alternateEmails', 1, 3],
  ['registration.deadlineDays', 1, 90], ['pass.length', 8, 48], ['sendsPerDay', 1, 1_000_000], ['retentionDays', 0, 400],
  ['limits.destinationPerTenMinutes', 1, 5], ['limits.destinationPerDay', 1, 20],
  ...['userPerHour', 'clientAddressPerHour', 'prefixPerHour', 'searchesPerHour', 'revealsPerHour', 'resetsPerHour'].map((name): [string, number, number] => [`limits.${name}`, 1, 10_000]),
]

t.test('each number holds at its bounds and is 422 policy_out_of_bounds one below and one above', async (t) => {
  for (const [field, least, most] of bounds) {
    const pointer = `/${field.replaceAll('.', '/')}`
    isRefused(t, await patch(change(field, least - 1)), 'policy_out_of_bounds', { pointer }, `${field} ${least - 1}`)
    isRefused(t, await patch(change(field, most + 1)), 'policy_out_of_bounds', { pointer }, `${field} ${most + 1}`)
    for (const value of [least, most]) t.match(await dryRun(change(field, value)), { status: 200, body: change(field, value) }, `${field} ${value}`)
  }
})

t.test('the minutes of a pass are bounded, and by one another', async (t) => {
  for (const field of ['pass.minutes', 'pass.maxMinutes']) {
    for (const value of [9, 43_201]) isRefused(t, await patch(change(field, value)), 'policy_out_of_bounds', { pointer: `/${field.replace('.', '/')}` }, `${field} ${value}`)
  }
  await setPolicy(service, tenant, { pass: { minutes: 43_200, maxMinutes: 43_200 } })
  isRefused(t, await patch({ pass: { maxMinutes: 60 } }), 'policy_out_of_bounds', { pointer: '/pass/minutes' }, 'a default above the maximum')
  isRefused(t, await patch({ pass: { minutes: 61, maxMinutes: 60 } }), 'policy_out_of_bounds', { pointer: '/pass/minutes' })
  t.equal((await patch({ pass: { minutes: 10, maxMinutes: 10 } })).status, 200)
})

t.test('lists are bounded: too few or too many are 422 policy_out_of_bounds', async (t) => {
  const origins = Array.from({ length: 11 }, (_, index) => `https://app-${index}.example.com`)
  const countries = [...letters].flatMap((a) => [...letters].map((b) => a + b)).slice(0, 251)
  const outside: Array<[string, unknown]> = [
    ['kinds', []], ['order', []], ['countries', countries], ['registration.proofs', []], ['registration.required', required(5)], ['webauthn.origins', origins],
  ]
  for (const [field, value] of outside) isRefused(t, await patch(change(field, value)), 'policy_out_of_bounds', { pointer: `/${field.replace('.', '/')}` }, field)
  for (const count of [0, 5]) isRefused(t, await patch({ registration: { required: [{ count, oneOf: ['mobilePhone'] }] } }), 'policy_out_of_bounds', { pointer: '/registration/required/0/count' }, `count ${count}`)
  isRefused(t, await patch({ registration: { required: [{ count: 1, oneOf: [] }] } }), 'policy_out_of_bounds', { pointer: '/registration/required/0/oneOf' })
  isRefused(t, await patch({ webauthn: { rpId: 'a'.repeat(254) } }), 'policy_out_of_bounds', { pointer: '/webauthn/rpId' })
  for (const inside of [{ registration: { required: required(4) } }, { registration: { required: [] } }, { webauthn: { origins: origins.slice(1) } }, { countries: [] }]) t.equal((await dryRun(inside)).status, 200)
})

t.test('more than there are to choose from, or than kinds and phone allow to everyone, is 422 policy_out_of_bounds', async (t) => {
  const other = await service.tenant()
  const fresh = await service.as({ tenant: other, subject: 'pia', roles: ['policyAdmin'] })
  const pointer = '/registration/required/0/count'
  const needs = (count: number, ...oneOf: string[]) => ({ registration: { required: [{ count, oneOf }] } })
  isRefused(t, await fresh.patch('/v1/policy', needs(3, 'mobilePhone', 'totp')), 'policy_out_of_bounds', { pointer })
  await setPolicy(service, other, needs(1, 'mobilePhone'))
  for (const change of [{ kinds: ['alternateEmail', 'officePhone'] }, { phone: 'off' }, { phone: 'notForPrivileged' }]) {
    isRefused(t, await fresh.patch('/v1/policy', change), 'policy_out_of_bounds', { pointer }, JSON.stringify(change))
  }
  await setPolicy(service, other, { phone: 'off', ...needs(1, 'mobilePhone', 'passkey') }) // a passkey is left
  isRefused(t, await fresh.patch('/v1/policy', needs(2, 'mobilePhone', 'passkey')), 'policy_out_of_bounds', { pointer })
  await setPolicy(service, other, { kinds: ['mobilePhone'], ...needs(1, 'totp') })
  isRefused(t, await fresh.patch('/v1/policy', needs(1, 'alternateEmail')), 'policy_out_of_bounds', { pointer }, 'e-mails may not be added')
})

t.test('a wrong type, a word that is none of the list, a repetition or an unknown field is 400 validation_failed', async (t) => {
  const before = (await admin.get('/v1/policy')).body
  const wrong: Array<[string, unknown]> = [
    ...bounds.flatMap(([field]) => ['6', 6.5, true, [6]].map((value): [string, unknown] => [field, value])),
    ...bounds.filter(([field]) => field !== 'registration.deadlineDays').map(([field]): [string, unknown] => [field, null]),
    ...['emailCounts', 'preVerified', 'breakGlass', 'pass.oneTime'].flatMap((field) => ['true', 1, null].map((value): [string, unknown] => [field, value])),
    ['phone', 'maybe'], ['phone', null], ['callerCheck', 'never'], ['registration.firstRegistration', 'none'],
    ['kinds', 'mobilePhone'], ['kinds', ['mobilePhone', 'mobilePhone']], ['order', ['passkey', 'passkey']], ['countries', ['US', 'US']],
    ['countries', null], ['registration.required', {}], ['webauthn', []], ['limits', null], ['limits', {}], ['codes', {}], ['registration', {}], ['pass', {}], ['webauthn', {}],
  ]
  for (const [field, value] of wrong) isRefused(t, await patch(change(field, value)), 'validation_failed', { pointer: `/${field.replaceAll('.', '/')}` }, `${field} ${JSON.stringify(value)}`)
  const places: Array<[string, object]> = [
    ['/kinds/0', { kinds: ['pager'] }], ['/order/1', { order: ['passkey', 'sms'] }], ['/countries/0', { countries: ['usa'] }], ['/countries/1', { countries: ['GB', 'UK'] }],
    ['/registration/proofs/0', { registration: { proofs: ['password'] } }], ['/registration/required/0/oneOf/0', { registration: { required: [{ count: 1, oneOf: ['sms'] }] } }],
    ['/registration/required/0/count', { registration: { required: [{ oneOf: ['totp'] }] } }], ['/registration/required/0/any', { registration: { required: [{ count: 1, oneOf: ['totp'], any: true }] } }],
    ['/webauthn/origins/0', { webauthn: { origins: ['https://example.com/path'] } }], ['/webauthn/rpId', { webauthn: { rpId: 'https://example.com' } }],
    ['/colour', { colour: 'red' }], ['/codes/digits', { codes: { digits: 6 } }], ['/version', { version: 1 }], ['/updatedAt', { updatedAt: '2026-01-01T00:00:00.000Z' }], ['', {}],
  ]
  for (const [pointer, body] of places) isRefused(t, await patch(body), 'validation_failed', { pointer }, JSON.stringify(body))
  isRefused(t, await patch({ codes: { length: 5 }, colour: 'red' }), 'validation_failed', {}, 'a wrong form outweighs a bound')
  isRefused(t, await admin.patch('/v1/policy?dryRun=maybe', { codes: { length: 6 } }), 'validation_failed', { parameter: 'dryRun' })
  isRefused(t, await admin.patch('/v1/policy?force=true', { codes: { length: 6 } }), 'validation_failed', { parameter: 'force' })
  t.same((await admin.get('/v1/policy')).body, before, 'and nothing of it happened')
})

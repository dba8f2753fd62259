import t from 'tap'
import { isRefused } from '../../support/answers.ts'
import { testService, verifiedMethod } from '../../support/service.ts'

t.test('who may not see full values cannot have a guessed one confirmed', async (t) => {
  const service = await testService(t)
  const tenant = await service.tenant()
  const ann = await service.as({ tenant, subject: 'ann' })
  await verifiedMethod(ann, { kind: 'mobilePhone', value: '+14155550132' })
  await verifiedMethod(ann, { kind: 'alternateEmail', value: 'ann@example.org' })
  const petra = await service.as({ tenant, subject: 'petra', roles: ['privilegedAdmin'] })
  await petra.put('/v1/users/ann', { signInEmail: 'ann.lee@example.com' })

  const guessers = [
    await service.as({ tenant, subject: 'hans', roles: ['helpdesk'] }),
    await service.as({ tenant, subject: 'payroll', kind: 'app', scopes: ['contact-methods:write'] }),
  ]
  for (const guesser of guessers) {
    for (const value of ['+14155550132', '+14155550133']) {
      isRefused(t, await guesser.post('/v1/users/ann/contact-methods', { kind: 'mobilePhone', value }), 'method_limit_reached', {}, value)
    }
    for (const value of ['ann@example.org', 'ann.lee@example.com', 'anna@example.org']) {
      isRefused(t, await guesser.post('/v1/users/ann/contact-methods', { kind: 'alternateEmail', value }), 'method_limit_reached', {}, value)
    }
  }
  isRefused(t, await ann.post('/v1/users/me/contact-methods', { kind: 'mobilePhone', value: '+14155550132' }), 'duplicate_method', {}, 'she herself is told')
})

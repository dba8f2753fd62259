import t from 'tap'
import { codeOf, testService, verifiedMethod } from '../../support/service.ts'

t.test('a person adds, verifies, changes and removes a phone, and the help desk sees it masked', async (t) => {
  const service = await testService(t)
  const tenant = await service.tenant()
  const person = await service.as({ tenant, subject: 'ann' })
  const helpdesk = await service.as({ tenant, subject: 'hans', roles: ['helpdesk'] })

  const phone = await verifiedMethod(person, { kind: 'mobilePhone', value: '+1 (415) 555-0132', label: 'Personal' })
  t.match(phone, { status: 'active', value: '+14155550132', display: '+1 ••• ••• ••32', isDefault: true, version: 2 })

  const changed = await person.patch(`/v1/users/me/contact-methods/${phone.id}`, { value: '415 555 0144' })
  t.match(changed.body, { status: 'active', value: '+14155550132', pendingChange: { display: '+1 ••• ••• ••44' } }, 'the old number works while the new one waits')

  const seen = await helpdesk.get('/v1/users/ann/contact-methods')
  t.match(seen.body.items, [{ display: '+1 ••• ••• ••32', value: null }])
  t.notMatch(seen.text, /4155550/)

  const challenge = await person.post('/v1/challenges', { userId: 'me', purpose: 'verifyContact', methodId: phone.id })
  t.match(challenge.body, { destination: '+1 ••• ••• ••44', status: 'pending' })
  t.equal((await person.post(`/v1/challenges/${challenge.body.id}/verify`, { code: await codeOf(person, challenge.body.id) })).status, 200)
  t.match((await person.get(`/v1/users/me/contact-methods/${phone.id}`)).body, { value: '+14155550144', pendingChange: null, status: 'active' })

  t.match((await person.delete(`/v1/users/me/contact-methods/${phone.id}`)).body, { code: 'last_method' })
  const other = await verifiedMethod(person, { kind: 'alternateEmail', value: 'ann@example.org' })
  t.equal((await person.delete(`/v1/users/me/contact-methods/${other.id}`)).status, 204)
  t.equal((await person.get(`/v1/users/me/contact-methods/${other.id}`)).status, 404)
})

import t from 'tap'
import { isRefused, startVerification } from '../../support/answers.ts'
import { testService, verifiedMethod, type Answer, type Client } from '../../support/service.ts'

const service = await testService(t)
const nothing = '0199c0de-0000-7000-8000-000000000002'

/** What a caller could tell two answers apart by. */
const shown = ({ status, body, headers }: Answer) => ({ status, body: { ...body, instance: '' }, headers: { ...headers, date: '', 'x-request-id': '' } })

async function tenantWithAnn () {
  const tenant = await service.tenant()
  const ann = await service.as({ tenant, subject: 'ann' })
  const { id } = await verifiedMethod(ann, { kind: 'mobilePhone', value: '+14155550132' })
  await ann.patch(`/v1/users/me/contact-methods/${id}`, { value: '+14155550144' })
  return { tenant, ann, methodId: id, challengeId: await startVerification(ann, id) }
}

t.test('another tenant\'s method or challenge is the same 404 as one that never was, for everyone', async (t) => {
  const here = await tenantWithAnn()
  const there = await tenantWithAnn()
  const callers: Array<[string, Client]> = [
    ['the person', here.ann],
    ['the help desk', await service.as({ tenant: here.tenant, subject: 'hans', roles: ['helpdesk'] })],
    ['every role', await service.as({ tenant: here.tenant, subject: 'root', roles: ['reader', 'helpdesk', 'privilegedAdmin', 'policyAdmin', 'auditor'] })],
    ['an app', await service.as({ tenant: here.tenant, subject: 'payroll', kind: 'app', scopes: ['contact-methods:read', 'contact-methods:reveal', 'challenges:write'] })],
  ]
  const calls: Array<[string, (client: Client, ids: { methodId: string, challengeId: string }) => Promise<Answer>]> = [
    ['read', (client, { methodId }) => client.get(`/v1/users/ann/contact-methods/${methodId}`)],
    ['reveal', (client, { methodId }) => client.get(`/v1/users/ann/contact-methods/${methodId}?reveal=true`)],
    ['change', (client, { methodId }) => client.patch(`/v1/users/ann/contact-methods/${methodId}`, { label: 'x' })],
    ['remove', (client, { methodId }) => client.delete(`/v1/users/ann/contact-methods/${methodId}`)],
    ['choose', (client, { methodId }) => client.put('/v1/users/ann/default-method', { methodId })],
    ['start', (client, { methodId }) => client.post('/v1/challenges', { userId: 'ann', purpose: 'verifyContact', methodId })],
    ['read a challenge', (client, { challengeId }) => client.get(`/v1/challenges/${challengeId}`)],
    ['check a code', (client, { challengeId }) => client.post(`/v1/challenges/${challengeId}/verify`, { code: '123456' })],
  ]
  for (const [who, client] of callers) {
    for (const [what, call] of calls) {
      const foreign = await call(client, there)
      isRefused(t, foreign, 'not_found', {}, `${who}: ${what}`)
      t.same(shown(foreign), shown(await call(client, { methodId: nothing, challengeId: nothing })), `${who}: ${what} tells nothing`)
    }
  }
  t.match((await there.ann.get('/v1/users/me/contact-methods')).body.items, [{ id: there.methodId, label: null, isDefault: true }], 'and nothing happened there')
  t.match((await there.ann.get(`/v1/challenges/${there.challengeId}`)).body, { status: 'pending', attemptsRemaining: 5 })
})

t.test('a user of another tenant is the same 404 as nobody, and the same id may be someone else', async (t) => {
  const there = await tenantWithAnn()
  const tenant = await service.tenant()
  const root = await service.as({ tenant, subject: 'root', roles: ['reader', 'helpdesk', 'privilegedAdmin', 'policyAdmin', 'auditor'] })
  const calls: Array<(id: string) => Promise<Answer>> = [
    (id) => root.get(`/v1/users/${id}`), (id) => root.get(`/v1/users/${id}?reveal=true`), (id) => root.get(`/v1/users/${id}/contact-methods`), (id) => root.get(`/v1/users/${id}/contact-methods?reveal=true`),
    (id) => root.post(`/v1/users/${id}/contact-methods`, { kind: 'mobilePhone', value: '+14155550132' }), (id) => root.put(`/v1/users/${id}/default-method`, { methodId: there.methodId }),
    (id) => root.patch(`/v1/users/${id}/contact-methods/${there.methodId}`, { label: 'x' }), (id) => root.delete(`/v1/users/${id}/contact-methods/${there.methodId}`),
  ]
  for (const call of calls) t.same(shown(await call('ann')), shown(await call('nobody')))
  isRefused(t, await root.get('/v1/users/ann'), 'not_found')
  t.same((await root.post('/v1/users/search', { phone: '+14155550132' })).body.items, [])
  t.match(await root.put('/v1/users/ann', { displayName: 'Another Ann' }), { status: 201 })
  t.same((await root.get('/v1/users/ann/contact-methods')).body.items, [])
  t.match((await there.ann.get('/v1/users/me')).body, { displayName: null, version: 1 })
})

t.test('another\'s own method is 404 to a person, under their own id too', async (t) => {
  const { tenant, methodId } = await tenantWithAnn()
  const ben = await service.as({ tenant, subject: 'ben' })
  for (const owner of ['ann', 'ben', 'me', 'nobody']) {
    const path = `/v1/users/${owner}/contact-methods/${methodId}`
    for (const answer of [await ben.get(path), await ben.patch(path, { label: 'x' }), await ben.delete(path), await ben.put(`/v1/users/${owner}/default-method`, { methodId })]) isRefused(t, answer, 'not_found', {}, owner)
  }
})

import t from 'tap'
import { isRefused, setPolicy } from '../../support/answers.ts'
import { codeOf, moveClock, testService, verifiedMethod } from '../../support/service.ts'

const service = await testService(t)

t.test('a number that a thief planted with the password before the first registration does not become a factor after it', async (t) => {
  const tenant = await service.tenant()
  const thief = await service.as({ tenant, subject: 'ann', amr: ['pwd'] })
  const ann = await service.as({ tenant, subject: 'ann' })
  const planted = await thief.post('/v1/users/me/contact-methods', { kind: 'alternatePhone', value: '+14155550166' })
  t.equal(planted.status, 201, 'the policy of a sandbox lets a password register first')
  await verifiedMethod(ann, { kind: 'mobilePhone', value: '+14155550132' })

  const challenge = await thief.post('/v1/challenges', { userId: 'me', purpose: 'verifyContact', methodId: planted.body.id })
  const code = await codeOf(thief, challenge.body.id)
  t.match(await thief.post(`/v1/challenges/${challenge.body.id}/verify`, { code }), { status: 401, body: { code: 'insufficient_user_authentication' } })
  t.match((await ann.get(`/v1/users/me/contact-methods/${planted.body.id}`)).body, { status: 'pending' })
  t.match(await ann.post(`/v1/challenges/${challenge.body.id}/verify`, { code }), { status: 200 }, 'with the second factor it is the person')
})

t.test('the first registration itself works with the password where the policy says so', async (t) => {
  const tenant = await service.tenant()
  const ben = await service.as({ tenant, subject: 'ben', amr: ['pwd'] })
  t.match(await verifiedMethod(ben, { kind: 'mobilePhone', value: '+14155550132' }), { status: 'active' })
})

t.test('what an app brought is no way around the proof that the first registration needs', async (t) => {
  const tenant = await service.tenant()
  await setPolicy(service, tenant, { registration: { firstRegistration: 'proof' } })
  const app = await service.as({ tenant, subject: 'payroll', kind: 'app', scopes: ['contact-methods:write'] })
  const thief = await service.as({ tenant, subject: 'eve', amr: ['pwd'] })
  await thief.get('/v1/users/me')
  const planted = await app.post('/v1/users/eve/contact-methods', { kind: 'mobilePhone', value: '+14155550167' })
  t.equal(planted.status, 201)
  const challenge = await thief.post('/v1/challenges', { userId: 'me', purpose: 'verifyContact', methodId: planted.body.id })
  const code = await codeOf(thief, challenge.body.id)
  isRefused(t, await thief.post(`/v1/challenges/${challenge.body.id}/verify`, { code }), 'proof_required')
  const eve = await service.as({ tenant, subject: 'eve' })
  t.equal((await eve.post(`/v1/challenges/${challenge.body.id}/verify`, { code })).status, 200, 'with a second factor it is the person')
})

t.test('what the help desk or an app brought, or put in the place of another value, no app verifies without the user', async (t) => {
  const tenant = await service.tenant()
  const helpdesk = await service.as({ tenant, subject: 'hans', roles: ['helpdesk'] })
  const app = await service.as({ tenant, subject: 'payroll', kind: 'app', scopes: ['challenges:write', 'contact-methods:write'] })
  const cleo = await service.as({ tenant, subject: 'cleo' })
  await cleo.get('/v1/users/me')
  const brought = await helpdesk.post('/v1/users/cleo/contact-methods', { kind: 'mobilePhone', value: '+14155550171' })
  const start = (methodId: string) => app.post('/v1/challenges', { userId: 'cleo', purpose: 'verifyContact', methodId })
  t.match(await start(brought.body.id), { status: 403, body: { code: 'proof_required' } })

  const own = await cleo.post('/v1/users/me/contact-methods', { kind: 'alternatePhone', value: '+14155550172' })
  t.equal((await start(own.body.id)).status, 201, 'what the person brought, an app may help to verify')
  t.equal((await helpdesk.patch(`/v1/users/cleo/contact-methods/${own.body.id}`, { value: '+14155550173' })).status, 200)
  t.match(await start(own.body.id), { status: 403, body: { code: 'proof_required' } })
})

t.test('a sandbox whose clock was moved back sends again', async (t) => {
  const tenant = await service.tenant()
  const dan = await service.as({ tenant, subject: 'dan' })
  const method = await dan.post('/v1/users/me/contact-methods', { kind: 'mobilePhone', value: '+14155550132' })
  const start = () => dan.post('/v1/challenges', { userId: 'me', purpose: 'verifyContact', methodId: method.body.id })
  await moveClock(dan, 3_600)
  t.equal((await start()).status, 201)
  await moveClock(dan, 0)
  t.equal((await start()).status, 201)
  t.equal((await start()).status, 429)
})

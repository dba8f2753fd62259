import t from 'tap'
import { nthCodeOf, read, verify } from '../../support/challenges.ts'
import { registered } from '../../support/proofs.ts'
import { atOnce, replicasOf, tally } from '../../support/replicas.ts'
import { codeOf, moveClock, otherCode, testService, type Client } from '../../support/service.ts'

const service = await testService(t)

/** A person with a phone, and the app that signs them in. */
async function scene () {
  const tenant = await service.tenant()
  await registered(service, tenant, 'ann', ['mobilePhone'])
  return { tenant, app: await service.as({ tenant, subject: 'portal', kind: 'app', scopes: ['challenges:write', 'sign-in:read'] }) }
}
const begin = (client: Client, headers?: Record<string, string>) => client.post('/v1/challenges', { userId: 'ann', purpose: 'signIn' }, headers)
const inbox = async (client: Client) => (await client.get('/v1/sandbox/messages')).body.items.length as number

t.test('a start whose answer was lost: with its key the same answer, without one the way to the challenge; one message either way', async (t) => {
  for (const headers of [{ 'idempotency-key': 'sign-in-1' }, undefined]) {
    const { app } = await scene()
    const lost = await begin(app, headers)
    await codeOf(app, lost.body.id)
    const again = await begin(app, headers)
    if (headers) t.strictSame(again.body, lost.body)
    else t.match(again, { status: 429, body: { code: 'send_limited', challengeId: lost.body.id }, headers: { 'retry-after': /^[23]\d$/ } })
    t.equal(await inbox(app), 1)
    const id = headers ? again.body.id : again.body.challengeId
    t.equal((await verify(app, id, await codeOf(app, id))).status, 200, 'the code that came is good')
  }
})

t.test('a right code whose answer was lost: with its key the proof once more, without one nothing but that it was right', async (t) => {
  const { app } = await scene()
  const { body: { id } } = await begin(app)
  const code = await codeOf(app, id)
  const lost = await verify(app, id, code, { 'idempotency-key': 'check-1' })
  const again = await verify(app, id, code, { 'idempotency-key': 'check-1' })
  t.match(again, { status: 200, headers: { 'idempotent-replayed': 'true' } })
  const claims = ({ proof }: { proof: string }) => proof.split('.')[1]
  t.equal(claims(again.body), claims(lost.body))
  t.match((await verify(app, id, code)).body, { status: 409, code: 'challenge_approved' })
  t.match((await read(app, id)).body, { status: 'approved' })
})

t.test('a double click on a right code: with one key both tabs are let in, without one only the first', async (t) => {
  for (const [headers, told] of [[{ 'idempotency-key': 'form-1' }, { 200: 2 }], [undefined, { 200: 1, '409 challenge_approved': 1 }]] as const) {
    const { app } = await scene()
    const [one, other] = (await replicasOf(t, service, 2)).of(app)
    const { body: { id } } = await begin(app)
    const code = await codeOf(app, id)
    t.strictSame(tally(await atOnce(2, (index) => verify(index === 0 ? one! : other!, id, code, headers))), told)
  }
})

t.test('a wrong code that is sent again counts again, with its key too: only what succeeded is remembered', async (t) => {
  const { app } = await scene()
  const { body: { id } } = await begin(app)
  const code = await codeOf(app, id)
  for (const remaining of [4, 3]) t.match((await verify(app, id, otherCode(code), { 'idempotency-key': 'typo' })).body, { code: 'wrong_code', attemptsRemaining: remaining })
  t.match((await verify(app, id, code, { 'idempotency-key': 'typo' })).body, { status: 'approved' }, 'and the key is free for the right one')
})

t.test('two tabs: the second start within half a minute leads to the first challenge, a later one replaces it and says so', async (t) => {
  const { app } = await scene()
  const { body: first } = await begin(app)
  const code = await codeOf(app, first.id)
  t.match((await begin(app)).body, { code: 'send_limited', challengeId: first.id })
  await moveClock(app, 31)
  const { body: second } = await begin(app)
  t.match((await verify(app, first.id, code)).body, { status: 409, code: 'challenge_canceled', detail: /newer one/ })
  const right = await codeOf(app, second.id)
  if (code !== right) t.match((await verify(app, second.id, code)).body, { code: 'wrong_code', attemptsRemaining: 4 }, 'the code of the first message in the second tab is a wrong one')
  t.equal((await verify(app, second.id, right)).status, 200)
})

t.test('a resend whose answer was lost: one message more, the old code is wrong and not the end of it, the new one is good', async (t) => {
  for (const headers of [{ 'idempotency-key': 'again-1' }, undefined]) {
    const { app } = await scene()
    const { body: { id } } = await begin(app)
    const old = await codeOf(app, id)
    await moveClock(app, 31)
    const lost = await app.post(`/v1/challenges/${id}/resend`, {}, headers)
    const again = await app.post(`/v1/challenges/${id}/resend`, {}, headers)
    if (headers) t.strictSame(again.body, lost.body)
    else t.match(again.body, { status: 429, code: 'send_limited', challengeId: id })
    const code = await nthCodeOf(app, id, 2)
    t.equal(await inbox(app), 2)
    if (old !== code) t.match((await verify(app, id, old)).body, { code: 'wrong_code', attemptsRemaining: 4 })
    t.equal((await verify(app, id, code)).status, 200)
  }
})

import t, { type Test } from 'tap'
import { auditOf, isRefused, setPolicy } from '../../support/answers.ts'
import { atOnce, replicasOf, tally } from '../../support/replicas.ts'
import { moveClock, testService, verifiedMethod, type Answer, type Client } from '../../support/service.ts'

const service = await testService(t)
const search = (client: Client, email = 'nobody@example.com') => client.post('/v1/users/search', { email })
const reveal = (client: Client) => client.get('/v1/users/ann?reveal=true')

/** A tenant with Ann and these limits. */
async function withAnn (limits: object) {
  const tenant = await service.tenant()
  await setPolicy(service, tenant, { limits })
  const ann = await service.as({ tenant, subject: 'ann' })
  const phone = await verifiedMethod(ann, { kind: 'mobilePhone', value: '+14155550132' })
  const rita = await service.as({ tenant, subject: 'rita', roles: ['reader'] })
  const petra = await service.as({ tenant, subject: 'petra', roles: ['privilegedAdmin'] })
  return { tenant, ann, rita, petra, methodId: phone.id }
}

const isLimited = (t: Test, answer: Answer, limit: 'searchesPerHour' | 'revealsPerHour', message?: string) =>
  isRefused(t, answer, 'rate_limited', { rule: `policy.limits.${limit}` }, message)

const now = async (client: Client) => Date.parse((await client.get('/v1/sandbox/clock')).body.now)

/** A refusal whose `Retry-After` leads to this time (in milliseconds), and not a second further. */
async function limitedUntil (t: Test, client: Client, earliest: number, latest: number) {
  const before = await now(client)
  const answer = await search(client)
  const after = await now(client)
  isLimited(t, answer, 'searchesPerHour')
  t.equal(answer.headers['retry-after'], String(answer.body.retryAfterSeconds))
  const { retryAfterSeconds } = answer.body
  t.ok(retryAfterSeconds >= Math.ceil((earliest - after) / 1000) && retryAfterSeconds <= Math.ceil((latest - before) / 1000), `${retryAfterSeconds} s`)
  return retryAfterSeconds as number
}

t.test('60 searches an hour unless told, and 60 reveals beside them; the next is 429', async (t) => {
  const tenant = await service.tenant({ sandbox: false })
  const petra = await service.as({ tenant, subject: 'petra', roles: ['privilegedAdmin'] })
  await (await service.as({ tenant, subject: 'ann' })).get('/v1/users/me')
  for (const [limit, ask] of [['searchesPerHour', search], ['revealsPerHour', reveal]] as const) {
    for (let time = 1; time <= 60; time++) t.equal((await ask(petra)).status, 200)
    isLimited(t, await ask(petra), limit)
  }
})

t.test('a search counts whether it finds someone or not, and what is refused does not', async (t) => {
  const { tenant, rita } = await withAnn({ searchesPerHour: 3 })
  const refusals = [{}, { phone: '+14155550132', email: 'ann@example.com' }, { phone: 'hello' }, { phone: '+19002345678' }, { email: 'hello' }, { email: 'a@example.com', surprise: true }]
  for (const body of [...refusals, ...refusals]) t.match((await rita.post('/v1/users/search', body)).status, /^4(00|22)$/)
  t.equal((await rita.post('/v1/users/search', { phone: '+14155550132' })).body.items.length, 1)
  t.equal((await search(rita)).body.items.length, 0)
  t.equal((await search(rita)).body.items.length, 0)
  isLimited(t, await search(rita), 'searchesPerHour')
  isLimited(t, await rita.post('/v1/users/search', { phone: '+14155550132' }), 'searchesPerHour', 'nor does it tell whether there is someone')
  t.equal((await rita.get('/v1/users?search=ann')).status, 200, 'a list is no search by number')
  isRefused(t, await (await service.as({ tenant, subject: 'ben' })).post('/v1/users/search', { email: 'a@example.com' }), 'forbidden', { rule: 'role' })
})

t.test('the hour slides, to the second: each search makes room an hour after it was made', async (t) => {
  const { rita } = await withAnn({ searchesPerHour: 2 })
  const hour = 3_600_000
  const firstEarliest = await now(rita)
  await search(rita)
  const firstLatest = await now(rita)
  await moveClock(rita, 1800)
  const secondEarliest = await now(rita)
  await search(rita)
  const secondLatest = await now(rita)
  const first = await limitedUntil(t, rita, firstEarliest + hour, firstLatest + hour)
  t.equal(await limitedUntil(t, rita, firstEarliest + hour, firstLatest + hour) <= first, true, 'what is refused counts for nothing')
  await moveClock(rita, 1800 + first - 10)
  isLimited(t, await search(rita), 'searchesPerHour', 'ten seconds early')
  await moveClock(rita, 1800 + first)
  t.equal((await search(rita)).status, 200, 'the first has left')
  await limitedUntil(t, rita, secondEarliest + hour, secondLatest + hour)
})

t.test('every way to reveal counts in one, apart from searches; own values and refusals do not', async (t) => {
  const { tenant, ann, petra, rita, methodId } = await withAnn({ revealsPerHour: 4, searchesPerHour: 1 })
  const ways = ['/v1/users/ann', '/v1/users/ann/contact-methods', `/v1/users/ann/contact-methods/${methodId}`].map((path) => `${path}?reveal=true`)
  const stale = await service.as({ tenant, subject: 'petra', roles: ['privilegedAdmin'], authSecondsAgo: 605 })
  for (const path of [...ways, ...ways]) {
    t.equal((await ann.get(path)).status, 200, 'the person themself')
    isRefused(t, await rita.get(path), 'forbidden', { rule: 'reveal' })
    isRefused(t, await stale.get(path), 'insufficient_user_authentication')
    isRefused(t, await petra.get(path.replace('ann', 'nobody')), 'not_found')
  }
  t.equal((await search(petra)).status, 200)
  for (const path of [...ways, ways[0]!]) t.equal((await petra.get(path)).status, 200, path)
  for (const path of ways) {
    const answer = await petra.get(path)
    isLimited(t, answer, 'revealsPerHour', path)
    t.notMatch(answer.text, /4155550132/)
    t.equal((await petra.get(path.replace('?reveal=true', ''))).status, 200, 'masked it is still read')
  }
  const written = await auditOf(service, tenant, 'actor=petra')
  t.equal(written.filter(({ action }) => /revealed$/.test(action)).length, 4, 'what was refused is no reveal')
})

t.test('each caller has their own: another person, an app of the same name, another tenant', async (t) => {
  const { tenant, petra } = await withAnn({ revealsPerHour: 1, searchesPerHour: 1 })
  const app = await service.as({ tenant, subject: 'petra', kind: 'app', scopes: ['users:read', 'contact-methods:reveal'] })
  const other = await service.as({ tenant, subject: 'paul', roles: ['privilegedAdmin'] })
  const elsewhere = await withAnn({ revealsPerHour: 1, searchesPerHour: 1 })
  for (const [limit, ask] of [['searchesPerHour', search], ['revealsPerHour', reveal]] as const) {
    for (const client of [petra, app, other, elsewhere.petra]) t.equal((await ask(client)).status, 200)
    for (const client of [petra, app, other, elsewhere.petra]) isLimited(t, await ask(client), limit)
  }
  isLimited(t, await search(await service.as({ tenant, subject: 'petra', roles: ['reader'] })), 'searchesPerHour', 'another token of the same person')
})

t.test('the policy of the moment decides', async (t) => {
  const { tenant, rita } = await withAnn({ searchesPerHour: 1 })
  await search(rita)
  isLimited(t, await search(rita), 'searchesPerHour')
  await setPolicy(service, tenant, { limits: { searchesPerHour: 2 } })
  t.equal((await search(rita)).status, 200)
  isLimited(t, await search(rita), 'searchesPerHour')
})

t.test('whoever reaches a limit is written down, at most once a minute', async (t) => {
  const { tenant, petra } = await withAnn({ revealsPerHour: 1, searchesPerHour: 1 })
  for (let time = 1; time <= 5; time++) { await search(petra); await reveal(petra) }
  const rows = await auditOf(service, tenant, 'action=limit.reached')
  t.match(rows, [
    { outcome: 'refused', actor: { kind: 'person', id: 'petra' }, userId: null, details: { code: 'rate_limited', rule: 'policy.limits.revealsPerHour' } },
    { outcome: 'refused', actor: { kind: 'person', id: 'petra' }, userId: null, details: { code: 'rate_limited', rule: 'policy.limits.searchesPerHour' } },
  ])
  t.equal(rows.length, 2)
})

t.test('three replicas together let through exactly as many as one', async (t) => {
  const { tenant } = await withAnn({ searchesPerHour: 10, revealsPerHour: 7 })
  const replicas = await replicasOf(t, service, 3)
  for (let round = 1; round <= 4; round++) {
    const caller = replicas.of(await service.as({ tenant, subject: `petra-${round}`, roles: ['privilegedAdmin'] }))
    await atOnce(3, (index) => caller[index]!.get('/v1/users/me')) // the first call makes their row
    t.strictSame(tally(await atOnce(24, (index) => search(caller[index % 3]!))), { 200: 10, '429 rate_limited': 14 }, 'searches')
    t.strictSame(tally(await atOnce(24, (index) => reveal(caller[index % 3]!))), { 200: 7, '429 rate_limited': 17 }, 'reveals')
  }
})

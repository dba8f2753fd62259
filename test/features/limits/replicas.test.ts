import t, { type Test } from 'tap'
import { sql } from 'kysely'
import { isRefused, setPolicy } from '../../support/answers.ts'
import { start, started, verify } from '../../support/challenges.ts'
import { without } from '../../support/guards.ts'
import { newcomer, someone } from '../../support/people.ts'
import { atOnce, replicaOf, replicasOf, tally } from '../../support/replicas.ts'
import { seedChallenges } from '../../support/seed.ts'
import { clientOf, codeOf, moveClock, otherCode, testService, type Answer, type Client } from '../../support/service.ts'

// Every row of "Limits" over three replicas at once: nobody gets one too many. Each has its control: without the lock or
// the guard that it names, the same rush goes over.
const service = await testService(t)
const replicas = await replicasOf(t, service, 3)

async function scene (policy: object) {
  const tenant = await service.tenant()
  await setPolicy(service, tenant, policy)
  const payroll = await service.as({ tenant, subject: 'payroll', kind: 'app', scopes: ['challenges:write', 'sign-in:read'] })
  return { tenant, tenantId: await service.tenantIdOf(tenant), payroll, at: replicas.of(payroll) }
}

const asOwner = <Row>(tenantId: string, statement: ReturnType<typeof sql<Row>>) => service.owner.inTenant(tenantId, ({ db }) => statement.execute(db))

/** In a function: whoever has looked waits here until so many have looked. It makes the race of a control certain. */
async function meeting (tenantId: string, count: number): Promise<string> {
  await asOwner(tenantId, sql.raw('drop sequence if exists arrivals; create sequence arrivals; grant all on sequence arrivals to public'))
  return `perform nextval('arrivals'); for look in 1..100 loop exit when (select last_value from arrivals) >= ${count}; perform pg_sleep(0.01); end loop;`
}

async function inTurn<T> (count: number, make: (index: number) => Promise<T>): Promise<T[]> {
  const made: T[] = []
  for (let index = 0; index < count; index++) made.push(await make(index))
  return made
}

/** How many of them were let through; every other one must have been refused like this. */
function through (t: Test, answers: Answer[], refusal: string): number {
  const { 201: started = 0, [refusal]: _refused, ...others } = tally(answers)
  t.strictSame(others, {}, 'and nothing else happened')
  return started
}

t.test('per user: over three replicas at most what is left of the hour', async (t) => {
  const { tenant, tenantId, at } = await scene({ limits: { userPerHour: 2 } })
  /** One is sent at first: the others race for the row that is there then. */
  const ready = async () => {
    const { userId, ids } = await someone(service, tenant)
    await started(at[0]!, ids.alternateEmail, { userId, purpose: 'recovery' })
    const phones = [ids.mobilePhone, ids.alternatePhone, ids.officePhone]
    return async () => through(t, await atOnce(12, (index) => start(at[index % 3]!, phones[Math.floor(index / 3) % 3]!, { userId, purpose: 'signIn' })), '429 send_limited')
  }
  t.equal(await (await ready())(), 1)
  const [met, rush] = [await meeting(tenantId, 12), await ready()]
  await without(service, 'still_holds', 'for no key update', () => without(service, 'window_room', 'for no key update;', async () => t.ok(await rush() > 1, 'the control'), `; ${met}`))
})

t.test('per client address: over three replicas at most what is left of the hour', async (t) => {
  const { tenant, tenantId, at } = await scene({ limits: { clientAddressPerHour: 5 } })
  const ready = async (clientAddress: string) => {
    const users = await inTurn(16, () => someone(service, tenant, ['mobilePhone']))
    const begin = (index: number) => start(at[index % 3]!, users[index]!.ids.mobilePhone, { userId: users[index]!.userId, purpose: 'signIn', clientAddress })
    t.equal((await begin(15)).status, 201)
    return async () => through(t, await atOnce(15, begin), '429 send_limited')
  }
  t.equal(await (await ready('203.0.113.7'))(), 4)
  const [met, rush] = [await meeting(tenantId, 8), await ready('203.0.113.8')]
  await without(service, 'window_room', 'for no key update;', async () => t.ok(await rush() > 4, 'the control'), `; if wanted like 'address:%' then ${met} end if;`)
})

t.test('per number prefix: over three replicas at most what is left of the hour', async (t) => {
  const { tenant, tenantId } = await scene({ limits: { prefixPerHour: 4 } })
  const ready = async (prefix: string) => {
    const people = await inTurn(16, (index) => newcomer(service, tenant, `${prefix}0${100 + index}`))
    const begin = (index: number) => start(replicas.of(people[index]!.client)[index % 3]!, people[index]!.methodId)
    t.equal((await begin(15)).status, 201)
    return async () => through(t, await atOnce(15, begin), '429 send_limited')
  }
  t.equal(await (await ready('+1415555'))(), 3)
  const [met, rush] = [await meeting(tenantId, 5), await ready('+1415556')]
  await without(service, 'prefix_fault', 'for no key update;', async () => t.ok(await rush() > 3, 'the control'), `; ${met}`)
})

t.test('per tenant: over three replicas exactly the budget, and exactly 70 % of it for all', async (t) => {
  for (const [budget, openToAll] of [[10, 7], [17, 11]] as const) {
    const { tenant, at } = await scene({ sendsPerDay: budget })
    const people = await inTurn(15, (index) => newcomer(service, tenant, `+14155550${100 + index}`))
    t.equal(through(t, await atOnce(15, (index) => start(replicas.of(people[index]!.client)[index % 3]!, people[index]!.methodId)), '429 send_limited'), openToAll)
    t.equal(await signInsAtOnce(t, tenant, at, 15), budget - openToAll)
  }
  const { tenant, tenantId, at } = await scene({ sendsPerDay: 3 })
  t.equal(await signInsAtOnce(t, tenant, at, 1), 1)
  const met = await meeting(tenantId, 3)
  await without(service, 'take_budget', 'and b.sent < share_of(room, chosen);', async () => {
    await without(service, 'take_budget', '    else\n      begin', async () => t.ok(await signInsAtOnce(t, tenant, at, 15) > 2, 'the control'), `    else ${met} begin`)
  }, ';')
})

async function signInsAtOnce (t: Test, tenant: string, at: Client[], count: number): Promise<number> {
  const users = await inTurn(count, () => someone(service, tenant, ['mobilePhone']))
  return through(t, await atOnce(count, (index) => start(at[index % 3]!, users[index]!.ids.mobilePhone, { userId: users[index]!.userId, purpose: 'signIn' })), '429 send_limited')
}

t.test('per tenant: a budget that is lowered while three replicas use it is not passed either', async (t) => {
  const { tenant, at } = await scene({ sendsPerDay: 1_000 })
  const before = await signInsAtOnce(t, tenant, at, 12)
  await setPolicy(service, tenant, { sendsPerDay: 20 })
  t.equal(before + await signInsAtOnce(t, tenant, at, 18), 20)
})

/** Ann with four challenges that wait, each at its own method. */
async function waiting (tenant: string, payroll: Client) {
  const { userId, ids } = await someone(service, tenant)
  const challenges = []
  for (const methodId of Object.values(ids)) {
    const { id } = await started(payroll, methodId, { userId, purpose: 'recovery' })
    challenges.push({ id: id as string, wrong: otherCode(await codeOf(payroll, id)) })
  }
  return { userId, ids, challenges }
}

t.test('wrong codes in a row: over three replicas ten are judged, then the user is locked', async (t) => {
  const { tenant, payroll, at } = await scene({ limits: { userPerHour: 100 } })
  const rush = async () => {
    const { challenges } = await waiting(tenant, payroll)
    return tally(await atOnce(20, (index) => verify(at[index % 3]!, challenges[index % 4]!.id, challenges[index % 4]!.wrong)))
  }
  t.strictSame(await rush(), { '422 wrong_code': 10, '423 user_locked': 10 })
  await without(service, 'take_attempt', '(x.locked_until is null or x.locked_until <= now_there) and', async () => t.ok((await rush())['422 wrong_code']! > 10, 'the control'))
})

t.test('wrong codes in a row on one method: over three replicas none after the 50th is judged', async (t) => {
  const { tenant, tenantId, payroll, at } = await scene({ limits: { userPerHour: 100 } })
  const rush = async () => {
    const { userId, ids } = await someone(service, tenant)
    await asOwner(tenantId, sql`insert into code_failures (tenant_id, user_id, in_a_row, by_method) values (${tenantId}, ${userId}, 0, ${JSON.stringify({ [ids.mobilePhone]: 48 })})`)
    const { id } = await started(payroll, ids.mobilePhone, { userId, purpose: 'recovery' })
    const wrong = otherCode(await codeOf(payroll, id))
    return tally(await atOnce(9, (index) => verify(at[index % 3]!, id, wrong)))['422 wrong_code']
  }
  t.equal(await rush(), 2)
  await without(service, 'take_attempt', 'and coalesce((x.by_method ->> c.method_id::text)::integer, 0) < 50', async () => t.ok((await rush())! > 2, 'the control'))
})

t.test('no count is forgotten when every replica is stopped and another one starts', async (t) => {
  const other = await replicaOf(t, service)
  const { tenant, payroll } = await scene({ sendsPerDay: 11, limits: { prefixPerHour: 1, clientAddressPerHour: 2, userPerHour: 4 } })
  const first = clientOf(other, payroll.token)
  const { userId, ids, challenges } = await waiting(tenant, first)
  for (const { id, wrong } of challenges.slice(0, 2)) for (let attempt = 0; attempt < 5; attempt++) await verify(first, id, wrong)
  const [bob, cyd] = [await someone(service, tenant, ['mobilePhone', 'officePhone']), await someone(service, tenant)]
  for (const methodId of [bob.ids.mobilePhone, bob.ids.officePhone]) await started(first, methodId, { userId: bob.userId, purpose: 'signIn', clientAddress: '203.0.113.7' })
  const [dan, eve] = [await newcomer(service, tenant, '+14155550100'), await newcomer(service, tenant, '+14155550101')]
  await started(first, dan.methodId, { userId: dan.userId })
  isRefused(t, await start(first, eve.methodId, { userId: eve.userId }), 'send_limited')
  await other.stop()

  const next = clientOf(await replicaOf(t, service), payroll.token)
  await moveClock(next, 31)
  isRefused(t, await start(next, ids.mobilePhone, { userId, purpose: 'signIn' }), 'user_locked')
  isRefused(t, await start(next, cyd.ids.mobilePhone, { userId: cyd.userId, purpose: 'signIn', clientAddress: '203.0.113.7' }), 'send_limited', {}, 'the client address')
  isRefused(t, await start(next, eve.methodId, { userId: eve.userId }), 'send_limited', {}, 'the prefix')
  t.match(await start(next, bob.ids.mobilePhone, { userId: bob.userId, purpose: 'signIn' }), { status: 201, body: { sendsRemaining: 1 } }, 'the user and the destination')
  for (const methodId of [cyd.ids.mobilePhone, cyd.ids.alternatePhone, cyd.ids.officePhone]) t.equal((await start(next, methodId, { userId: cyd.userId, purpose: 'signIn' })).status, 201)
  isRefused(t, await start(next, cyd.ids.alternateEmail, { userId: cyd.userId, purpose: 'recovery' }), 'send_limited', {}, 'the budget: the twelfth')
})

t.test('T-26: 1,000 numbers of one prefix, each from a client address of its own, over three replicas: 20 sends, and the prefix is blocked', async (t) => {
  const { tenant, tenantId, at } = await scene({ limits: { prefixPerHour: 20 } })
  const pia = await service.as({ tenant, subject: 'pia', roles: ['policyAdmin'] })
  const seeded = await seedChallenges(service, tenant, 'someone else', 1_000)
  let sends = 0
  for (let from = 0; from < seeded.length; from += 30) {
    sends += through(t, await atOnce(Math.min(30, seeded.length - from), (index) => {
      const { userId, methodId } = seeded[from + index]!
      return start(at[index % 3]!, methodId, { userId, clientAddress: `198.51.${Math.floor((from + index) / 250)}.${(from + index) % 250}` })
    }), '429 send_limited')
  }
  t.equal(sends, 20)
  const { rows: [written] } = await asOwner(tenantId, sql<{ count: number }>`select count(*)::int as count from messages where tenant_id = ${tenantId}`)
  t.equal(written!.count, 20, 'messages')
  t.equal((await pia.get('/v1/fraud/prefix-blocks')).body.items.length, 1)
})

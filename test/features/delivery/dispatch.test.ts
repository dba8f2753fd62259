import t from 'tap'
import { sql } from 'kysely'
import { deliveryOf, messagesOf, pendingMethod, read, start, started, verify } from '../../support/challenges.ts'
import { nowhere, replicaOf } from '../../support/replicas.ts'
import { codeOf, moveClock, otherCode, testService, type TestService } from '../../support/service.ts'

const service = await testService(t)
const person = async () => {
  const tenant = await service.tenant()
  return { tenant, client: await service.as({ tenant, subject: 'ann' }) }
}

interface StoredMessage { state: string, recipient: Buffer | null, content: Buffer | null, tries: number }

const stored = async (from: TestService, tenant: string, challengeId: string): Promise<StoredMessage> =>
  from.owner.inTenant(await from.tenantIdOf(tenant), ({ db, tenantId }) => db.selectFrom('messages').select(['state', 'recipient', 'content', 'tries'])
    .where('tenant_id', '=', tenantId).where('challenge_id', '=', challengeId).executeTakeFirstOrThrow())

t.jobs = 3 // each has a tenant of its own, and waits for seconds

t.test('a message is sent once, and then its address and text are erased', async (t) => {
  const { client, tenant } = await person()
  const challenge = await started(client, await pendingMethod(client, { value: '+14155550101' }))
  t.match(await deliveryOf(client, challenge.id, 'sent'), { status: 'pending', delivery: 'sent' })
  t.strictSame(await stored(service, tenant, challenge.id), { state: 'sent', recipient: null, content: null, tries: 1 })
  t.equal((await messagesOf(client, challenge.id)).length, 1)
})

t.test('a number ending in 98 fails at the carrier: the challenge fails, and does not count against the limits', async (t) => {
  const { client, tenant } = await person()
  const methodId = await pendingMethod(client, { value: '+14155550198' })
  for (let round = 0; round < 8; round++) {
    const challenge = await started(client, methodId)
    t.equal(challenge.sendsRemaining, 4)
    const failed = await deliveryOf(client, challenge.id, 'failed')
    t.match(failed, { status: 'failed', attemptsRemaining: 5 })
    t.ok(failed.endedAt)
    t.match((await verify(client, challenge.id, '000000')).body, { status: 409, code: 'challenge_failed' })
    t.match(await stored(service, tenant, challenge.id), { state: 'failed', recipient: null, content: null, tries: 1 })
    t.equal((await messagesOf(client, challenge.id, 0)).length, 0)
  }
})

t.test('a number ending in 99 is never answered: the outcome is unknown, it is not sent again, and the code works', async (t) => {
  const { client, tenant } = await person()
  await client.put('/v1/sandbox/faults', { channel: 'email', mode: 'timeout' })
  const challenges = await Promise.all([
    started(client, await pendingMethod(client, { value: '+14155550199' })),
    started(client, await pendingMethod(client, { kind: 'alternateEmail', value: 'ann@example.org' })),
  ])
  for (const challenge of challenges) {
    t.match(await deliveryOf(client, challenge.id, 'unknown'), { status: 'pending' })
    t.match(await stored(service, tenant, challenge.id), { state: 'unknown', recipient: null, content: null, tries: 1 })
  }
  await moveClock(client, 60)
  for (const challenge of challenges) {
    t.equal((await messagesOf(client, challenge.id)).length, 1)
    t.match((await read(client, challenge.id)).body, { delivery: 'unknown' })
    t.equal((await verify(client, challenge.id, await codeOf(client, challenge.id))).status, 200)
  }
})

t.test('a fault that is set on a channel fails or slows what goes there, and nothing else', async (t) => {
  const { client } = await person()
  const mobile = await pendingMethod(client, { value: '+14155550101' })
  const office = await pendingMethod(client, { kind: 'officePhone', value: '+14155550102' })
  await client.put('/v1/sandbox/faults', { channel: 'sms', mode: 'error' })
  await client.put('/v1/sandbox/faults', { channel: 'voice', mode: 'slow' })
  const [failing, slow] = [await started(client, mobile), await started(client, office)]
  t.match(await deliveryOf(client, failing.id, 'failed'), { status: 'failed' })
  t.match((await read(client, slow.id)).body, { status: 'pending', delivery: /queued|sending/ })
  t.match(await deliveryOf(client, slow.id, 'sent'), { status: 'pending' })

  const spoken = await started(client, mobile, { channel: 'voice' })
  t.match((await start(client, mobile)).body, { code: 'send_limited', challengeId: spoken.id }, 'what was sent does count')
  await client.put('/v1/sandbox/faults', { channel: 'sms', mode: 'none' })
  await moveClock(client, 31)
  t.match(await deliveryOf(client, (await started(client, mobile)).id, 'sent'), { channel: 'sms' })
})

t.test('a code that became useless while the workers were away is not sent; every other one is', async (t) => {
  const away = await testService(t, { workerUrl: nowhere })
  const tenant = await away.tenant()
  const tenantId = await away.tenantIdOf(tenant)
  const later = await away.tenant()
  const ann = await away.as({ tenant, subject: 'ann' })
  const bob = await away.as({ tenant, subject: 'bob' })
  const eve = await away.as({ tenant: later, subject: 'eve' })
  const asOwner = (statement: ReturnType<typeof sql>) => away.owner.inTenant(tenantId, ({ db }) => statement.execute(db))

  const good = await started(ann, await pendingMethod(ann, { value: '+14155550101' }))
  const late = await started(ann, await pendingMethod(ann, { kind: 'alternatePhone', value: '+14155550102' }))
  await asOwner(sql`update messages set send_before = clock_timestamp() - interval '1 s' where challenge_id = ${late.id}`)
  const guessed = await started(bob, await pendingMethod(bob, { value: '+14155550103' }))
  for (let attempt = 0; attempt < 5; attempt++) await verify(bob, guessed.id, 'guess')
  const changing = await pendingMethod(bob, { kind: 'alternatePhone', value: '+14155550104' })
  const changed = await started(bob, changing)
  t.equal((await bob.patch(`/v1/users/me/contact-methods/${changing}`, { value: '+14155550105' })).status, 200)
  const expired = await started(eve, await pendingMethod(eve, { value: '+14155550106' }))
  await asOwner(sql`update tenants set clock_offset_seconds = 302 where slug = ${later}`)
  t.match((await read(ann, good.id)).body, { delivery: 'queued', status: 'pending' })

  await replicaOf(t, away)
  const code = await codeOf(ann, good.id)
  t.match(await deliveryOf(ann, good.id, 'sent'), { status: 'pending' })
  const ends = [
    [await deliveryOf(ann, late.id, 'failed'), 'failed'], [await deliveryOf(bob, guessed.id, 'failed'), 'exhausted'],
    [await deliveryOf(bob, changed.id, 'failed'), 'canceled'], [await deliveryOf(eve, expired.id, 'failed'), 'expired'],
  ] as const
  for (const [challenge, status] of ends) t.equal(challenge.status, status)
  for (const client of [ann, bob, eve]) t.equal((await client.get('/v1/sandbox/messages')).body.items.length, client === eve ? 0 : 1, 'one message in the first tenant, none in the other')
  const { rows: [left] } = await away.owner.inTenant(tenantId, ({ db }) => sql<{ count: string }>`select count(*) from messages where recipient is not null or content is not null`.execute(db))
  t.equal(left!.count, '0')
  t.match((await verify(ann, good.id, otherCode(code))).body, { code: 'wrong_code' })
  t.equal((await verify(ann, good.id, code)).status, 200)
})

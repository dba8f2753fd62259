import t, { type Test } from 'tap'
import { sql } from 'kysely'
import { openWorkerDb, type WorkerDb } from '../../../src/platform/db/worker.ts'
import { forEachTenant, forgetExpiredKeys, forgetOld } from '../../../src/platform/jobs/retention.ts'
import { pendingMethod, read, started } from '../../support/challenges.ts'
import { holding, without } from '../../support/guards.ts'
import { atOnce } from '../../support/replicas.ts'
import { moveClock, testService, verifiedMethod, type TestService } from '../../support/service.ts'
import { asSuperuser } from '../../support/superuser.ts'

const service = await testService(t)
const day = 86_400

t.test('challenges and their messages are gone after 30 days, and readable until then', async (t) => {
  const tenant = await service.tenant()
  const tenantId = await service.tenantIdOf(tenant)
  const ann = await service.as({ tenant, subject: 'ann' })
  const challenge = await started(ann, await pendingMethod(ann, { value: '+14155550101' }))
  await moveClock(ann, 30 * day)
  t.match(await read(ann, challenge.id), { status: 200, body: { status: 'expired' } })
  await moveClock(ann, 30 * day + 901)
  t.match(await read(ann, challenge.id), { status: 404, body: { code: 'not_found' } })
  const left = await service.owner.inTenant(tenantId, ({ db }) => sql<{ messages: number, windows: number }>`
    select (select count(*)::int from messages where tenant_id = ${tenantId}) as messages`.execute(db))
  t.strictSame(left.rows, [{ messages: 0 }])
})

t.test('the value of a removed method is erased after 30 days; its record stays', async (t) => {
  const tenant = await service.tenant()
  const tenantId = await service.tenantIdOf(tenant)
  const ann = await service.as({ tenant, subject: 'ann' })
  const { id } = await verifiedMethod(ann, { kind: 'officePhone', value: '+14155550101', extension: '77' })
  const { id: kept } = await verifiedMethod(ann, { kind: 'mobilePhone', value: '+14155550102' })
  t.equal((await ann.delete(`/v1/users/me/contact-methods/${id}`)).status, 204)
  const stored = async () => (await service.owner.inTenant(tenantId, ({ db }) => sql<{ id: string, status: string, kind: string, erased: boolean, removed_by: string | null }>`
    select id, status, kind, num_nonnulls(value, value_index, destination_index, extension, pending_value) = 0 as erased, removed_by
      from contact_methods where tenant_id = ${tenantId} order by created_at`.execute(db))).rows
  await moveClock(ann, 29 * day)
  t.match(await stored(), [{ id, status: 'removed', erased: false }, { id: kept, erased: false }])
  await moveClock(ann, 31 * day)
  t.match(await stored(), [{ id, status: 'removed', kind: 'officePhone', erased: true, removed_by: 'person:ann' }, { id: kept, status: 'active', erased: false }])
})

t.test('counts that hold nobody back any more are forgotten', async (t) => {
  const tenant = await service.tenant()
  const tenantId = await service.tenantIdOf(tenant)
  const ann = await service.as({ tenant, subject: 'ann' })
  await started(ann, await pendingMethod(ann, { value: '+14155550101' }), { clientAddress: '203.0.113.9' })
  const asOwner = <Row>(statement: ReturnType<typeof sql<Row>>) => service.owner.inTenant(tenantId, ({ db }) => statement.execute(db))
  const counts = async () => (await asOwner(sql<Record<string, number>>`
    select (select count(*)::int from send_windows where tenant_id = ${tenantId}) as windows, (select count(*)::int from prefix_sends where tenant_id = ${tenantId}) as prefixes,
           (select count(distinct day)::int from send_budgets where tenant_id = ${tenantId}) as days`)).rows[0]
  t.strictSame(await counts(), { windows: 2, prefixes: 1, days: 1 })
  await moveClock(ann, 2 * day)
  t.strictSame(await counts(), { windows: 2, prefixes: 1, days: 1 }, 'what was touched lately stays')
  await asOwner(sql`update send_windows set touched_at = now() - interval '3 days'`)
  await asOwner(sql`update prefix_sends set touched_at = now() - interval '31 days'`)
  await moveClock(ann, 4 * day)
  t.strictSame(await counts(), { windows: 0, prefixes: 0, days: 0 })
})

t.test('a challenge whose proof still serves, by the server\'s own clock, is kept however far the clock was moved', async (t) => {
  const tenant = await service.tenant()
  const ann = await service.as({ tenant, subject: 'ann' })
  await verifiedMethod(ann, { kind: 'mobilePhone', value: '+14155550101' })
  const challenge = (await ann.post('/v1/challenges', { userId: 'me', purpose: 'stepUp' })).body
  const { body: { items: [message] } } = await ann.get(`/v1/sandbox/messages?challengeId=${challenge.id}&waitSeconds=10`)
  t.equal((await ann.post(`/v1/challenges/${challenge.id}/verify`, { code: message.code })).status, 200)
  await moveClock(ann, 40 * day)
  t.match(await read(ann, challenge.id), { status: 200, body: { status: 'approved' } })
})

const many = 5_000
const never = () => false

/** The workers' login, and how long each of its transactions took. */
function workersOf (t: Test, service: TestService): { workers: WorkerDb, slowestMs: () => number, count: () => number } {
  const workers = openWorkerDb({ url: service.database.workerUrl, onError: () => undefined })
  t.teardown(workers.close)
  const took: number[] = []
  const { inTenant } = workers
  workers.inTenant = async (tenantId, work) => {
    const startedAt = performance.now()
    try {
      return await inTenant(tenantId, work)
    } finally {
      took.push(performance.now() - startedAt)
    }
  }
  return { workers, slowestMs: () => Math.max(...took), count: () => took.length }
}

/** Everything that a tenant keeps for a time, five thousand of each, a month and more old. */
async function oldTenant (service: TestService) {
  const tenant = await service.tenant()
  const tenantId = await service.tenantIdOf(tenant)
  const ann = await service.as({ tenant, subject: 'ann' })
  const method = await pendingMethod(ann, { value: '+14155550101' })
  const of = (text: string) => asSuperuser(service, text.replaceAll(':tenant', `'${tenantId}'::uuid`).replaceAll(':method', `'${method}'::uuid`).replaceAll(':old', 'now() - interval \'31 days\''))
  await of(`insert into challenges (tenant_id, id, user_id, method_id, purpose, channel, starter_kind, starter_id, status, code_mac, code_key_version, code_length,
                                    destination_index, destination, mfa_epoch, created_at, expires_at, resend_available_at, sends_remaining)
            select :tenant, gen_random_uuid(), 'ann', :method, 'verifyContact', 'sms', 'person', 'ann', 'expired', 'x', 1, 6, 'x', 'x', 0, :old, :old, :old, 1 from generate_series(1, ${many});
            insert into messages (tenant_id, id, user_id, challenge_id, channel, kind, state, created_at, send_before, ended_at)
            select :tenant, gen_random_uuid(), 'ann', id, 'sms', 'code', 'sent', :old, :old, :old from challenges where tenant_id = :tenant;
            insert into contact_methods (tenant_id, id, user_id, kind, status, value, added_by, added_by_id, created_at, updated_at, removed_at)
            select :tenant, gen_random_uuid(), 'ann', 'mobilePhone', 'removed', 'x', 'self', 'ann', :old, :old, :old from generate_series(1, ${many});
            insert into sandbox_messages (tenant_id, id, channel, kind, recipient, recipient_index, content, created_at)
            select :tenant, gen_random_uuid(), 'sms', 'code', 'x', 'x', 'x', :old from generate_series(1, ${many});
            insert into send_windows (tenant_id, bucket, taken_at, touched_at) select :tenant, 'user:' || n, array[:old], :old from generate_series(1, ${many}) as n;
            insert into destination_sends (tenant_id, destination_index, sent_at) select :tenant, decode(lpad(to_hex(n), 8, '0'), 'hex'), array[:old] from generate_series(1, ${many}) as n;
            insert into idempotency_keys (tenant_id, caller, key_mac, fingerprint, mac_key_version, expires_at)
            select :tenant, 'x', decode(lpad(to_hex(n), 8, '0'), 'hex'), 'x', 1, now() - interval '1 second' from generate_series(1, ${many}) as n`)
  const left = async () => (await of(`select
    (select count(*)::int from challenges where tenant_id = :tenant and created_at < :old + interval '1 hour') as challenges,
    (select count(*)::int from messages where tenant_id = :tenant and created_at < :old + interval '1 hour') as messages,
    (select count(*)::int from contact_methods where tenant_id = :tenant and status = 'removed' and value is not null) as values,
    (select count(*)::int from sandbox_messages where tenant_id = :tenant and created_at < :old + interval '1 hour') as inbox,
    (select count(*)::int from send_windows where tenant_id = :tenant and touched_at < :old + interval '1 hour') as windows,
    (select count(*)::int from destination_sends where tenant_id = :tenant and sent_at[1] < :old + interval '1 hour') as destinations,
    (select count(*)::int from idempotency_keys where tenant_id = :tenant) as keys`))[0]
  return { tenant, tenantId, ann, method, left }
}
const all = { challenges: many, messages: many, values: many, inbox: many, windows: many, destinations: many, keys: many }
const none = { challenges: 0, messages: 0, values: 0, inbox: 0, windows: 0, destinations: 0, keys: 0 }

t.test('thousands of everything are forgotten in short transactions, while challenges are started', async (t) => {
  const { tenantId, ann, method, left } = await oldTenant(service)
  const { workers, slowestMs, count } = workersOf(t, service)
  t.strictSame(await left(), all)
  const people = await atOnce(8, async (index) => {
    const person = await service.as({ tenant: (await oneMore(index)).tenant, subject: 'bob' })
    return { person, methodId: await pendingMethod(person, { value: `+1415555014${index}` }) }
  })
  const work = { ended: false }
  const forgetting = Promise.all([forgetOld(workers, tenantId, never), forgetExpiredKeys(workers)]).finally(() => { work.ended = true })
  const slowest = { ms: 0 }
  const timed = async (start: () => Promise<unknown>) => {
    const startedAt = performance.now()
    await start()
    slowest.ms = Math.max(slowest.ms, performance.now() - startedAt)
  }
  await timed(() => started(ann, method))
  for (const { person, methodId } of people) if (!work.ended) await timed(() => started(person, methodId))
  await forgetting
  t.strictSame(await left(), none)
  t.ok(count() > 25, `${count()} transactions`)
  t.ok(slowestMs() < 1_000, `the slowest took ${Math.round(slowestMs())} ms`)
  t.ok(slowest.ms < 1_000, `the slowest start took ${Math.round(slowest.ms)} ms`)
})

/** A tenant of its own for each start: those of one tenant share limits. */
const oneMore = async (index: number) => ({ tenant: await service.tenant({ slug: `meanwhile-${index}` }) })

t.test('what somebody holds is left for the next time and keeps nothing else; without that guard the work would stand still', async (t) => {
  const { tenantId, left } = await oldTenant(service)
  const { workers, slowestMs } = workersOf(t, service)
  const held = 'select from challenges where tenant_id = $1 order by id limit 1 for update'
  await holding(service, held, [tenantId], async ({ release }) => {
    await forgetOld(workers, tenantId, never)
    t.strictSame(await left(), { ...none, challenges: 1, messages: 1, keys: many })
    t.ok(slowestMs() < 1_000, `${Math.round(slowestMs())} ms`)
    await without(service, 'forget_what_is_over', 'order by c.created_at limit rows_max for update skip locked', () => t.rejects(forgetOld(workers, tenantId, never), { code: '55P03' }),
      'order by c.created_at limit rows_max for update')
    await release()
  })
  await forgetOld(workers, tenantId, never)
  t.strictSame(await left(), { ...none, keys: many })
})

t.test('one tenant whose work fails keeps no other waiting, and a stop ends the work after its batch', async (t) => {
  const { workers, count } = workersOf(t, service)
  const { tenantId, left } = await oldTenant(service)
  const seen: string[] = []
  await t.rejects(forEachTenant(workers, async (id) => {
    seen.push(id)
    if (seen.length === 1) throw new Error('no')
  }, never), { message: 'no' })
  t.ok(seen.includes(tenantId) && seen.length > 2)
  await forEachTenant(workers, (id) => forgetOld(workers, id, () => count() >= 2), () => count() >= 2)
  t.equal(count(), 2)
  await forgetOld(workers, tenantId, () => true)
  t.match(await left(), { windows: many }, 'nothing more is begun')
})

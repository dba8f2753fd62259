import t from 'tap'
import { decodeJwt } from 'jose'
import { sql } from 'kysely'
import { asOwner as connected } from '../../support/cluster.ts'
import { pendingMethod, read, start, started, verify } from '../../support/challenges.ts'
import { atOnce, replicasOf, tally } from '../../support/replicas.ts'
import { clientOf, codeOf, otherCode, testService, type Answer } from '../../support/service.ts'

const service = await testService(t)
const person = async (subject = 'ann') => {
  const tenant = await service.tenant()
  const tenantId = await service.tenantIdOf(tenant)
  return {
    tenant, tenantId, client: await service.as({ tenant, subject }),
    asOwner: <Row>(statement: ReturnType<typeof sql<Row>>) => service.owner.inTenant(tenantId, ({ db }) => statement.execute(db)),
  }
}
const phone = { kind: 'mobilePhone', value: '+14155550101' }
const methodsUrl = '/v1/users/me/contact-methods'
const keyed = (key: string) => ({ 'idempotency-key': key })
const replayed = ({ headers }: Answer) => headers['idempotent-replayed']

t.test('the same key and body give the first answer again, and say so', async (t) => {
  const { client } = await person()
  const first = await client.post(methodsUrl, phone, keyed('a'))
  t.equal(first.status, 201)
  t.equal(replayed(first), undefined)
  await client.patch(first.headers.location as string, { label: 'Changed since' })
  const again = await client.post(methodsUrl, phone, keyed('a'))
  t.strictSame([again.status, again.body, again.headers.location, again.headers.etag], [201, first.body, first.headers.location, first.headers.etag])
  t.equal(replayed(again), 'true')
  t.equal((await client.get(methodsUrl)).body.items.length, 1)

  const challenge = await start(client, first.body.id)
  const [one, two] = [await client.post('/v1/challenges', { userId: 'me', purpose: 'verifyContact', methodId: first.body.id }, keyed('b')), challenge]
  t.match([one.status, two.status], [429, 201], 'a refusal is not kept')
})

t.test('the same key with another body, query or route is refused', async (t) => {
  const { client } = await person()
  const { body: method } = await client.post(methodsUrl, phone, keyed('a'))
  const reused = { status: 422, body: { code: 'idempotency_key_reused' } }
  t.match(await client.post(methodsUrl, { ...phone, value: '+14155550102' }, keyed('a')), reused)
  t.match(await client.post(methodsUrl, { ...phone, label: 'Mine' }, keyed('a')), reused)
  t.match(await client.post('/v1/users/ann/contact-methods', phone, keyed('a')), reused)
  t.match(await client.post('/v1/challenges', { userId: 'me', purpose: 'verifyContact', methodId: method.id }, keyed('a')), reused)
  t.match(await client.post(methodsUrl, { kind: 'nonsense' }, keyed('a')), { status: 400, body: { code: 'validation_failed' } }, 'what is no request is not compared')
  t.equal((await client.post(methodsUrl, phone, keyed('a'))).status, 201)
})

t.test('a key belongs to one caller of one tenant', async (t) => {
  const { client, tenant } = await person()
  const bob = await service.as({ tenant, subject: 'bob' })
  const app = await service.as({ tenant, subject: 'ann', kind: 'app', scopes: ['contact-methods:write', 'contact-methods:read'] })
  const elsewhere = (await person()).client
  const answers = [
    await client.post(methodsUrl, phone, keyed('a')), await bob.post(methodsUrl, phone, keyed('a')), await elsewhere.post(methodsUrl, phone, keyed('a')),
    await app.post('/v1/users/ann/contact-methods', { kind: 'alternatePhone', value: '+14155550102' }, keyed('a')),
  ]
  for (const answer of answers) t.match([answer.status, replayed(answer)], [201, undefined])
  t.equal(new Set(answers.map(({ body }) => body.id)).size, 4)
})

t.test('refusals are judged anew: what was refused with a key may succeed with it later', async (t) => {
  const { client } = await person()
  const other = await pendingMethod(client, phone)
  const body = { kind: 'mobilePhone', value: '+14155550102' }
  t.match((await client.post(methodsUrl, body, keyed('a'))).body, { code: 'method_limit_reached' })
  t.match((await client.post(methodsUrl, { ...body, label: 'x' }, keyed('a'))).body, { code: 'method_limit_reached' }, 'nor does a refusal hold the key')
  t.equal((await client.delete(`${methodsUrl}/${other}`)).status, 204)
  const added = await client.post(methodsUrl, body, keyed('a'))
  t.match([added.status, replayed(added)], [201, undefined])
  t.equal(replayed(await client.post(methodsUrl, body, keyed('a'))), 'true')
})

t.test('16 parallel twins over three replicas have one effect and one answer', async (t) => {
  const { client } = await person()
  const replicas = (await replicasOf(t, service, 3)).of(client)
  const added = await atOnce(16, (index) => replicas[index % 3]!.post(methodsUrl, phone, keyed('add')))
  t.strictSame(tally(added), { 201: 16 })
  t.equal(new Set(added.map(({ text }) => text)).size, 1)
  t.equal(added.filter((answer) => replayed(answer) === 'true').length, 15)

  const methodId = added[0]!.body.id as string
  const starts = await atOnce(16, (index) => replicas[index % 3]!.post('/v1/challenges', { userId: 'me', purpose: 'verifyContact', methodId }, keyed('start')))
  t.strictSame(tally(starts), { 201: 16 })
  const challengeId = starts[0]!.body.id as string
  t.ok(starts.every(({ body }) => body.id === challengeId))
  const code = await codeOf(client, challengeId)
  t.equal((await client.get('/v1/sandbox/messages')).body.items.length, 1, 'one message')

  const verified = await atOnce(16, (index) => verify(replicas[index % 3]!, challengeId, code, keyed('verify')))
  t.strictSame(tally(verified), { 200: 16 })
  t.match((await read(client, challengeId)).body, { status: 'approved', attemptsRemaining: 4 }, 'one attempt')
})

t.test('while the first is still running its twins are told to come back', async (t) => {
  const { client, asOwner } = await person()
  await pendingMethod(client, phone)
  // Makes one kind of insert take until someone lets go of the lock.
  await asOwner(sql.raw(`
    create function linger () returns trigger language plpgsql as $$ begin while not pg_try_advisory_xact_lock(1) loop perform pg_sleep(0.02); end loop; return new; end $$;
    create trigger linger before insert on contact_methods for each row when (new.label = 'slow') execute function linger()`))
  const body = { kind: 'alternatePhone', value: '+14155550102', label: 'slow' }
  const isRunning = async () => (await asOwner(sql`select 1 from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'`)).rows.length > 0
  const first = await connected(service.database.ownerUrl, async (holder) => {
    await holder.query('select pg_advisory_lock(1)')
    const running = client.post(methodsUrl, body, keyed('a'))
    while (!await isRunning()) { /* until the first holds its key */ }
    const twin = await client.post(methodsUrl, body, keyed('a'))
    t.match(twin, { status: 409, body: { code: 'idempotency_in_progress', retryAfterSeconds: 1 }, headers: { 'retry-after': '1' } })
    await holder.query('select pg_advisory_unlock(1)')
    return running
  })
  t.equal(first.status, 201)
  const later = await client.post(methodsUrl, body, keyed('a'))
  t.match([later.status, later.body.id, replayed(later)], [201, first.body.id, 'true'])
})

t.test('a retry of a check that won is told of it again, and the code is used once', async (t) => {
  const { client, tenantId } = await person()
  const methodId = await pendingMethod(client, phone)
  const challenge = await started(client, methodId)
  const code = await codeOf(client, challenge.id)
  const won = await verify(client, challenge.id, code, keyed('a'))
  t.equal(won.status, 200)
  for (let retry = 0; retry < 3; retry++) {
    const again = await verify(client, challenge.id, code, keyed('a'))
    t.strictSame([again.status, { ...again.body, proof: null }, replayed(again)], [200, { ...won.body, proof: null }, 'true'])
    t.strictSame(decodeJwt(again.body.proof), decodeJwt(won.body.proof), 'the same claims, signed again')
  }
  t.match((await verify(client, challenge.id, code, keyed('b'))).body, { code: 'challenge_approved' }, 'under another key it is another check')
  t.match((await verify(client, challenge.id, otherCode(code), keyed('a'))).body, { code: 'idempotency_key_reused' })
  t.match((await read(client, challenge.id)).body, { attemptsRemaining: 4, status: 'approved' })
  await service.deps.sealAudit(tenantId)
  const { rows } = await service.owner.inTenant(tenantId, ({ db }) => sql`select 1 from audit_events where tenant_id = ${tenantId} and action = 'contactMethod.verified'`.execute(db))
  t.equal(rows.length, 1)
})

t.test('a wrong code is counted each time, whatever the key, and keeps none', async (t) => {
  const { client, asOwner, tenantId } = await person()
  const challenge = await started(client, await pendingMethod(client, phone))
  const code = await codeOf(client, challenge.id)
  for (const remaining of [4, 3, 2]) {
    const answer = await verify(client, challenge.id, otherCode(code), keyed('a'))
    t.match([answer.status, answer.body.attemptsRemaining, replayed(answer)], [422, remaining, undefined])
  }
  t.match((await verify(client, challenge.id, ` ${code}`, keyed('a'))).body, { code: 'malformed_code', attemptsRemaining: 1 })
  t.equal((await asOwner(sql`select 1 from idempotency_keys where tenant_id = ${tenantId}`)).rows.length, 0)
  t.equal((await verify(client, challenge.id, code, keyed('a'))).status, 200, 'the key is still free for the right one')

  const second = await started(client, await pendingMethod(client, { ...phone, kind: 'alternatePhone', value: '+14155550102' }))
  const wrong = otherCode(await codeOf(client, second.id))
  for (const remaining of [4, 3, 2, 1, 0]) t.match((await verify(client, second.id, wrong, keyed('b'))).body, { code: 'wrong_code', attemptsRemaining: remaining })
  t.match((await verify(client, second.id, wrong, keyed('b'))).body, { status: 409, code: 'challenge_exhausted' }, 'the last one ends it and is not kept either')
})

t.test('a key has 1 to 255 characters', async (t) => {
  const { client } = await person()
  t.match((await client.post(methodsUrl, phone, keyed('k'.repeat(256)))).body, { status: 400, code: 'validation_failed', errors: [{ parameter: 'idempotency-key' }] })
  t.match((await client.post(methodsUrl, phone, keyed(''))).body, { status: 400, code: 'validation_failed', errors: [{ parameter: 'idempotency-key' }] })
  t.equal((await client.get(methodsUrl)).body.items.length, 0)
  t.equal((await client.post(methodsUrl, phone, keyed('k'.repeat(255)))).status, 201)
  t.equal(replayed(await client.post(methodsUrl, phone, keyed('k'.repeat(255)))), 'true')
})

t.test('a key is kept 24 h by the server\'s own clock, and is then free again', async (t) => {
  const { client, asOwner, tenantId } = await person()
  const first = await client.post(methodsUrl, phone, keyed('a'))
  await client.put('/v1/sandbox/clock', { offsetSeconds: 3600 })
  t.equal(replayed(await client.post(methodsUrl, phone, keyed('a'))), 'true', 'a sandbox does not move it')
  const { rows: [kept] } = await asOwner(sql<{ hours: string }>`select extract(epoch from expires_at - now()) / 3600 as hours from idempotency_keys where tenant_id = ${tenantId}`)
  t.ok(Number(kept!.hours) > 23.9 && Number(kept!.hours) <= 24)

  await asOwner(sql`update idempotency_keys set expires_at = now() - interval '1 s' where tenant_id = ${tenantId}`)
  const body = { ...phone, kind: 'alternatePhone', value: '+14155550102' }
  const [one, two] = await atOnce(2, () => client.post(methodsUrl, body, keyed('a')))
  t.strictSame([one!.status, two!.status, one!.body.id === two!.body.id, one!.body.id === first.body.id], [201, 201, true, false])
  t.equal([one!, two!].filter((answer) => replayed(answer) === 'true').length, 1)
})

t.test('what is kept of a request and its answer cannot be read in the table', async (t) => {
  const { client, asOwner, tenantId } = await person()
  const key = 'a-key-with-4155550101-in-it'
  const { body: method } = await client.post(methodsUrl, { ...phone, label: 'Canary label' }, keyed(key))
  const challenge = await client.post('/v1/challenges', { userId: 'me', purpose: 'verifyContact', methodId: method.id }, keyed(`${key}-2`))
  const code = await codeOf(client, challenge.body.id)
  await verify(client, challenge.body.id, code, keyed(`${key}-3`))
  const { rows } = await asOwner(sql<Record<string, unknown>>`select * from idempotency_keys where tenant_id = ${tenantId}`)
  t.equal(rows.length, 3)
  const texts = rows.map((row) => Object.values(row).map((value) => Buffer.isBuffer(value) ? value.toString('latin1') : String(value)).join('\n'))
  for (const text of texts) {
    for (const secret of [key, '4155550101', 'Canary label', code, method.id, challenge.body.id]) t.notOk(text.includes(secret))
  }
  t.equal(new Set(rows.map((row) => (row.key_mac as Buffer).toString('hex'))).size, 3)
})

t.test('16 parallel requests at one replica wait for a connection, and none is turned away', async (t) => {
  const { client, tenant } = await person()
  const twins = await atOnce(16, () => clientOf(service, client.token).post(methodsUrl, phone, keyed('one')))
  t.strictSame(tally(twins), { 201: 16 })
  const people = await Promise.all(Array.from({ length: 16 }, (_none, index) => service.as({ tenant, subject: `person-${index}` })))
  for (const one of people) await one.get('/v1/users/me') // their rows are made
  t.strictSame(tally(await atOnce(16, (index) => people[index]!.post(methodsUrl, phone, keyed('one')))), { 201: 16 })
})

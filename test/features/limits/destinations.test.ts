import t from 'tap'
import { setPolicy } from '../../support/answers.ts'
import { sql } from 'kysely'
import { deliveryOf, moveTo, pendingMethod, read, start, started, verify } from '../../support/challenges.ts'
import { refusedUntil } from '../../support/limits.ts'
import { atOnce, replicasOf, tally } from '../../support/replicas.ts'
import { codeOf, testService, verifiedMethod } from '../../support/service.ts'

const service = await testService(t)

/** A tenant whose clock can be moved to just before, or to, a point in its time. */
async function sandbox () {
  const tenant = await service.tenant()
  const person = (subject: string) => service.as({ tenant, subject })
  const client = await person('clock')
  return {
    tenant, person,
    /** At the latest one second before, at the earliest two: the clock goes on while the test runs. */
    secondBefore: (time: string) => moveTo(client, time, -1),
    at: (time: string) => moveTo(client, time),
  }
}

t.test('30, 60, 120 and 300 s between sends and 5 in 10 minutes, to the second; sendsRemaining counts down', async (t) => {
  const { person, secondBefore, at } = await sandbox()
  const ann = await person('ann')
  const methodId = await pendingMethod(ann, { value: '+14155550101' })
  let last: Record<string, any> | undefined
  for (const [waitSeconds, remaining] of [[30, 4], [60, 3], [120, 2], [300, 1], [300, 0]] as const) {
    const challenge = await started(ann, methodId)
    t.equal(challenge.sendsRemaining, remaining)
    if (last) t.match((await read(ann, last.id)).body, { status: /canceled|expired/ })
    const wait = (Date.parse(challenge.resendAvailableAt) - Date.parse(challenge.createdAt)) / 1000
    t.ok(wait >= waitSeconds && wait < waitSeconds + 2, `then ${waitSeconds} s (${wait})`)
    await secondBefore(challenge.resendAvailableAt)
    const pending = (await read(ann, challenge.id)).body.status === 'pending'
    const refusal = await refusedUntil(t, ann, challenge.resendAvailableAt, () => start(ann, methodId))
    t.equal(refusal.body.challengeId, pending ? challenge.id : undefined, 'names the caller\'s own one while it is good')
    await at(challenge.resendAvailableAt)
    last = challenge
  }
  t.match(await started(ann, methodId), { sendsRemaining: 3 }, 'the first four have left the 10 minutes')
})

t.test('5 in 10 minutes hold where approved codes restarted the waits', async (t) => {
  const { person, secondBefore, at } = await sandbox()
  const ann = await person('ann')
  const methodId = await pendingMethod(ann, { value: '+14155550101' })
  const sent = [await started(ann, methodId)]
  for (const name of ['bob', 'cyd', 'dan', 'eve']) {
    await at(sent.at(-1)!.resendAvailableAt)
    const other = await person(name)
    const approved = await started(other, await pendingMethod(other, { value: '+14155550101' }))
    t.equal(approved.sendsRemaining, sent.at(-1)!.sendsRemaining - 1)
    t.equal((await verify(other, approved.id, await codeOf(other, approved.id))).status, 200)
    const next = await started(ann, methodId)
    t.equal(next.sendsRemaining, approved.sendsRemaining, 'an approved code does not count, and no wait is left')
    sent.push(next)
  }
  const { resendAvailableAt } = sent.at(-1)!
  const wait = (Date.parse(resendAvailableAt) - Date.parse(sent[0]!.createdAt)) / 1000
  t.ok(wait >= 600 && wait < 602, `the sixth waits until the first is 10 minutes old (${wait})`)
  await secondBefore(resendAvailableAt)
  await refusedUntil(t, ann, resendAvailableAt, () => start(ann, methodId))
  await at(resendAvailableAt)
  t.match(await started(ann, methodId), { sendsRemaining: 0 })
})

t.test('20 a day, and the next when the first is a day old', async (t) => {
  const { person, secondBefore, at, tenant } = await sandbox()
  await setPolicy(service, tenant, { limits: { userPerHour: 100 } })
  const ann = await person('ann')
  const methodId = await pendingMethod(ann, { value: '+14155550101' })
  const first = await started(ann, methodId)
  let last = first
  for (let sends = 2; sends <= 20; sends++) {
    await at(last.resendAvailableAt)
    last = await started(ann, methodId)
    t.ok(last.sendsRemaining <= 20 - sends && (last.sendsRemaining > 0 || sends === 5 || sends === 20), `${last.sendsRemaining} remain after ${sends}`)
  }
  const wait = (Date.parse(last.resendAvailableAt) - Date.parse(first.createdAt)) / 1000
  t.ok(wait >= 86_400 && wait < 86_402, `a day (${wait})`)
  await secondBefore(last.resendAvailableAt)
  const bob = await person('bob')
  const again = await pendingMethod(bob, { value: '+14155550101' })
  await refusedUntil(t, bob, last.resendAvailableAt, () => start(bob, again))
  await at(last.resendAvailableAt)
  t.match(await started(bob, again), { sendsRemaining: 0 })
})

t.test('what no carrier took does not count, and its wait neither', async (t) => {
  const { person, at } = await sandbox()
  const ann = await person('ann')
  const methodId = await pendingMethod(ann, { value: '+14155550101' })
  const first = await started(ann, methodId)
  await at(first.resendAvailableAt)
  await ann.put('/v1/sandbox/faults', { channel: 'sms', mode: 'error' })
  for (let round = 0; round < 7; round++) {
    const failing = await started(ann, methodId)
    t.equal(failing.sendsRemaining, 3)
    await deliveryOf(ann, failing.id, 'failed')
  }
  await ann.put('/v1/sandbox/faults', { channel: 'sms', mode: 'none' })
  const second = await started(ann, methodId)
  t.equal(second.sendsRemaining, 3)
  const wait = (Date.parse(second.resendAvailableAt) - Date.parse(second.createdAt)) / 1000
  t.ok(wait >= 60 && wait < 62, `it was the second that went out (${wait})`)
})

t.test('the same number or mailbox, whoever writes it and how, is one bucket; another extension or tenant is another', async (t) => {
  const { person, tenant } = await sandbox()
  const app = await service.as({ tenant, subject: 'payroll', kind: 'app', scopes: ['challenges:write'] })
  const spellings = [
    ['mobilePhone', '+1 (415) 555-0101'], ['mobilePhone', '415.555.0101'], ['alternatePhone', 'tel:+1-415-555-0101'], ['officePhone', '(415) 555 0101'], ['mobilePhone', '1-415-555-0101'],
  ] as const
  const mailboxes = ['ann@example.org', 'Ann@EXAMPLE.org', 'ann+news@example.org'].map((value) => ['alternateEmail', value] as const)
  for (const group of [spellings, mailboxes]) {
    for (const [index, [kind, value]] of group.entries()) {
      const someone = await person(`${kind}-${index}`)
      const answer = await start(someone, await pendingMethod(someone, { kind, value }))
      t.match(answer, index === 0 ? { status: 201 } : { status: 429, body: { code: 'send_limited' } }, value)
      t.notOk(answer.body.challengeId, 'nobody hears of another\'s challenge')
    }
  }
  const office = await person('office')
  const methodId = await pendingMethod(office, { kind: 'officePhone', value: '+14155550101', extension: '1' })
  t.equal((await start(office, methodId)).status, 201)
  t.equal((await office.patch(`/v1/users/me/contact-methods/${methodId}`, { extension: '2' })).status, 200)
  t.match(await start(office, methodId), { status: 201, body: { sendsRemaining: 4 } })
  t.equal((await office.patch(`/v1/users/me/contact-methods/${methodId}`, { extension: '1' })).status, 200)
  t.match((await start(office, methodId)).body, { code: 'send_limited' }, 'and back again is the first')
  t.match((await start(app, methodId, { userId: 'office' })).body, { code: 'send_limited' }, 'an app has no bucket of its own')

  const elsewhere = await service.as({ tenant: await service.tenant(), subject: 'ann' })
  t.equal((await start(elsewhere, await pendingMethod(elsewhere, { value: '+14155550101' }))).status, 201)
})

t.test('the policy may lower the counts', async (t) => {
  const { person, at, tenant } = await sandbox()
  const admin = await service.as({ tenant, subject: 'paul', roles: ['policyAdmin'] })
  t.equal((await admin.patch('/v1/policy', { limits: { destinationPerTenMinutes: 2, destinationPerDay: 3 } })).status, 200)
  const ann = await person('ann')
  const methodId = await pendingMethod(ann, { value: '+14155550101' })
  const first = await started(ann, methodId)
  t.equal(first.sendsRemaining, 1)
  await at(first.resendAvailableAt)
  const second = await started(ann, methodId)
  t.equal(second.sendsRemaining, 0)
  await refusedUntil(t, ann, second.resendAvailableAt, () => start(ann, methodId))
  await at(second.resendAvailableAt)
  const third = await started(ann, methodId)
  t.ok(Date.parse(third.resendAvailableAt) - Date.parse(first.createdAt) >= 86_400_000)
})

t.test('three replicas in parallel never send one too many; without the lock on the row they do', async (t) => {
  const { person, at, tenant } = await sandbox()
  const replicas = await replicasOf(t, service, 3)
  // A number that someone has verified counts in no prefix, whose lock would hide that of the destination.
  await verifiedMethod(await person('vera'), { kind: 'mobilePhone', value: '+14155550101' })
  const people = await Promise.all(Array.from({ length: 12 }, (_none, index) => person(`person-${index}`)))
  const methods = await Promise.all(people.map((client) => pendingMethod(client, { value: '+14155550101' })))
  /** Everyone asks at every replica at once. */
  const rush = async () => {
    const answers = await atOnce(36, (index) => start(replicas.of(people[index % 12]!)[index % 3]!, methods[index % 12]!))
    return { counts: tally(answers), challenge: answers.find(({ status }) => status === 201)?.body }
  }
  for (const remaining of [4, 3, 2, 1, 0]) {
    const { counts, challenge } = await rush()
    t.strictSame(counts, { 201: 1, '429 send_limited': 35 })
    t.equal(challenge.sendsRemaining, remaining)
    await at(challenge.resendAvailableAt)
  }

  const tenantId = await service.tenantIdOf(tenant)
  const asOwner = <Row>(statement: ReturnType<typeof sql<Row>>) => service.owner.inTenant(tenantId, ({ db }) => statement.execute(db))
  const { rows: [definition] } = await asOwner(sql<{ text: string }>`select pg_get_functiondef('take_destination_send'::regproc) as text`)
  const slower = definition!.text.replace(/ at := tenant_now\(\);/, ' at := tenant_now(); perform pg_sleep(0.02);')
  await asOwner(sql.raw(slower))
  t.strictSame((await rush()).counts, { 201: 1, '429 send_limited': 35 }, 'however long it takes')
  await asOwner(sql`update destination_sends set steps = 0, sent_at = '{}', challenge_ids = '{}'`)
  // Without the lock, whoever has looked waits until another has looked, too.
  await asOwner(sql.raw('create sequence arrivals; grant all on sequence arrivals to public'))
  const meeting = 'perform nextval(\'arrivals\'); for look in 1..300 loop exit when (select last_value from arrivals) > 1; perform pg_sleep(0.01); end loop;'
  await asOwner(sql.raw(slower.replace(/ for update;/, ';').replace('perform pg_sleep(0.02);', meeting)))
  t.ok((await rush()).counts['201']! > 1, 'the control: several winners')
  await asOwner(sql.raw(definition!.text))
})

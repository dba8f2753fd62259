import t from 'tap'
import { withoutPersonalData } from '../../../src/features/audit/audit.ts'
import { codeOf, otherCode, testService, verifiedMethod, type Answer, type TestService } from '../../support/service.ts'
import { asSuperuser } from '../../support/superuser.ts'

const service = await testService(t)

/** A change, the row that it must leave in the log, and where it writes. */
interface Change { action: string, table?: string, run: () => Promise<Answer>, status: number }

async function everyChange (service: TestService): Promise<Change[]> {
  const tenant = await service.tenant()
  const [ann, helpdesk, admin, policyAdmin] = await Promise.all([
    service.as({ tenant, subject: 'ann' }), service.as({ tenant, subject: 'hans', roles: ['helpdesk'] }),
    service.as({ tenant, subject: 'petra', roles: ['privilegedAdmin'] }), service.as({ tenant, subject: 'paul', roles: ['policyAdmin'] }),
  ])
  const phone = await verifiedMethod(ann, { kind: 'mobilePhone', value: '+14155550111' })
  const office = await verifiedMethod(ann, { kind: 'officePhone', value: '+14155550112', extension: '4711' })
  const carl = await service.as({ tenant, subject: 'carl' })
  for (const client of [helpdesk, admin, policyAdmin, carl]) await client.get('/v1/sandbox/clock') // their own rows are made
  const spare = (await ann.post('/v1/users/me/contact-methods', { kind: 'alternatePhone', value: '+14155550117' })).body
  const pending = (await ann.post('/v1/users/me/contact-methods', { kind: 'alternateEmail', value: 'ann.first@example.org' })).body
  const start = () => ann.post('/v1/challenges', { userId: 'me', purpose: 'verifyContact', methodId: pending.id })
  const verify = async (challengeId: string, right: boolean) => {
    const code = await codeOf(ann, challengeId)
    return ann.post(`/v1/challenges/${challengeId}/verify`, { code: right ? code : otherCode(code) })
  }
  const first = (await start()).body.id as string
  const method = `/v1/users/me/contact-methods/${phone.id}`
  return [
    { action: 'user.created', table: 'users', status: 201, run: () => admin.put('/v1/users/bob', { displayName: 'Bob', signInEmail: 'bob.in@example.com' }) },
    { action: 'user.changed', table: 'users', status: 200, run: () => admin.put('/v1/users/ann', { signInEmail: 'ann.in@example.com' }) },
    { action: 'user.revealed', status: 200, run: () => admin.get('/v1/users/ann?reveal=true') },
    { action: 'contactMethod.verified', table: 'contact_methods', status: 200, run: () => verify(first, true) },
    { action: 'contactMethod.added', table: 'contact_methods', status: 201, run: () => helpdesk.post('/v1/users/carl/contact-methods', { kind: 'mobilePhone', value: '+14155550113', reason: 'Rang from +1 (415) 555-0114' }) },
    { action: 'contactMethod.changed', table: 'contact_methods', status: 200, run: () => ann.patch(method, { value: '+14155550115' }) },
    { action: 'challenge.started', table: 'challenges', status: 201, run: () => ann.post('/v1/challenges', { userId: 'me', purpose: 'verifyContact', methodId: spare.id }) },
    { action: 'defaultMethod.chosen', table: 'contact_methods', status: 200, run: () => ann.put('/v1/users/me/default-method', { methodId: office.id, channel: 'voice' }) },
    { action: 'contactMethods.revealed', status: 200, run: () => admin.get('/v1/users/ann/contact-methods?reveal=true') },
    { action: 'contactMethod.removed', table: 'contact_methods', status: 204, run: () => ann.delete(`/v1/users/me/contact-methods/${office.id}`) },
    { action: 'organization.changed', table: 'organizations', status: 200, run: () => policyAdmin.patch('/v1/organization', { phone: '+14155550116', technicalContact: { name: 'Eve', email: 'eve@example.net' } }) },
    { action: 'policy.changed', table: 'policies', status: 200, run: () => policyAdmin.patch('/v1/policy', { codes: { length: 8 } }) },
    { action: 'sandbox.faultSet', table: 'sandbox_faults', status: 200, run: () => ann.put('/v1/sandbox/faults', { channel: 'voice', mode: 'error' }) },
    { action: 'sandbox.clockMoved', table: 'tenants', status: 200, run: () => ann.put('/v1/sandbox/clock', { offsetSeconds: 60 }) },
  ]
}

interface Event { id: string, action: string, details: string, outcome: string, transaction: string }
const eventsOf = (service: TestService) => asSuperuser<Event>(service, 'select id, action, details, outcome, xmin::text as transaction from audit_events order by id')

t.test('each change leaves one row, written in its own transaction, without a number, an address or a code', async (t) => {
  for (const { action, table, status, run } of await everyChange(service)) {
    const before = await eventsOf(service)
    t.match(await run(), { status }, action)
    const rows = (await eventsOf(service)).slice(before.length)
    t.match(rows, [{ action, outcome: 'done' }])
    if (table === undefined) continue
    const written = await asSuperuser(service, `select 1 from ${table} where xmin::text = '${rows[0]!.transaction}'`)
    t.ok(written.length >= 1, `${table}: the same transaction`)
  }
  const told = (await eventsOf(service)).map(({ details }) => details).join('\n')
  t.notMatch(told.replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'id'), /555|4711|@|example/)
})

t.test('what is rolled back leaves no row, and what cannot be recorded does not happen', async (t) => {
  const service = await testService(t) // of its own: after this nothing can be recorded there
  const changes = await everyChange(service)
  await asSuperuser(service, `
    create function refuse () returns trigger language plpgsql as $$ begin raise exception 'the commit fails'; end $$;
    create constraint trigger refuse after insert on audit_events deferrable initially deferred for each row execute function refuse()`)
  const tables = ['users', 'contact_methods', 'organizations', 'policies', 'tenants', 'destination_sends', 'sandbox_faults', 'audit_events', 'idempotency_keys']
  const snapshot = async () => [
    ...(await Promise.all(tables.map((table) => asSuperuser(service, `select r::text as row from ${table} r order by 1`)))).flat(),
    ...await asSuperuser(service, 'select id, status from challenges order by 1'), ...await asSuperuser(service, 'select id from messages order by 1'),
  ]
  const before = await snapshot()
  for (const { action, run } of changes) t.match(await run(), { status: 500, body: { code: 'internal_error' } }, action)
  t.same(await snapshot(), before)
})

t.test('a change that is refused leaves no row of a change', async (t) => {
  const tenant = await service.tenant()
  const ann = await service.as({ tenant, subject: 'ann' })
  const phone = await verifiedMethod(ann, { kind: 'mobilePhone', value: '+14155550111' })
  const before = await eventsOf(service)
  const refused = await Promise.all([
    ann.post('/v1/users/me/contact-methods', { kind: 'mobilePhone', value: '+14155550112' }), ann.post('/v1/users/me/contact-methods', { kind: 'officePhone', value: 'x' }),
    ann.patch(`/v1/users/me/contact-methods/${phone.id}`, { label: 'x' }, { 'if-match': '"77"' }), ann.delete(`/v1/users/me/contact-methods/${phone.id}`),
    ann.post('/v1/challenges', { userId: 'me', purpose: 'verifyContact', methodId: phone.id }), ann.patch('/v1/policy', { alternateEmails: 3 }),
  ])
  t.same(refused.map(({ status }) => status), [409, 422, 412, 409, 409, 403])
  t.match((await eventsOf(service)).slice(before.length), [{ action: 'policy.write', outcome: 'refused' }], 'only the refusal of authority')
})

t.test('five wrong codes leave one row, the wrong codes themselves none', async (t) => {
  const ann = await service.as({ tenant: await service.tenant(), subject: 'ann' })
  const { body: { id } } = await ann.post('/v1/users/me/contact-methods', { kind: 'mobilePhone', value: '+14155550111' })
  const { body: challenge } = await ann.post('/v1/challenges', { userId: 'me', purpose: 'verifyContact', methodId: id })
  const wrong = otherCode(await codeOf(ann, challenge.id))
  const before = await eventsOf(service)
  for (let attempt = 1; attempt <= 6; attempt++) await ann.post(`/v1/challenges/${challenge.id}/verify`, { code: wrong })
  const rows = (await eventsOf(service)).slice(before.length)
  t.match(rows, [{ action: 'challenge.exhausted', details: new RegExp(challenge.id) }])
  t.notMatch(rows[0]!.details, wrong)
})

t.test('a reason is kept without the numbers and addresses in it', async (t) => {
  const texts = {
    'Rang from +1 (415) 555-0132, twice': 'Rang from •••, twice',
    'ext. 0132; 415.555.0132': 'ext. •••',
    '415–555–0132 and 415 – 555 – 0132': '••• and •••',
    '４１５５５５０１３２ or ٤١٥٥٥٥٠١٣٢': '••• or •••',
    'mail ann.smith+x@example.org please': 'mail ••• please',
    'ann ＠ example.org': '•••',
    'code 123 456': 'code •••',
    'Lost it on floor 12, desk 3': 'Lost it on floor 12, desk 3',
  }
  for (const [typed, kept] of Object.entries(texts)) t.equal(withoutPersonalData(typed), kept)

  const tenant = await service.tenant()
  const ann = await service.as({ tenant, subject: 'ann' })
  await ann.get('/v1/users/me')
  const helpdesk = await service.as({ tenant, subject: 'hans', roles: ['helpdesk'] })
  const reason = 'Rang from +1 415 555 0132, write to ann@example.org'
  t.equal((await helpdesk.post('/v1/users/ann/contact-methods', { kind: 'mobilePhone', value: '+14155550111', reason })).status, 201)
  const row = (await eventsOf(service)).at(-1)!
  t.match(JSON.parse(row.details), { kind: 'mobilePhone', reason: 'Rang from •••, write to •••' })
})

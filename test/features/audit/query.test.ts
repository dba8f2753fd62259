import t from 'tap'
import { eventOf, type AuditEntry } from '../../../src/features/audit/audit.ts'
import { insertEvent } from '../../../src/features/audit/queries.ts'
import { testService, type Client } from '../../support/service.ts'

interface Event { sequence: number, id: string, at: string, actor: { kind: string, id: string }, action: string, outcome: string, userId: string | null, requestId: string | null, details: Record<string, unknown> }

const service = await testService(t)

/** Rows as they would have been written at these minutes. */
async function write (tenantId: string, rows: ReadonlyArray<{ minute: number, actor: string, entry: AuditEntry }>): Promise<void> {
  await service.deps.db.inTenant(tenantId, async (tx) => {
    for (const { minute, actor, entry } of rows) {
      await insertEvent(tx.db, eventOf(service.deps, tenantId, new Date(Date.UTC(2026, 0, 1, 0, minute)), { kind: 'person', subject: actor, requestId: `r-${minute}` }, entry))
    }
  })
  await service.deps.sealAudit(tenantId)
}

/** Twelve rows: two actors, three users, two actions, one a minute. */
async function logOfTwelve () {
  const tenant = await service.tenant()
  const tenantId = await service.tenantIdOf(tenant)
  await write(tenantId, Array.from({ length: 12 }, (_, minute) => ({
    minute, actor: ['hans', 'petra'][minute % 2]!, entry: { action: ['contactMethod.added', 'contactMethod.removed'][minute % 4 < 2 ? 0 : 1]!, userId: ['ann', 'bob', 'carl'][minute % 3]!, details: { minute } },
  })))
  return { tenant, tenantId, auditor: await service.as({ tenant, subject: 'audrey', roles: ['auditor'] }) }
}

const minutesIn = async (client: Client, query: string) => {
  const { status, body, text } = await client.get(`/v1/audit-events?limit=200&${query}`)
  if (status !== 200) throw new Error(text)
  return (body.items as Event[]).filter(({ details }) => details.minute !== undefined).map(({ details }) => details.minute)
}
const at = (minute: number) => new Date(Date.UTC(2026, 0, 1, 0, minute)).toISOString()

t.test('a row says who did what to whom, when, and in which request', async (t) => {
  const { tenantId, auditor } = await logOfTwelve()
  await write(tenantId, [{ minute: 30, actor: 'hans', entry: { action: 'policy.write', outcome: 'refused', details: { rule: 'role' } } }])
  const { body } = await auditor.get(`/v1/audit-events?from=${at(30)}&to=${at(31)}`)
  t.match(body.items, [{ at: at(30), actor: { kind: 'person', id: 'hans' }, action: 'policy.write', outcome: 'refused', userId: null, requestId: 'r-30', details: { rule: 'role' } }])
})

t.test('filters by user, actor, action and time, alone and together, newest first', async (t) => {
  const { auditor } = await logOfTwelve()
  t.same(await minutesIn(auditor, ''), [11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0])
  t.same(await minutesIn(auditor, 'userId=bob'), [10, 7, 4, 1])
  t.same(await minutesIn(auditor, 'actor=petra'), [11, 9, 7, 5, 3, 1])
  t.same(await minutesIn(auditor, 'action=contactMethod.removed'), [11, 10, 7, 6, 3, 2])
  t.same(await minutesIn(auditor, `from=${at(4)}&to=${at(7)}`), [6, 5, 4], 'from its minute on, up to the other')
  t.same(await minutesIn(auditor, 'from=2026-01-01T01:10:00%2B01:00&to=2026-01-01T01:11:00%2B01:00'), [10], 'in another time zone')
  t.same(await minutesIn(auditor, `userId=bob&actor=petra&action=contactMethod.removed&from=${at(2)}`), [7])
  t.same(await minutesIn(auditor, 'userId=nobody'), [])
  t.same(await minutesIn(auditor, 'action=contactMethod'), [], 'an action is the whole of it')
  t.same(await minutesIn(auditor, `from=${at(7)}&to=${at(7)}`), [])
})

t.test('pages hold each row once, though rows are added meanwhile', async (t) => {
  const { tenantId, auditor } = await logOfTwelve()
  const seen: Event[] = []
  let cursor = ''
  for (let added = 0; ; added++) {
    const { status, body } = await auditor.get(`/v1/audit-events?actor=petra&limit=2${cursor}`)
    t.equal(status, 200)
    t.ok(body.items.length <= 2)
    seen.push(...body.items)
    if (body.nextCursor === undefined) break
    cursor = `&cursor=${body.nextCursor}`
    await write(tenantId, [{ minute: 20 + added, actor: 'petra', entry: { action: 'x', details: { minute: 20 + added } } }])
  }
  t.same(seen.map(({ details }) => details.minute), [11, 9, 7, 5, 3, 1])
  t.same(seen.map(({ sequence }) => sequence).toSorted((a, b) => b - a), seen.map(({ sequence }) => sequence))
})

t.test('a cursor is good for its own list only', async (t) => {
  const { auditor } = await logOfTwelve()
  const { body } = await auditor.get('/v1/audit-events?actor=petra&limit=2')
  const elsewhere = await service.as({ tenant: await service.tenant(), subject: 'audrey', roles: ['auditor'] })
  const refused = { status: 400, body: { code: 'invalid_cursor' } }
  t.match(await auditor.get(`/v1/audit-events?actor=hans&limit=2&cursor=${body.nextCursor}`), refused, 'another filter')
  t.match(await auditor.get(`/v1/audit-events?limit=2&cursor=${body.nextCursor}`), refused, 'no filter')
  t.match(await auditor.get(`/v1/audit-events?userId=petra&limit=2&cursor=${body.nextCursor}`), refused, 'the same text in another filter')
  t.match(await elsewhere.get(`/v1/audit-events?actor=petra&limit=2&cursor=${body.nextCursor}`), refused, 'another tenant')
  t.match(await auditor.get(`/v1/audit-events?actor=petra&limit=2&cursor=${Buffer.from('[2,"9",""]').toString('base64url')}`), refused, 'made up')
})

t.test('who has just changed something finds it at once', async (t) => {
  const tenant = await service.tenant()
  const auditor = await service.as({ tenant, subject: 'audrey', roles: ['auditor'] })
  const ann = await service.as({ tenant, subject: 'ann' })
  for (const label of ['one', 'two', 'three']) {
    const { status } = label === 'one' ? await ann.post('/v1/users/me/contact-methods', { kind: 'mobilePhone', value: '+14155550111', label })
      : await ann.put('/v1/sandbox/faults', { channel: 'voice', mode: label === 'two' ? 'slow' : 'none' })
    t.ok(status < 300)
    t.match((await auditor.get('/v1/audit-events?actor=ann&limit=1')).body.items, [{ action: label === 'one' ? 'contactMethod.added' : 'sandbox.faultSet' }], label)
  }
})

t.test('a tenant\'s log is its own', async (t) => {
  const { auditor } = await logOfTwelve()
  const elsewhere = await service.as({ tenant: await service.tenant(), subject: 'audrey', roles: ['auditor'] })
  t.same(await minutesIn(elsewhere, ''), [])
  t.equal((await elsewhere.get('/v1/audit-events')).body.items.at(-1).sequence, 1, 'numbers start anew in each tenant')
  t.equal((await auditor.get('/v1/audit-events')).body.items.at(-1).sequence, 1)
})

t.test('only auditors and apps with the scope read it', async (t) => {
  const { tenant } = await logOfTwelve()
  const app = await service.as({ tenant, subject: 'siem', kind: 'app', scopes: ['audit:read'] })
  t.equal((await app.get('/v1/audit-events')).status, 200)
  for (const roles of [[], ['reader'], ['helpdesk'], ['privilegedAdmin'], ['policyAdmin']] as const) {
    const client = await service.as({ tenant, subject: `someone-${roles[0] ?? 'user'}`, roles })
    for (const path of ['/v1/audit-events', '/v1/audit-events?userId=ann', '/v1/audit-events/verification']) t.match(await client.get(path), { status: 403, body: { code: 'forbidden' } }, `${roles[0]} ${path}`)
  }
})

t.test('a time that is none is refused, a leap second is not', async (t) => {
  const { auditor } = await logOfTwelve()
  for (const wrong of ['yesterday', '2026-01-01', '2026-13-01T00:00:00Z', '2026-02-30T00:00:00Z', '2026-01-01T00:00:00', '1767225600']) {
    for (const path of ['/v1/audit-events', '/v1/audit-events/verification']) t.match(await auditor.get(`${path}?from=${wrong}`), { status: 400, body: { code: 'validation_failed' } }, wrong)
  }
  for (const leap of ['2016-12-31T23:59:60Z', '2016-12-31T23:59:60.5Z', '2017-01-01T00:59:60%2B01:00', '9999-12-31T23:59:59Z', '0000-01-01T00:00:00Z']) {
    for (const path of ['/v1/audit-events', '/v1/audit-events/verification']) t.equal((await auditor.get(`${path}?from=${leap}`)).status, 200, leap)
  }
})

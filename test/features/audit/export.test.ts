import { once } from 'node:events'
import { request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import { eventOf } from '../../../src/features/audit/audit.ts'
import { holding } from '../../support/guards.ts'
import { testService, type TestService } from '../../support/service.ts'
import { asSuperuser } from '../../support/superuser.ts'

const service = await testService(t)
const by = { kind: 'system' as const, subject: 'writer', requestId: null }

interface Event { sequence: number, id: string, at: string, actor: { kind: string, id: string }, action: string, userId: string | null, details: Record<string, unknown> }
const parsed = (text: string): Event[] => text.split('\n').filter(Boolean).map((line) => JSON.parse(line) as Event)

/** A log of so many rows, three users in turn, every thousandth row of a rare kind. */
async function logOf (service: TestService, rows: number, padding = 0) {
  const tenant = await service.tenant()
  const tenantId = await service.tenantIdOf(tenant)
  const chunk = 1_000
  for (let from = 0; from < rows; from += chunk) {
    const events = Array.from({ length: Math.min(chunk, rows - from) }, (_none, index) => eventOf(service.deps, tenantId, new Date(), by, {
      action: (from + index) % 1_000 === 0 ? 'rare' : 'often', userId: ['ann', 'bob', 'carl'][index % 3]!, details: { row: from + index, ...(padding > 0 && { padding: 'x'.repeat(padding) }) },
    }))
    await service.owner.inTenant(tenantId, async ({ db }) => {
      await db.insertInto('audit_events').values(events).execute()
      await db.insertInto('audit_unsealed').values(events.map(({ id }) => ({ tenant_id: tenantId, event_id: id }))).execute()
    })
  }
  await service.deps.sealAudit(tenantId)
  return { tenant, tenantId, auditor: await service.as({ tenant, subject: 'audrey', roles: ['auditor'] }) }
}

/** What the list has, oldest first. */
async function listed (auditor: { get: (url: string) => Promise<{ body: any }> }, query: string): Promise<Event[]> { // eslint-disable-line @typescript-eslint/no-explicit-any
  const events: Event[] = []
  for (let cursor = ''; ;) {
    const { body } = await auditor.get(`/v1/audit-events?limit=200&${query}${cursor}`)
    events.push(...body.items)
    if (body.nextCursor === undefined) return events.toReversed()
    cursor = `&cursor=${body.nextCursor}`
  }
}

t.test('an export of 5,000 rows is the list, oldest first, and says so in a row of its own', async (t) => {
  const { auditor } = await logOf(service, 5_000)
  const { status, text, headers } = await auditor.get('/v1/audit-events/export')
  t.match({ status, ...headers }, { status: 200, 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' })
  const events = parsed(text)
  t.ok(text.endsWith('}\n'))
  t.same(events, await listed(auditor, ''))
  t.ok(events.length > 5_000)
  t.match(events.at(-1), { action: 'audit.exported', actor: { kind: 'person', id: 'audrey' }, details: { filters: [] } })
  t.same(events.map(({ sequence }) => sequence), events.map((_event, index) => index + 1))
})

t.test('it takes the filters of the list', async (t) => {
  const { auditor } = await logOf(service, 3_500)
  const middle = (await auditor.get('/v1/audit-events?action=rare&limit=200')).body.items[1].at as string
  for (const query of ['userId=bob', 'action=rare', 'action=rare&userId=ann', `from=${middle}`, `to=${middle}`, `from=${middle}&to=${middle}`, 'actor=nobody', 'actor=audrey&action=audit.exported']) {
    const { text } = await auditor.get(`/v1/audit-events/export?${query}`)
    t.same(parsed(text), await listed(auditor, query), query)
  }
  t.match((await listed(auditor, 'action=audit.exported')).at(-1)!.details, { filters: ['action', 'actor'] }, 'the row names the filters, not what was looked for')
})

t.test('what is no filter, or none that can be read, is refused and exports nothing', async (t) => {
  const { auditor } = await logOf(service, 1)
  for (const query of ['limit=1', 'cursor=x', 'format=csv', 'from=yesterday', 'userId=']) {
    t.match(await auditor.get(`/v1/audit-events/export?${query}`), { status: 400, body: { code: 'validation_failed' } }, query)
  }
  t.same(await listed(auditor, 'action=audit.exported'), [])
})

t.test('only whoever reads the log exports it, a person with a fresh second factor', async (t) => {
  const { tenant } = await logOf(service, 1)
  const app = await service.as({ tenant, subject: 'siem', kind: 'app', scopes: ['audit:read'] })
  t.equal((await app.get('/v1/audit-events/export')).status, 200)
  for (const roles of [[], ['reader'], ['helpdesk'], ['privilegedAdmin'], ['policyAdmin']] as const) {
    t.match(await (await service.as({ tenant, subject: `a-${roles[0] ?? 'user'}`, roles })).get('/v1/audit-events/export'), { status: 403, body: { code: 'forbidden' } }, roles[0] ?? 'user')
  }
  t.match(await (await service.as({ tenant, subject: 'other', kind: 'app', scopes: ['users:read'] })).get('/v1/audit-events/export'), { status: 403, body: { code: 'forbidden' } })
  for (const stale of [{ authSecondsAgo: 660 }, { amr: ['pwd'] }]) {
    const auditor = await service.as({ tenant, subject: 'audrey', roles: ['auditor'], ...stale })
    t.equal((await auditor.get('/v1/audit-events')).status, 200, 'reading takes none')
    t.match(await auditor.get('/v1/audit-events/export'), { status: 401, body: { code: 'insufficient_user_authentication' } })
  }
})

t.test('a tenant exports its own log', async (t) => {
  const here = await logOf(service, 20)
  const there = await logOf(service, 30)
  const ids = new Set((await asSuperuser<{ id: string }>(service, `select id from audit_events where tenant_id = '${there.tenantId}'`)).map(({ id }) => id))
  const events = parsed((await here.auditor.get('/v1/audit-events/export')).text)
  t.equal(events.filter(({ action }) => action === 'often').length, 19)
  t.notOk(events.some(({ id }) => ids.has(id)))
})

t.test('HEAD exports nothing', async (t) => {
  const { auditor } = await logOf(service, 1)
  const { statusCode, body } = await service.app.inject({ method: 'HEAD', url: '/v1/audit-events/export', headers: { authorization: `Bearer ${auditor.token}` } })
  t.same({ statusCode, body }, { statusCode: 200, body: '' })
  t.same(await listed(auditor, 'action=audit.exported'), [])
})

/** A caller on a real socket, who takes the beginning of an export and then no more. */
async function beginning (service: TestService, token: string, path = '/v1/audit-events/export') {
  if (!service.app.server.listening) await service.app.listen({ host: '127.0.0.1', port: 0 })
  const sent = request({ host: '127.0.0.1', port: (service.app.server.address() as AddressInfo).port, path, headers: { authorization: `Bearer ${token}` } })
  sent.on('error', () => undefined)
  sent.end()
  const [answer] = await once(sent, 'response') as [NodeJS.ReadableStream & { statusCode: number, destroy: () => void }]
  await once(answer, 'readable')
  answer.read(1)
  return { sent, answer }
}

/** How often the service has opened a transaction. */
function transactionsOf (service: TestService): () => number {
  const { inTenant } = service.deps.db
  let count = 0
  service.deps.db.inTenant = (tenantId, work) => { count++; return inTenant(tenantId, work) }
  return () => count
}

/** More than what lies in the sockets between two ends. */
const long = { rows: 12_000, padding: 4_000, pages: 12 }

t.test('a caller who takes nothing more holds no connection and stops the reading; who goes away ends it', async (t) => {
  const service = await testService(t)
  const { auditor } = await logOf(service, long.rows, long.padding)
  const opened = transactionsOf(service)
  const { sent, answer } = await beginning(service, auditor.token)
  let before = -1
  while (opened() !== before) { before = opened(); await pause(300) }
  t.ok(before < long.pages, `${before} transactions`)
  t.same(await asSuperuser(service, 'select 1 from pg_stat_activity where datname = current_database() and application_name = \'latchkey\' and state <> \'idle\''), [])
  answer.destroy()
  sent.destroy()
  await pause(300)
  t.equal(opened(), before, 'nothing more is read')
  t.notOk(service.logged().some((line) => line.includes('ended early')), 'that is no fault of ours')
  t.equal((await auditor.get('/v1/audit-events?limit=1')).status, 200)
})

t.test('a page that has to wait for the database does not break an export', async (t) => {
  const service = await testService(t)
  const { auditor } = await logOf(service, long.rows, long.padding)
  const { answer } = await beginning(service, auditor.token)
  let text = '{'
  await holding(service, 'lock table audit_seals in access exclusive mode', [], async ({ waiting, release }) => {
    answer.on('data', (chunk) => { text += String(chunk) })
    await waiting(1)
    await release()
  })
  await once(answer, 'end')
  t.equal(parsed(text).filter(({ details }) => details.row !== undefined).length, long.rows)
})

t.test('an export whose database is gone breaks off, and tells nothing of the inside', async (t) => {
  const service = await testService(t)
  const { auditor } = await logOf(service, long.rows, long.padding)
  const { answer } = await beginning(service, auditor.token)
  await asSuperuser(service, 'alter table audit_events rename column details to elsewhere')
  let text = ''
  answer.on('data', (chunk) => { text += String(chunk) })
  const [error] = await once(answer, 'error') as [Error & { code: string }]
  t.equal(error.code, 'ECONNRESET')
  t.notMatch(text, /elsewhere|column/)
  const lines = service.logged().filter((line) => line.includes('an export ended early'))
  t.equal(lines.length, 1)
  t.notMatch(service.logged().join(''), 'elsewhere')
})

t.test('stopping the service cuts an export that nobody takes', async (t) => {
  const service = await testService(t)
  const { auditor } = await logOf(service, long.rows, long.padding)
  const { answer } = await beginning(service, auditor.token)
  const startedAt = performance.now()
  await service.stop()
  t.ok(performance.now() - startedAt < 5_000)
  answer.resume()
  await t.resolves(once(answer, 'error'))
})

t.test('a caller who takes an export slowly gets all of it: no timeout of a request counts', { skip: process.env.LATCHKEY_LONG ? false : 'only with LATCHKEY_LONG=1' }, async (t) => {
  const service = await testService(t)
  const { auditor } = await logOf(service, long.rows, long.padding)
  const startedAt = performance.now()
  const { answer } = await beginning(service, auditor.token)
  let bytes = 1
  let last = ''
  for await (const chunk of answer) {
    bytes += (chunk as Buffer).length
    last = String(chunk)
    const due = startedAt + bytes / (long.rows * (long.padding + 300)) * 25_000
    if (due > performance.now()) await pause(due - performance.now())
  }
  t.ok(performance.now() - startedAt > 20_000, `${Math.round(performance.now() - startedAt)} ms`)
  t.match(last, /"audit\.exported".*\}\n$/)
})

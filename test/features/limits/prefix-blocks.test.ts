import { sql } from 'kysely'
import t from 'tap'
import { blockPrefix } from '../../../src/features/limits/prefix-blocks.ts'
import type { Actor } from '../../../src/platform/deps.ts'
import { auditOf, isRefused } from '../../support/answers.ts'
import { blockFor12Hours } from '../../support/limits.ts'
import { atOnce } from '../../support/replicas.ts'
import { moveClock, testService, type Answer } from '../../support/service.ts'
import { roles, scopes } from '../../../src/vocabulary.ts'

const service = await testService(t)
const blocks = '/v1/fraud/prefix-blocks'
const prefixesOf = ({ body }: Answer) => body.items.map(({ prefix }: { prefix: string }) => prefix)

async function withPia () {
  const tenant = await service.tenant()
  return { tenant, tenantId: await service.tenantIdOf(tenant), pia: await service.as({ tenant, subject: 'pia', roles: ['policyAdmin'] }) }
}

/** What the next send to a number of the prefix would be refused by. */
const faultOf = async (tenantId: string, prefix: string) => service.owner.inTenant(tenantId, async (tx) => {
  const { rows } = await sql<{ refused_by: string | null }>`select refused_by from prefix_fault(${prefix}, ${service.deps.keys.blindIndex(tenantId, 'prefix', prefix)}, 20)`.execute(tx.db)
  return rows[0]!.refused_by
})

/** Twenty sends to the prefix in this second, none of them verified. */
const sendTwenty = (tenantId: string, prefix: string) => service.owner.inTenant(tenantId, (tx) => sql`
  insert into prefix_sends (tenant_id, prefix_index, seconds, counts, recent, verified)
  values (${tenantId}, ${service.deps.keys.blindIndex(tenantId, 'prefix', prefix)}, array[ceil(extract(epoch from tenant_now()))::bigint], '{20}',
          array(select gen_random_uuid() from generate_series(1, 20)), array_fill(false, '{20}'))`.execute(tx.db))

t.test('the list holds the blocks in force in the order of their prefixes, page by page, and nobody else\'s', async (t) => {
  const { tenant, pia } = await withPia()
  t.strictSame((await pia.get(blocks)).body, { items: [] })
  for (const prefix of ['4420794', '1415555', '7', '1900234']) await blockFor12Hours(service, tenant, prefix)
  await blockFor12Hours(service, tenant, '1415556', 12)
  await blockFor12Hours(service, (await withPia()).tenant, '1415557')
  t.strictSame(prefixesOf(await pia.get(blocks)), ['1415555', '1900234', '4420794', '7'])
  const { blockedAt, blockedUntil } = (await pia.get(blocks)).body.items[0]
  t.equal(Date.parse(blockedUntil) - Date.parse(blockedAt), 12 * 3_600_000)

  const first = await pia.get(`${blocks}?limit=2`)
  await blockFor12Hours(service, tenant, '1')
  await blockFor12Hours(service, tenant, '3')
  const second = await pia.get(`${blocks}?limit=2&cursor=${first.body.nextCursor}`)
  const third = await pia.get(`${blocks}?limit=2&cursor=${second.body.nextCursor}`)
  t.strictSame([first, second, third].map(prefixesOf), [['1415555', '1900234'], ['3', '4420794'], ['7']])
  t.equal(third.body.nextCursor, undefined)
  isRefused(t, await (await withPia()).pia.get(`${blocks}?cursor=${first.body.nextCursor}`), 'invalid_cursor', {}, 'another tenant')
  isRefused(t, await pia.get(`${blocks}?cursor=1415555`), 'invalid_cursor', {}, 'made up')
  isRefused(t, await pia.get(`${blocks}?limit=0`), 'validation_failed', { parameter: 'limit' })
})

t.test('after twelve hours a block is over: not listed, and nothing to lift', async (t) => {
  const { tenant, pia } = await withPia()
  await blockFor12Hours(service, tenant, '1415555')
  await moveClock(pia, 12 * 3600 - 30)
  t.strictSame(prefixesOf(await pia.get(blocks)), ['1415555'])
  await moveClock(pia, 12 * 3600 + 5)
  t.strictSame(prefixesOf(await pia.get(blocks)), [])
  isRefused(t, await pia.delete(`${blocks}/1415555`), 'not_found')
})

t.test('a lifted block is gone, its count starts anew, and it is written down', async (t) => {
  const { tenant, tenantId, pia } = await withPia()
  await sendTwenty(tenantId, '1415555')
  await sendTwenty(tenantId, '1415556')
  t.equal(await faultOf(tenantId, '1415555'), 'prefixBreach', 'the count alone would block')
  await blockFor12Hours(service, tenant, '1415555')
  t.equal(await faultOf(tenantId, '1415555'), 'prefix')
  t.match(await pia.delete(`${blocks}/1415555`), { status: 204, text: '' })
  t.equal(await faultOf(tenantId, '1415555'), null, 'the next send goes out')
  t.equal(await faultOf(tenantId, '1415556'), 'prefixBreach', 'other prefixes count on')
  t.strictSame((await pia.get(blocks)).body.items, [])
  t.match(await auditOf(service, tenant, 'action=prefixBlock.lifted'), [{ userId: null, actor: { id: 'pia' }, details: { prefix: '1415555' } }])
  isRefused(t, await pia.delete(`${blocks}/1415555`), 'not_found', {}, 'a second time')
  t.equal((await auditOf(service, tenant, 'action=prefixBlock.lifted')).length, 1)
})

t.test('lifting what is not blocked leaves the count alone', async (t) => {
  const { tenantId, pia } = await withPia()
  await sendTwenty(tenantId, '1415555')
  isRefused(t, await pia.delete(`${blocks}/1415555`), 'not_found')
  t.equal(await faultOf(tenantId, '1415555'), 'prefixBreach')
})

t.test('a breach blocks for twelve hours and is written down once; another during the block prolongs it in silence', async (t) => {
  const { tenant, tenantId, pia } = await withPia()
  const payroll = { kind: 'app', subject: 'payroll', requestId: 'x' } as Actor
  const breach = () => service.deps.db.inTenant(tenantId, (tx) => blockPrefix(service.deps, tx, payroll, '1415555'))
  const block = async () => (await pia.get(blocks)).body.items[0] as { blockedAt: string, blockedUntil: string }
  const written = () => auditOf(service, tenant, 'action=prefix.blocked')

  await atOnce(20, breach)
  const begun = await block()
  t.equal((await written()).length, 1, 'of 20 at once one is written down')
  t.match(await written(), [{ actor: { kind: 'app', id: 'payroll' }, userId: null, details: { prefix: '1415555' } }])
  await moveClock(pia, 3600)
  await breach()
  const prolonged = await block()
  t.equal(prolonged.blockedAt, begun.blockedAt)
  t.ok(Date.parse(prolonged.blockedUntil) - Date.parse(begun.blockedUntil) >= 3_590_000)
  t.equal((await written()).length, 1)
  await moveClock(pia, 14 * 3600)
  await breach()
  t.equal((await written()).length, 2, 'the first was over: this is another')
  t.ok(Date.parse((await block()).blockedAt) - Date.parse(begun.blockedAt) >= 13 * 3_600_000)
})

t.test('only a policy administrator reads and lifts, with a fresh second factor, in their own tenant', async (t) => {
  const { tenant, pia } = await withPia()
  await blockFor12Hours(service, tenant, '1415555')
  for (const role of roles.filter((one) => one !== 'policyAdmin')) {
    const client = await service.as({ tenant, subject: `a-${role}`, roles: [role] })
    isRefused(t, await client.get(blocks), 'forbidden', { rule: 'role' }, role)
    isRefused(t, await client.delete(`${blocks}/1415555`), 'forbidden', { rule: 'role' }, role)
  }
  const app = await service.as({ tenant, subject: 'payroll', kind: 'app', scopes })
  isRefused(t, await app.get(blocks), 'forbidden', { rule: 'scope' })
  isRefused(t, await app.delete(`${blocks}/1415555`), 'forbidden', { rule: 'scope' })
  const stale = await service.as({ tenant, subject: 'pia', roles: ['policyAdmin'], authSecondsAgo: 605 })
  t.equal((await stale.get(blocks)).status, 200, 'reading asks for none')
  isRefused(t, await stale.delete(`${blocks}/1415555`), 'insufficient_user_authentication')
  isRefused(t, await (await withPia()).pia.delete(`${blocks}/1415555`), 'not_found', {}, 'another tenant')
  for (const prefix of ['14155550', 'x', '+141555', '1415%20', '١٢٣']) isRefused(t, await pia.delete(`${blocks}/${encodeURIComponent(prefix)}`), 'validation_failed', { parameter: 'prefix' }, prefix)
  t.strictSame(prefixesOf(await pia.get(blocks)), ['1415555'])
})

import t from 'tap'
import { eventOf } from '../../../src/features/audit/audit.ts'
import { insertEvent } from '../../../src/features/audit/queries.ts'
import { testService } from '../../support/service.ts'
import { asSuperuser } from '../../support/superuser.ts'
import { copyOf, foreignId, row, seal, tamperWith, withoutPairs } from '../../support/tampering.ts'

const service = await testService(t)
const rowsWritten = 12
const start = Date.now() + 60_000
const at = (minute: number) => new Date(start + minute * 60_000).toISOString()

/**
 * A log of 13 rows: number 1 is the creation of the tenant, number 2 is minute 1 of what followed, and so on.
 * `after` tampers with it, checks it, and puts everything back.
 */
async function sealedLog () {
  const [tenant, other] = [await service.tenant(), await service.tenant()]
  const [tenantId, otherId] = [await service.tenantIdOf(tenant), await service.tenantIdOf(other)]
  const auditor = await service.as({ tenant, subject: 'audrey', kind: 'app', scopes: ['audit:read'] })
  await service.deps.sealAudit(tenantId)
  await service.deps.db.inTenant(tenantId, async ({ db }) => {
    for (let minute = 1; minute <= rowsWritten; minute++) {
      await insertEvent(db, eventOf(service.deps, tenantId, new Date(at(minute)), { kind: 'person', subject: 'hans', requestId: `r-${minute}` }, { action: 'user.changed', userId: 'ann', details: { minute } }))
    }
  })
  await service.deps.sealAudit(tenantId)
  await service.deps.sealAudit(otherId)
  const check = async (range = '') => (await auditor.get(`/v1/audit-events/verification${range}`)).body
  const tamper = await tamperWith(service, { tenantId, otherId })
  const after = (statement: string, range = '') => tamper(statement, () => check(range))
  return { tenantId, check, after }
}

const intact = { intact: true, altered: [], missing: [], unsealed: [], waiting: 0, checkpoint: null }

t.test('an untouched log is intact, as a whole and in any part', async (t) => {
  const { check } = await sealedLog()
  t.same(await check(), { from: 1, to: 13, checked: 13, ...intact })
  t.same(await check(`?to=${at(3)}`), { from: 1, to: 3, checked: 3, ...intact }, 'up to a time')
  t.same(await check(`?from=${at(11)}`), { from: 12, to: 13, checked: 2, ...intact }, 'from a time')
  t.same(await check(`?from=${at(3)}&to=${at(6)}`), { from: 4, to: 6, checked: 3, ...intact }, 'between two')
  t.same(await check(`?from=${at(20)}&to=${at(30)}`), { from: null, to: null, checked: 0, ...intact }, 'a time of nothing')
})

t.test('an altered row is named, whichever column it is', async (t) => {
  const { after } = await sealedLog()
  const alterations: Record<string, string[]> = {
    at: ['at + interval \'1 ms\'', '\'infinity\'', '\'-infinity\'', '\'4713-01-01 BC\''],
    actor_kind: ['\'app\''], actor: ['\'petra\'', '\'\''], action: ['\'user.created\''], outcome: ['\'refused\''],
    user_id: ['\'bob\'', 'null', '\'\'', '\'-\''], request_id: ['\'r-8\'', 'null'], details: ['\'{}\'', 'details || \' \'', '\'not JSON\''],
    mac_key_version: ['1', '9', '-1'], row_mac: ['set_byte(row_mac, 0, get_byte(row_mac, 0) # 1)', '\'\'', '\'short\''],
  }
  const columns = await asSuperuser<{ name: string }>(service, 'select attname::text as name from pg_attribute where attrelid = \'audit_events\'::regclass and attnum > 0 and not attisdropped order by attnum')
  t.same(columns.map(({ name }) => name), ['tenant_id', 'id', ...Object.keys(alterations)], 'every column there is')
  for (const [column, values] of Object.entries(alterations)) {
    for (const value of values) t.match(await after(`update audit_events set ${column} = ${value} where ${row(7)}`), { ...intact, intact: false, altered: [7] }, `${column} = ${value}`)
  }
  t.match(await after(`update audit_events set id = gen_random_uuid() where ${row(7)}`), { intact: false, altered: [], missing: [7], unsealed: [/-/] }, 'id')
  t.match(await after(`update audit_events set tenant_id = :other where ${row(7)}`), { intact: false, altered: [], missing: [7] }, 'tenant_id')
})

t.test('an altered seal is named, whichever column it is, and it alone', async (t) => {
  const { after } = await sealedLog()
  const alterations: Record<string, string[]> = {
    mac_key_version: ['1', '9'], chain_mac: ['set_byte(chain_mac, 31, get_byte(chain_mac, 31) # 128)', '\'\''], sealed_at: ['sealed_at - interval \'1 ms\'', '\'infinity\''],
    event_at: ['event_at + interval \'1 ms\'', 'event_at - interval \'3 months\'', '\'infinity\''],
  }
  const columns = await asSuperuser<{ name: string }>(service, 'select attname::text as name from pg_attribute where attrelid = \'audit_seals\'::regclass and attnum > 0 and not attisdropped order by attnum')
  t.same(columns.map(({ name }) => name), ['tenant_id', 'sequence', 'event_id', ...Object.keys(alterations)], 'every column there is')
  for (const [column, values] of Object.entries(alterations)) {
    for (const value of values) t.match(await after(`update audit_seals set ${column} = ${value} where ${seal(7)}`), { ...intact, intact: false, altered: [7] }, `${column} = ${value}`)
  }
  t.match(await after(`update audit_seals set chain_mac = '\\x00' where tenant_id = :tenant and sequence in (6, 7, 8)`), { altered: [6, 7, 8], missing: [] }, 'three in a row')
  t.match(await after(`update audit_seals set event_id = gen_random_uuid() where ${seal(7)}`), { intact: false, missing: [7], unsealed: [/-/] }, 'event_id')
  t.match(await after(`update audit_seals set tenant_id = :other, sequence = 99 where ${seal(7)}`), { intact: false, missing: [7], unsealed: [/-/] }, 'tenant_id')
  for (const number of ['14', '20', '0', '-7']) t.match(await after(`update audit_seals set sequence = ${number} where ${seal(7)}`), { intact: false, missing: [7] }, `sequence = ${number}`)
  const far = await after(`update audit_seals set sequence = 9000000000000000000 where ${seal(7)}`)
  t.match(far, { intact: false }, 'a number out of reach is answered all the same')
  t.equal(far.missing.length, 100)
  t.match(await after('update audit_events set details = \'{"minute":8}\' where ' + row(7) + `; update audit_seals set chain_mac = '\\x00' where ${seal(9)}`), { altered: [7, 9], missing: [] }, 'two faults are two')
})

t.test('what was deleted is named: rows, seals, and both', async (t) => {
  const { after } = await sealedLog()
  t.match(await after(`delete from audit_events where ${row(7)}`), { ...intact, intact: false, missing: [7] }, 'a row')
  t.match(await after(`delete from audit_events where ${row(13)}`), { ...intact, intact: false, missing: [13] }, 'the last row')
  t.match(await after(`delete from audit_seals where ${seal(7)}`), { intact: false, altered: [], missing: [7], unsealed: [/-/] }, 'a seal')
  t.match(await after(`delete from audit_seals where ${seal(13)}`), { intact: false, altered: [], unsealed: [/-/] }, 'the last seal')
  t.match(await after(withoutPairs('7')), { ...intact, intact: false, missing: [7] }, 'a pair')
  t.match(await after(withoutPairs('5, 6, 9')), { ...intact, intact: false, missing: [5, 6, 9] }, 'pairs')
  t.match(await after(withoutPairs('1, 2, 3')), { ...intact, intact: false, missing: [1, 2, 3] }, 'the beginning')
  t.match(await after('delete from audit_events where tenant_id = :tenant; delete from audit_seals where tenant_id = :tenant'), { ...intact, intact: false, missing: [1], checked: 0 }, 'everything')
  t.match(await after('delete from audit_seals where tenant_id = :tenant'), { intact: false, unsealed: { length: 13 } }, 'all seals')
  t.match(await after('delete from audit_events where tenant_id = :tenant'), { intact: false, missing: { length: 13 } }, 'all rows')
})

t.test('what was put in or moved is named', async (t) => {
  const { after } = await sealedLog()
  t.match(await after(copyOf(7)), { intact: false, altered: [], missing: [], unsealed: [foreignId] }, 'a row')
  t.match(await after(`${copyOf(7)}; insert into audit_unsealed values (:tenant, '00000000-0000-7000-8000-000000000000')`), { intact: false, altered: [14], to: 14 }, 'a row queued for its number')
  t.match(await after(`${copyOf(7)}; insert into audit_seals select tenant_id, 14, '00000000-0000-7000-8000-000000000000', mac_key_version, chain_mac, sealed_at from audit_seals where ${seal(13)}`), { intact: false, altered: [14] }, 'a row with a seal')
  t.match(await after(`update audit_events set tenant_id = :tenant where tenant_id = :other`), { intact: false, unsealed: { length: 1 } }, 'a row of another tenant')

  const swap = (table: string, columns: string) => `create table latchkey_internal.a as select * from ${table === 'audit_seals' ? `audit_seals where ${seal(5)}` : `audit_events where ${row(5)}`};
    create table latchkey_internal.b as select * from ${table === 'audit_seals' ? `audit_seals where ${seal(9)}` : `audit_events where ${row(9)}`};
    delete from audit_seals where '${table}' = 'audit_seals' and tenant_id = :tenant and sequence in (5, 9);
    delete from audit_events where '${table}' = 'audit_events' and (${row(5)} or ${row(9)});
    insert into ${table} select ${columns.replaceAll('x.', 'b.').replaceAll('own.', 'a.')} from latchkey_internal.a, latchkey_internal.b;
    insert into ${table} select ${columns.replaceAll('x.', 'a.').replaceAll('own.', 'b.')} from latchkey_internal.a, latchkey_internal.b;
    drop table latchkey_internal.a, latchkey_internal.b`
  const swapped = { ...intact, intact: false, altered: [5, 9] }
  t.match(await after(swap('audit_seals', 'own.tenant_id, own.sequence, x.event_id, own.mac_key_version, own.chain_mac, own.sealed_at')), swapped, 'two rows change places')
  t.match(await after(swap('audit_seals', 'own.tenant_id, own.sequence, x.event_id, x.mac_key_version, x.chain_mac, x.sealed_at')), { ...swapped, altered: [5, 6, 9, 10] }, 'two rows with their seals, and so what followed them')
  t.match(await after(swap('audit_events', 'own.tenant_id, own.id, x.at, x.actor_kind, x.actor, x.action, x.outcome, x.user_id, x.request_id, x.details, x.mac_key_version, x.row_mac')), swapped, 'what two rows say')
  t.match(await after(`update audit_seals set sequence = sequence + 1000 where tenant_id = :tenant and sequence >= 7; update audit_seals set sequence = sequence - 1001 where tenant_id = :tenant and sequence >= 1008; delete from audit_seals where tenant_id = :tenant and sequence = 1007; delete from audit_events where tenant_id = :tenant and details = '{"minute":6}'`),
    { intact: false, altered: [7, 8, 9, 10, 11, 12] }, 'a pair is cut out and the gap closed')
})

t.test('a part of the log answers for its own time', async (t) => {
  const { after } = await sealedLog()
  const alter = (number: number) => `update audit_events set actor = 'x' where ${row(number)}`
  const range = `?from=${at(5)}&to=${at(8)}` // numbers 6, 7, 8
  for (const inside of [6, 7, 8]) t.match(await after(alter(inside), range), { intact: false, altered: [inside] }, `row ${inside}`)
  for (const outside of [2, 5, 9, 13]) t.match(await after(alter(outside), range), intact, `row ${outside}`)
  const pair = (number: number) => withoutPairs(String(number))
  for (const inside of [6, 7, 8]) t.match(await after(pair(inside), range), { from: 6, to: 8, intact: false, missing: [inside] }, `pair ${inside}, though nothing tells its time any more`)
  for (const outside of [4, 10]) t.match(await after(pair(outside), range), { from: 6, to: 8, ...intact }, `pair ${outside}`)
  t.match(await after(withoutPairs('6, 7, 8'), range), { from: 6, to: 8, checked: 0, intact: false, missing: [6, 7, 8] }, 'all of them')
  t.match(await after(`delete from audit_events where ${row(6)}`, range), { intact: false, missing: [6] }, 'the first row, its seal is there')
  t.match(await after(pair(5) + ';' + pair(9), range), { from: 5, to: 9, intact: false, missing: [5, 9] }, 'pairs at its edges, which may have been inside')
  t.match(await after(`update audit_seals set chain_mac = '\\x00' where ${seal(5)}`, range), { intact: false, altered: [6] }, 'a part begins where the seal before it ends')
})

t.test('no more than 100 of a kind are named, and a row that waits for its number is no fault', async (t) => {
  const { tenantId, check } = await sealedLog()
  await service.deps.db.inTenant(tenantId, async ({ db }) => {
    for (let row = 0; row < 150; row++) await insertEvent(db, eventOf(service.deps, tenantId, new Date(), { kind: 'system', subject: 'x', requestId: null }, { action: 'x' }))
  })
  t.match(await check(), { to: 163, ...intact })
  await asSuperuser(service, 'update audit_events set actor = \'y\' where action = \'x\'')
  const report = await check()
  t.equal(report.altered.length, 100)
  t.match(report, { checked: 163, intact: false })
})

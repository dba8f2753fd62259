import { randomBytes, randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { Client } from 'pg'
import t from 'tap'
import { knownMigrations } from '../../../src/platform/db/migrate.ts'
import { asOwner, emptyDatabase } from '../../support/cluster.ts'

const months = '0011_retention'

t.test('rows of before move into their months, moved by an owner who is no superuser and is under the policies', async (t) => {
  const { ownerUrl, name, drop } = await emptyDatabase()
  const role = `plain_${randomBytes(4).toString('hex')}`
  await asOwner(ownerUrl, (client) => client.query(`create role ${role} login password 'plain'; alter database ${name} owner to ${role}`))
  const url = new URL(ownerUrl)
  url.username = role
  url.password = 'plain'
  const owner = new Client({ connectionString: url.href })
  await owner.connect()
  t.teardown(async () => {
    await owner.end()
    const server = new URL(ownerUrl)
    server.pathname = '/postgres'
    await drop()
    await asOwner(server.href, (client) => client.query(`drop role ${role}`))
  })

  const all = await knownMigrations()
  const run = async (names: string[]) => { for (const one of names) await owner.query(await readFile(new URL(`../../../migrations/${one}.sql`, import.meta.url), 'utf8')) }
  await run(all.slice(0, all.indexOf(months)))
  const tenants = [randomUUID(), randomUUID()]
  const ages = { now: 'now()', long: 'now() - interval \'3 months\'', ahead: 'now() + interval \'1 year\'' }
  for (const tenant of tenants) {
    await owner.query('select set_config(\'latchkey.tenant\', $1, false)', [tenant])
    await owner.query('insert into tenants (tenant_id, slug, sandbox) values ($1, $2, true)', [tenant, `t-${tenant.slice(0, 8)}`])
    for (const [index, at] of Object.values(ages).entries()) {
      await owner.query(`with event as (
          insert into audit_events (tenant_id, id, at, actor_kind, actor, action, outcome, mac_key_version, row_mac) values ($1, gen_random_uuid(), ${at}, 'system', 'x', 'x', 'done', 1, 'x') returning id)
        insert into audit_seals (tenant_id, sequence, event_id, mac_key_version, chain_mac) select $1, $2::int, id, 1, 'x' from event`, [tenant, index + 1])
    }
    await owner.query('insert into audit_seals (tenant_id, sequence, event_id, mac_key_version, chain_mac) values ($1, 9, gen_random_uuid(), 1, \'x\')', [tenant])
  }
  await owner.query('select set_config(\'latchkey.tenant\', \'\', false)')
  await run(all.slice(all.indexOf(months)))

  await asOwner(ownerUrl, async (superuser) => {
    const { rows: places } = await superuser.query<{ place: string, count: number }>('select tableoid::regclass::text as place, count(*)::int from audit_events group by 1 order by max(at)')
    t.match(places, [{ place: /audit_events_\d{4}_\d\d$/, count: 2 }, { place: /audit_events_\d{4}_\d\d$/, count: 2 }, { place: /audit_events_default$/, count: 2 }])
    t.same((await superuser.query('select count(*)::int, bool_and(s.event_at = e.at) as same from audit_seals s join audit_events e on e.tenant_id = s.tenant_id and e.id = s.event_id')).rows, [{ count: 6, same: true }])
    t.same((await superuser.query('select event_at = sealed_at as its_own from audit_seals where sequence = 9')).rows, [{ its_own: true }, { its_own: true }], 'a seal whose row is gone keeps its own time')
  })
  t.same((await owner.query('select count(*)::int from audit_events')).rows, [{ count: 0 }], 'the owner sees nothing without a tenant')
  t.same((await owner.query('select relname from pg_class where (relispartition or relname like \'audit%\') and relkind in (\'r\', \'p\') and not relforcerowsecurity')).rows, [])
})

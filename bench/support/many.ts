import pg from 'pg'
import { keysOf, parseKeyRing } from '../../src/platform/keys.ts'
import { insertUsers, userIdOf, type BenchDatabase } from './database.ts'

const chunk = 100_000

/** Every user of the bench has verified a code before, which leaves a row of counts. */
export async function seedCounts ({ ownerUrl }: BenchDatabase): Promise<void> {
  const client = new pg.Client({ connectionString: ownerUrl })
  await client.connect()
  await client.query('insert into code_failures (tenant_id, user_id) select tenant_id, user_id from users on conflict do nothing')
  await client.query('vacuum (analyze) code_failures')
  await client.end()
}

/**
 * So many users with two methods each, as the owner of the tables and without looking up foreign keys. Every `every`th
 * is one whose values the service can open, written among the others as they would be; the rest are never asked for.
 * Gives the users that can be asked for.
 */
export async function seedMany (database: BenchDatabase, users: number, every: number): Promise<string[]> {
  const keys = keysOf(parseKeyRing(database.keyRingText))
  const client = new pg.Client({ connectionString: database.ownerUrl })
  await client.connect()
  await client.query('set session_replication_role = replica')
  const askable: string[] = []
  for (let start = 0; start < users; start += chunk) {
    const end = Math.min(start + chunk, users)
    await client.query(`
      insert into users (tenant_id, user_id, first_registered_at, created_at, updated_at)
      select $1, 'user-' || i, now(), now(), now() from generate_series($2::int, $3::int - 1) i where i % $4::int <> 0`, [database.tenantId, start, end, every])
    await client.query(`
      insert into contact_methods (tenant_id, id, user_id, kind, status, value, value_index, destination_index, country, line_type, is_default, default_channel, added_by, added_by_id, created_at, verified_at, updated_at)
      select $1, gen_random_uuid(), 'user-' || i, k, 'active', substr(d, 1, 32) || substr(d, 1, 10), '\\x0001' || d, '\\x0001' || d, 'US', 'mobileOrLandline', k = 'mobilePhone', case when k = 'mobilePhone' then 'sms' end, 'self', 'bench', now(), now(), now()
        from generate_series($2::int, $3::int - 1) i cross join unnest(array['mobilePhone', 'alternateEmail']) k cross join lateral (select sha256(convert_to(k || i, 'UTF8')) as d) as digest
       where i % $4::int <> 0`, [database.tenantId, start, end, every])
    const own = Array.from({ length: end - start }, (_none, offset) => start + offset).filter((index) => index % every === 0)
    await insertUsers(client, keys, database.tenantId, own)
    askable.push(...own.map(userIdOf))
    process.stdout.write(`\r${(end * 2).toLocaleString('en')} methods`)
  }
  process.stdout.write('\n')
  await client.query('vacuum (analyze)')
  await client.query('checkpoint')
  await client.end()
  return askable
}

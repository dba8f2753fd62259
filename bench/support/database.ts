import { chmodSync, mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { sealValue } from '../../src/features/contact-methods/value.ts'
import { createTenant } from '../../src/features/organization/create-tenant.ts'
import { startEmbeddedPostgres, stopEmbeddedPostgres } from '../../src/platform/db/embedded/index.ts'
import { openDb } from '../../src/platform/db/index.ts'
import { migrate } from '../../src/platform/db/migrate.ts'
import { loginUrl } from '../../src/platform/db/roles.ts'
import { keysOf, newKeyRingText, parseKeyRing, type Keys } from '../../src/platform/keys.ts'
import { systemRandom } from '../../src/platform/random.ts'

export interface BenchDatabase { postmasterPid: number, ownerUrl: string, serviceUrl: string, keyRingText: string, tenantId: string, close: () => Promise<void> }

export const tenantSlug = 'bench'
export const userIdOf = (index: number) => `user-${index}`

/** A migrated database of its own with a tenant `bench`. */
export async function startBenchDatabase (): Promise<BenchDatabase> {
  const directory = mkdtempSync(join(tmpdir(), 'latchkey-bench-'))
  chmodSync(directory, 0o711)
  const log = () => undefined
  const server = await startEmbeddedPostgres({ directory: join(directory, 'postgres'), log, supervise: false })
  const keyRingText = newKeyRingText()
  const keyRing = parseKeyRing(keyRingText)
  await migrate({ ownerUrl: server.url, keyRing, log })
  const owner = openDb({ url: server.url, applicationName: 'bench', connectionsMax: 2, onError: () => undefined })
  await createTenant(owner, { keys: keysOf(keyRing), random: systemRandom }, { slug: tenantSlug, country: 'US', name: 'Bench Ltd', sandbox: true }, { kind: 'operator', subject: 'bench' })
  const tenantId = (await owner.tenantBySlug(tenantSlug))!.tenant_id
  await owner.close()
  const postmasterPid = Number.parseInt(readFileSync(join(realpathSync(join(directory, 'postgres')), 'data/postmaster.pid'), 'utf8'), 10)
  return {
    postmasterPid, ownerUrl: server.url, serviceUrl: loginUrl(server.url, keyRing, 'service'), keyRingText, tenantId,
    async close () {
      await stopEmbeddedPostgres({ directory: join(directory, 'postgres'), log })
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

const chunk = 5_000

/** Users with two active methods each, a phone and an e-mail, sealed as the service seals them. */
export async function seedUsers ({ ownerUrl, keyRingText, tenantId }: BenchDatabase, count: number, numberOf = numberOfUser): Promise<void> {
  const keys = keysOf(parseKeyRing(keyRingText))
  const client = new pg.Client({ connectionString: ownerUrl })
  await client.connect()
  for (let start = 0; start < count; start += chunk) {
    await insertUsers(client, keys, tenantId, Array.from({ length: Math.min(chunk, count - start) }, (_, offset) => start + offset), numberOf)
  }
  await client.query('vacuum (analyze)')
  await client.query('checkpoint')
  await client.end()
}

const numberOfUser = (index: number) => `+1415${String(2_000_000 + index)}`

/** The same for single users, by their index. */
export async function insertUsers (client: pg.Client, keys: Keys, tenantId: string, indexes: readonly number[], numberOf = numberOfUser): Promise<void> {
  await client.query(`insert into users (tenant_id, user_id, first_registered_at, created_at, updated_at)
                      select $1, u, now(), now(), now() from unnest($2::text[]) u`, [tenantId, indexes.map(userIdOf)])
  const rows = indexes.flatMap((index) => {
    const userId = userIdOf(index)
    return ([
      ['mobilePhone', { text: numberOf(index), extension: null, country: 'US', lineType: 'mobileOrLandline' }],
      ['alternateEmail', { text: `${userId}@example.org`, extension: null, country: null, lineType: null }],
    ] as const).map(([kind, value]) => {
      const id = systemRandom.uuid()
      return { id, userId, kind, value, sealed: sealValue(keys, tenantId, userId, id, kind, value) }
    })
  })
  await client.query(`
    insert into contact_methods (tenant_id, id, user_id, kind, status, value, value_index, destination_index, country, line_type, is_default, default_channel, added_by, added_by_id, created_at, verified_at, updated_at)
    select $1, i, u, k, 'active', v, vi, di, c, l, k = 'mobilePhone', case when k = 'mobilePhone' then 'sms' end, 'self', 'bench', now(), now(), now()
      from unnest($2::uuid[], $3::text[], $4::text[], $5::bytea[], $6::bytea[], $7::bytea[], $8::text[], $9::text[]) as s (i, u, k, v, vi, di, c, l)`,
  [tenantId, rows.map((row) => row.id), rows.map((row) => row.userId), rows.map((row) => row.kind), rows.map((row) => row.sealed.value), rows.map((row) => row.sealed.value_index),
    rows.map((row) => row.sealed.destination_index), rows.map((row) => row.value.country), rows.map((row) => row.value.lineType)])
}

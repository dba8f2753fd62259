import { readdir, readFile } from 'node:fs/promises'
import { Kysely, PostgresDialect, sql } from 'kysely'
import { Migrator, type Migration } from 'kysely/migration'
import pg from 'pg'
import type { KeyRing } from '../keys.ts'
import { ensureRoles, serviceGroup, workerGroup } from './roles.ts'

const migrationsFolder = new URL('../../../migrations/', import.meta.url)
const migrationsSchema = 'latchkey_internal'
const oldestServerVersion = 150_000

/** The names of all migrations this version of the service knows, in order. */
export async function knownMigrations (): Promise<string[]> {
  return (await readdir(migrationsFolder)).filter((file) => /^\d{4}_\w+\.sql$/.test(file)).map((file) => file.slice(0, -4)).toSorted()
}

export interface MigrateOptions { ownerUrl: string, keyRing: KeyRing, log: (message: string) => void }

/**
 * Brings the database to this version: makes the login roles, then runs the pending files of `migrations/`, forward
 * only. Several processes may call it at once: one migrates, the others wait and find nothing to do.
 */
export async function migrate ({ ownerUrl, keyRing, log }: MigrateOptions): Promise<void> {
  const client = new pg.Client({ connectionString: ownerUrl, application_name: 'latchkey-migrate' })
  await client.connect()
  try {
    const { rows } = await client.query<{ version: number, text: string }>(
      'select current_setting(\'server_version_num\')::int as version, current_setting(\'server_version\') as text')
    if (rows[0]!.version < oldestServerVersion) throw new Error(`PostgreSQL 15 or newer is needed; this server is ${rows[0]!.text}`)
    await ensureRoles(client, ownerUrl, keyRing)
  } finally {
    await client.end()
  }

  const pool = new pg.Pool({ connectionString: ownerUrl, application_name: 'latchkey-migrate', max: 2 })
  pool.on('error', () => { /* A server that stops right after us may be faster than our goodbye. */ })
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) })
  try {
    const migrator = new Migrator({ db, provider: { getMigrations: readMigrations }, migrationTableSchema: migrationsSchema })
    const { error, results = [] } = await migrator.migrateToLatest()
    for (const { migrationName, status } of results) log(`migration ${migrationName}: ${status.toLowerCase()}`)
    if (error) throw error
    await sql.raw(`grant usage on schema ${migrationsSchema} to ${serviceGroup}, ${workerGroup};
                   grant select on ${migrationsSchema}.kysely_migration to ${serviceGroup}, ${workerGroup}`).execute(db)
  } finally {
    await db.destroy()
  }
}

/** The migrations that this version knows and the database has not run. Readable by the service's own role. */
export async function pendingMigrations (client: pg.Client): Promise<string[]> {
  const { rows: [table] } = await client.query<{ present: boolean }>(`select to_regclass('${migrationsSchema}.kysely_migration') is not null as present`)
  if (!table?.present) return knownMigrations()
  const { rows } = await client.query<{ name: string }>(`select name from ${migrationsSchema}.kysely_migration`)
  const done = new Set(rows.map((row) => row.name))
  return (await knownMigrations()).filter((name) => !done.has(name))
}

async function readMigrations (): Promise<Record<string, Migration>> {
  const migrations: Record<string, Migration> = {}
  for (const name of await knownMigrations()) {
    const text = await readFile(new URL(`${name}.sql`, migrationsFolder), 'utf8')
    migrations[name] = { up: async (db) => { await sql.raw(text).execute(db) } }
  }
  return migrations
}

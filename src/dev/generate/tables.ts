import { randomBytes } from 'node:crypto'
import { chmod, mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Kysely, PostgresDialect } from 'kysely'
import { generate, getDialect } from 'kysely-codegen'
import pg from 'pg'
import { startEmbeddedPostgres } from '../../platform/db/embedded/index.ts'
import { migrate } from '../../platform/db/migrate.ts'
import { loginRoleOf } from '../../platform/db/roles.ts'
import { newKeyRingText, parseKeyRing } from '../../platform/keys.ts'

/** The types of all tables, as the migrations make them in a database of their own. */
export const tablesText = (serverUrl: string | null): Promise<string> =>
  serverUrl === null ? onOwnServer(typesAfterMigrating) : onServer(serverUrl)

/** The types of the tables of a migrated database. */
export async function typesOf (ownerUrl: string): Promise<string> {
  const pool = new pg.Pool({ connectionString: ownerUrl, max: 1 })
  pool.on('error', () => undefined) // the server may go while a connection is being closed
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) })
  try {
    return await generate({ db, dialect: getDialect('postgres'), defaultSchemas: ['public'], includePattern: 'public.*', outFile: null })
  } finally {
    await db.destroy()
  }
}

async function typesAfterMigrating (ownerUrl: string): Promise<string> {
  await migrate({ ownerUrl, keyRing: parseKeyRing(newKeyRingText()), log: () => undefined })
  return typesOf(ownerUrl)
}

async function onOwnServer (work: (ownerUrl: string) => Promise<string>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'latchkey-generate-'))
  await chmod(folder, 0o711) // the server may run as another user, who has to get through
  const directory = join(folder, 'postgres')
  const remove = (path: string) => rm(path, { recursive: true, force: true, maxRetries: 3 })
  try {
    const server = await startEmbeddedPostgres({ directory, log: () => undefined, supervise: false })
    try {
      return await work(server.url)
    } finally {
      await server.stop()
      await remove(await realpath(directory)) // behind a link, where the folder is closed to the server's user
    }
  } finally {
    await remove(folder)
  }
}

/** A database of its own on the server, gone with its login roles when this ends. */
async function onServer (serverUrl: string): Promise<string> {
  const name = `latchkey_generate_${randomBytes(6).toString('hex')}`
  const url = new URL(serverUrl)
  url.pathname = `/${name}`
  const client = new pg.Client({ connectionString: serverUrl })
  await client.connect()
  try {
    await client.query(`create database ${name} template template0`)
    return await typesAfterMigrating(url.href)
  } finally {
    await client.query(`drop database if exists ${name} with (force)`)
    for (const kind of ['service', 'worker'] as const) await client.query(`drop role if exists ${loginRoleOf(name, kind)}`)
    await client.end()
  }
}

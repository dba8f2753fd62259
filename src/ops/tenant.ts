import pg from 'pg'
import { ConfigurationError } from '../config.ts'
import { keyRingOf, openOwned } from '../database.ts'
import { createTenant } from '../features/organization/create-tenant.ts'
import { openDb } from '../platform/db/index.ts'
import { pendingMigrations } from '../platform/db/migrate.ts'
import { keysOf } from '../platform/keys.ts'
import { systemRandom } from '../platform/random.ts'
import type { Command } from './command.ts'

export const tenantCreate: Command = {
  words: 'tenant create',
  parameters: ['slug'],
  options: { country: { type: 'string' }, name: { type: 'string' }, sandbox: { type: 'boolean' } },
  usage: 'tenant create <slug> --country <cc> --name <name> [--sandbox]',
  does: 'Makes a tenant; one that is there stays as it is (exit code 1). Needs DATABASE_URL (the owner) and KEY_RING.',
  async run ({ config, words: [slug], options, say, remark }) {
    const { country, name, sandbox = false } = options as { country?: string, name?: string, sandbox?: boolean }
    if (country === undefined || name === undefined) throw new ConfigurationError('A tenant needs --country <cc> and --name <name>.')
    if (!/^\P{Cc}{1,200}$/u.test(name)) throw new ConfigurationError('A name has 1 to 200 characters, and no control characters.')
    if (sandbox && !config.sandboxAllowed) throw new ConfigurationError('The service would not start in production with a sandbox tenant. Set SANDBOX=allowed if this is a staging server.')
    const keyRing = await keyRingOf(config)
    const { ownerUrl, close } = await openOwned(config, remark)
    const db = openDb({ url: ownerUrl, applicationName: 'latchkey-ops', connectionsMax: 1, onError: () => undefined })
    try {
      await refusePending(ownerUrl)
      const made = await createTenant(db, { keys: keysOf(keyRing), random: systemRandom }, { slug: slug!, country, name, sandbox }, { kind: 'operator', subject: 'ops' })
      say(made ? `The tenant ${slug} is made.` : `The tenant ${slug} is there already. Nothing was changed.`)
      return made ? 0 : 1
    } finally {
      await db.close()
      await close()
    }
  },
}

/** Stops where the database is older than this version. */
export async function refusePending (ownerUrl: string): Promise<void> {
  const client = new pg.Client({ connectionString: ownerUrl, application_name: 'latchkey-ops', connectionTimeoutMillis: 5_000 })
  await client.connect()
  try {
    const pending = await pendingMigrations(client)
    if (pending.length > 0) throw new ConfigurationError(`Migrations are pending: ${pending.join(', ')}. Run \`npm run migrate\` first.`)
  } finally {
    await client.end()
  }
}

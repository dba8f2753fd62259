import { keyRingOf, openOwned } from '../database.ts'
import { migrate } from '../platform/db/migrate.ts'
import type { Command } from './command.ts'

export const migrateDatabase: Command = {
  words: 'migrate',
  usage: 'migrate',
  does: 'Makes the login roles and brings the database to this version. Safe to run twice. Needs DATABASE_URL (the owner) and KEY_RING.',
  async run ({ config, say, remark }) {
    const keyRing = await keyRingOf(config)
    const { ownerUrl, close } = await openOwned(config, remark)
    try {
      await migrate({ ownerUrl, keyRing, log: say })
      say('The database is up to date.')
      return 0
    } finally {
      await close()
    }
  },
}

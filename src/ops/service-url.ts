import { ConfigurationError } from '../config.ts'
import { keyRingOf } from '../database.ts'
import { loginUrl } from '../platform/db/roles.ts'
import type { Command } from './command.ts'

export const serviceUrl: Command = {
  words: 'service-url',
  usage: 'service-url',
  does: 'Prints the login addresses of the service and of its workers, WITH THEIR PASSWORDS. Needs DATABASE_URL (any login of that database) and KEY_RING.',
  async run ({ config, say, remark }) {
    if (config.ownerUrl === null) throw new ConfigurationError('Set DATABASE_URL: the addresses are made from its host and database.')
    const keyRing = await keyRingOf(config)
    remark('Secret: the addresses hold passwords, which are derived from KEY_RING. The first is SERVICE_DATABASE_URL; the second is the workers\' login, which the service finds by itself.')
    say(loginUrl(config.ownerUrl, keyRing, 'service'))
    say(loginUrl(config.ownerUrl, keyRing, 'worker'))
    return 0
  },
}

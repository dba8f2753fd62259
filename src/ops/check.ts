import { developmentSettings, type Config } from '../config.ts'
import { keyRingOf, openOwned, sandboxFaults } from '../database.ts'
import { loginUrl, workerUrlFrom, type LoginKind } from '../platform/db/roles.ts'
import { databaseChecks } from '../platform/db/safety.ts'
import { keysOf, type KeyRing } from '../platform/keys.ts'
import { reasonOf } from '../platform/log.ts'
import { checkKeys } from './check-keys.ts'
import type { Command } from './command.ts'

/** What one check found: `faults` is empty if all is well, and then `found` says what was looked at. */
interface Finding { name: string, faults: string[], found: string }

export const check: Command = {
  words: 'check',
  usage: 'check',
  does: 'Looks at configuration, roles, row-level security, migrations, durability and keys; one line each, exit code 1 if one fails. Changes nothing. Needs what the service needs.',
  async run ({ config, say, remark }) {
    let failed = false
    for await (const { name, faults, found } of findings(config, remark)) {
      failed ||= faults.length > 0
      say(faults.length > 0 ? `FAIL  ${name}: ${faults.join('; ')}` : `ok    ${name}: ${found}`)
    }
    return failed ? 1 : 0
  },
}

/** In the order in which a start would meet them. What cannot be looked at, because an earlier check failed, is left out. */
async function * findings (config: Config, remark: (line: string) => void): AsyncGenerator<Finding> {
  yield { name: 'configuration', faults: config.production ? developmentSettings(config) : [], found: config.production ? 'production' : 'development' }
  let keyRing: KeyRing
  try {
    keyRing = await keyRingOf(config)
  } catch (error) {
    yield { name: 'key ring', faults: [reasonOf(error)], found: '' }
    return
  }
  yield { name: 'key ring', faults: [], found: `versions ${[...keyRing.secrets.keys()].join(', ')}; new data is sealed under ${keyRing.newest}` }
  if (config.serviceUrl !== null) yield * ofDatabase(config, config.serviceUrl, keyRing)
  else if (!config.production) {
    const { ownerUrl, close } = await openOwned(config, remark)
    try {
      yield * ofDatabase(config, loginUrl(ownerUrl, keyRing, 'service'), keyRing)
    } finally {
      await close()
    }
  }
}

async function * ofDatabase (config: Config, serviceUrl: string, keyRing: KeyRing): AsyncGenerator<Finding> {
  const service = await ofLogin(serviceUrl, 'service')
  yield * service
  if (!isRight(service)) return
  const workerUrl = workerUrlFrom(serviceUrl, keyRing)
  const workers = await ofLogin(workerUrl, 'worker')
  yield * workers
  if (!isRight(workers)) return
  yield { name: 'sandbox', faults: await sandboxFaults(config, workerUrl), found: config.sandboxAllowed ? 'allowed' : 'no sandbox tenants' }
  yield { name: 'keys', ...await checkKeys(serviceUrl, workerUrl, keysOf(keyRing)) }
}

const isRight = (list: Finding[]) => list.every(({ faults }) => faults.length === 0)

const wellWords = { role: 'owns nothing and cannot bypass row-level security', 'row-level security': 'forced on every table', migrations: 'none pending', durability: 'synchronous_commit and fsync are on' }

async function ofLogin (url: string, kind: LoginKind): Promise<Finding[]> {
  try {
    const checks = await databaseChecks(url, kind)
    return checks.map(({ name, faults }) => ({ name: `${kind}, ${name}`, faults, found: wellWords[name] }))
  } catch (error) {
    return [{ name: `${kind}, login`, faults: [`${reasonOf(error)} (does KEY_RING belong to this database, and has \`npm run migrate\` run?)`], found: '' }]
  }
}

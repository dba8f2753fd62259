import type { Test } from 'tap'
import { createTenant } from '../../src/features/organization/create-tenant.ts'
import { openDb } from '../../src/platform/db/index.ts'
import { migrate } from '../../src/platform/db/migrate.ts'
import { loginRoleOf, loginUrl } from '../../src/platform/db/roles.ts'
import { keysOf, parseKeyRing } from '../../src/platform/keys.ts'
import { systemRandom } from '../../src/platform/random.ts'
import { asOwner, emptyDatabase } from './cluster.ts'
import { testKeyRingText } from './keys.ts'
import type { Environment } from './process.ts'
import { startTestIssuer, type TestIssuer } from './tokens.ts'

export const ring = parseKeyRing(testKeyRingText)

export interface OwnDatabase { name: string, ownerUrl: string, serviceUrl: string, sql: (text: string) => Promise<unknown> }

/** An empty database, removed at the end together with the login roles that a migration made for it. */
export async function ownDatabase (t: Test): Promise<OwnDatabase> {
  const { name, ownerUrl, drop } = await emptyDatabase()
  const sql = (text: string) => asOwner(ownerUrl, (client) => client.query(text))
  const server = new URL(ownerUrl)
  server.pathname = '/postgres'
  t.teardown(async () => {
    await drop()
    await asOwner(server.href, (client) => client.query(`drop role if exists ${loginRoleOf(name, 'service')}, ${loginRoleOf(name, 'worker')}`))
  })
  return { name, ownerUrl, serviceUrl: loginUrl(ownerUrl, ring, 'service'), sql }
}

export const migrateAs = (ownerUrl: string) => migrate({ ownerUrl, keyRing: ring, log: () => undefined })

export async function makeTenant (ownerUrl: string, slug: string, sandbox = false): Promise<void> {
  const db = openDb({ url: ownerUrl, applicationName: 'latchkey-test', connectionsMax: 1, onError: () => undefined })
  try {
    await createTenant(db, { keys: keysOf(ring), random: systemRandom }, { slug, country: 'US', name: 'Acme Ltd', sandbox }, { kind: 'operator', subject: 'test' })
  } finally {
    await db.close()
  }
}

/** An issuer that production accepts: its name is https, its keys are on this machine. */
export async function productionIssuer (t: Test): Promise<{ issuer: TestIssuer, setting: string }> {
  const issuer = await startTestIssuer('https://id.example.com')
  t.teardown(issuer.close)
  const { jwksUri, audience } = issuer.trusted
  return { issuer, setting: JSON.stringify([{ issuer: issuer.trusted.issuer, jwksUri, audience }]) }
}

export const productionEnvironment = (serviceUrl: string, issuers: string): Environment =>
  ({ NODE_ENV: 'production', SERVICE_DATABASE_URL: serviceUrl, KEY_RING: testKeyRingText, ISSUERS: issuers })

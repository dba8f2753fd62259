import type { Test } from 'tap'
import { seedVerifiedMethod } from '../../src/features/contact-methods/seed.ts'
import { createTenant } from '../../src/features/organization/create-tenant.ts'
import { seedUser } from '../../src/features/users/users.ts'
import { openDb, type Db } from '../../src/platform/db/index.ts'
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

const tools = { keys: keysOf(ring), random: systemRandom }
const operator = { kind: 'operator', subject: 'test', requestId: null } as const

export const makeTenant = (ownerUrl: string, slug: string, sandbox = false): Promise<unknown> =>
  withDb(ownerUrl, (db) => createTenant(db, tools, { slug, country: 'US', name: 'Acme Ltd', sandbox }, operator))

/** A user with a verified phone, sealed under the newest key of the tests' ring. */
export const makeContactMethod = (ownerUrl: string, slug: string): Promise<unknown> => withDb(ownerUrl, async (db) => {
  const { tenant_id: tenantId } = (await db.tenantBySlug(slug))!
  await db.inTenant(tenantId, async (tx) => {
    await seedUser(tools, tx, operator, { userId: 'ann', display_name: 'Ann', locale: 'en', privileged: false })
    await seedVerifiedMethod(tools, tx, operator, 'ann', 'mobilePhone', { text: '+14155550132', extension: null, country: 'US', lineType: 'mobileOrLandline' })
  })
})

async function withDb<T> (ownerUrl: string, work: (db: Db) => Promise<T>): Promise<T> {
  const db = openDb({ url: ownerUrl, applicationName: 'latchkey-test', connectionsMax: 1, onError: () => undefined })
  try {
    return await work(db)
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

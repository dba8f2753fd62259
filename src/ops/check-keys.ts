import { signedParts } from '../features/audit/audit.ts'
import { openValue } from '../features/contact-methods/value.ts'
import { openDb, type Db, type TenantTx } from '../platform/db/index.ts'
import { openWorkerDb } from '../platform/db/worker.ts'
import type { Keys } from '../platform/keys.ts'

const tenantsMax = 100

/**
 * Tries the key ring on what is stored: the oldest and the newest contact method of each tenant must open, and the
 * oldest and the newest audit row must fit their MAC. That shows a foreign ring and a ring that lost a version that
 * is still in use at either end; it is no proof for what lies between.
 */
export async function checkKeys (serviceUrl: string, workerUrl: string, keys: Keys): Promise<{ faults: string[], found: string }> {
  const onError = () => undefined
  const db = openDb({ url: serviceUrl, applicationName: 'latchkey-check', connectionsMax: 1, onError })
  try {
    const tenants = await tenantsOf(workerUrl)
    const counts = { opened: 0, verified: 0 }
    const faults: string[] = []
    for (const { tenant_id: tenantId, slug } of tenants) {
      const broken = await tryTenant(db, keys, tenantId, counts)
      if (broken > 0) faults.push(`${broken} of the oldest and newest rows of tenant ${slug} do not fit the key ring`)
    }
    const found = `${counts.opened} sealed values opened and ${counts.verified} audit rows verified, the oldest and newest of ${tenants.length} tenants`
    return { faults, found: tenants.length === 0 ? 'nothing is stored yet' : found }
  } finally {
    await db.close()
  }
}

async function tenantsOf (workerUrl: string) {
  const workers = openWorkerDb({ url: workerUrl, onError: () => undefined })
  try {
    return await workers.acrossTenants((all) => all.selectFrom('tenants').select(['tenant_id', 'slug']).orderBy('tenant_id').limit(tenantsMax).execute())
  } finally {
    await workers.close()
  }
}

/** How many rows do not fit. Ids begin with the time they were made, so the key's order is that of age. */
async function tryTenant (db: Db, keys: Keys, tenantId: string, counts: { opened: number, verified: number }): Promise<number> {
  return db.inTenant(tenantId, async (tx) => {
    let broken = 0
    for (const age of ['asc', 'desc'] as const) {
      const method = await endOfMethods(tx, age)
      if (method) {
        if (opens(() => openValue(keys, tenantId, method.user_id, method.id, method.value!))) counts.opened++
        else broken++
      }
      const event = await endOfEvents(tx, age)
      if (event) {
        if (keys.macMatches('audit', tenantId, ['row', ...signedParts(event)], event.mac_key_version, event.row_mac)) counts.verified++
        else broken++
      }
    }
    return broken
  })
}

const endOfMethods = ({ db, tenantId }: TenantTx, age: 'asc' | 'desc') =>
  db.selectFrom('contact_methods').select(['id', 'user_id', 'value']).where('tenant_id', '=', tenantId).where('value', 'is not', null).orderBy('id', age).limit(1).executeTakeFirst()

const endOfEvents = ({ db, tenantId }: TenantTx, age: 'asc' | 'desc') =>
  db.selectFrom('audit_events').selectAll().where('tenant_id', '=', tenantId).orderBy('id', age).limit(1).executeTakeFirst()

function opens (work: () => string): boolean {
  try {
    work()
    return true
  } catch {
    return false
  }
}

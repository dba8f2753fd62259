import type { Db } from '../../platform/db/index.ts'
import type { Deps } from '../../platform/deps.ts'
import { isPhoneCountry } from '../../platform/addresses/phone.ts'
import { record } from '../audit/audit.ts'
import { startingPolicy } from '../policy/policy.ts'

export interface NewTenant { slug: string, country: string | null, name: string | null, sandbox: boolean }

export const slugPattern = /^[a-z0-9][a-z0-9-]{0,62}$/

/**
 * Makes a tenant with its organisation and policy, as the database's owner: no caller of the API can. True for the one
 * of several twins that made it; a tenant that is there stays as it is.
 */
export async function createTenant (ownerDb: Db, deps: Pick<Deps, 'keys' | 'random'>, { slug, country, name, sandbox }: NewTenant, by: { kind: 'operator' | 'system', subject: string }): Promise<boolean> {
  if (!slugPattern.test(slug)) throw new Error(`"${slug}" is no slug: lower-case letters, digits and hyphens, at most 63`)
  if (country !== null && !isPhoneCountry(country)) throw new Error(`"${country}" is no country: two capital letters (ISO 3166-1)`)
  const tenantId = deps.random.uuid()
  return ownerDb.inTenant(tenantId, async (tx) => {
    const made = await tx.db.insertInto('tenants').values({ tenant_id: tenantId, slug, country, sandbox, created_at: tx.now })
      .onConflict((conflict) => conflict.column('slug').doNothing()).returning('tenant_id').executeTakeFirst()
    if (!made) return false
    const times = { created_at: tx.now, updated_at: tx.now }
    await tx.db.insertInto('organizations').values({ tenant_id: tenantId, name, default_country: country, ...times }).execute()
    await tx.db.insertInto('policies').values({ tenant_id: tenantId, document: JSON.stringify(startingPolicy(country, sandbox)), ...times }).execute()
    await record(deps, tx, { ...by, requestId: null }, { action: 'tenant.created', details: { slug, sandbox } })
    return true
  })
}

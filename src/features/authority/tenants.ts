import type { Db } from '../../platform/db/index.ts'

export interface Tenant { tenantId: string, slug: string, country: string | null, sandbox: boolean }

/** Finds tenants by slug. What it remembers of a tenant never changes; a slug that is not known is asked for again. */
export interface TenantDirectory { find: (slug: string) => Promise<Tenant | undefined> }

const rememberedMax = 10_000

export function tenantDirectory (db: Db): TenantDirectory {
  const remembered = new Map<string, Tenant>()
  return {
    async find (slug) {
      const known = remembered.get(slug)
      if (known) return known
      const row = await db.tenantBySlug(slug)
      if (!row) return undefined
      const tenant = { tenantId: row.tenant_id, slug: row.slug, country: row.country, sandbox: row.sandbox }
      if (remembered.size >= rememberedMax) remembered.delete(remembered.keys().next().value!)
      remembered.set(slug, tenant)
      return tenant
    },
  }
}

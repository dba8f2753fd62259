import { sql } from 'kysely'
import type { Role } from '../../src/vocabulary.ts'
import type { Answer, Client, TestService } from './service.ts'
import type { Caller } from './tokens.ts'

/** The app that a sign-in page is. */
export const apps = (tenant: string): Caller => ({ tenant, subject: 'login-page', kind: 'app', scopes: ['sign-in:read'] })

export const signInUrl = '/v1/users/ann/sign-in-requirements'

/** Ann in a tenant of her own: as herself, as the sign-in page sees her, and her row as the owner of the tables may set it. */
export async function person (service: TestService, { privileged = false } = {}): Promise<{
  tenant: string, ann: Client, read: () => Promise<Answer>, asOwner: (column: 'status' | 'reregistration_since' | 'reregistration_reason', value: unknown) => Promise<void>
}> {
  const tenant = await service.tenant()
  await (await service.as({ tenant, subject: 'directory', kind: 'app', scopes: ['users:write'] })).put('/v1/users/ann', { privileged })
  const app = await service.as(apps(tenant))
  return {
    tenant, ann: await service.as({ tenant, subject: 'ann' }), read: () => app.get(signInUrl),
    asOwner: async (column, value) => {
      await service.owner.inTenant(await service.tenantIdOf(tenant), (tx) => sql`update users set ${sql.ref(column)} = ${value} where tenant_id = ${tx.tenantId} and user_id = 'ann'`.execute(tx.db))
    },
  }
}

/** Ann as someone with this role sees her. */
export const askAs = async (service: TestService, tenant: string, role: Role): Promise<Answer> =>
  (await service.as({ tenant, subject: `the-${role}`, roles: [role] })).get(signInUrl)

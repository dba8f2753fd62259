import { sql, type Selectable, type Updateable } from 'kysely'
import type { TenantTx } from '../../platform/db/index.ts'
import type { Organizations } from '../../platform/db/schema.ts'

export type OrganizationRow = Selectable<Organizations>

export const selectOrganization = ({ db, tenantId }: TenantTx): Promise<OrganizationRow> =>
  db.selectFrom('organizations').selectAll().where('tenant_id', '=', tenantId).executeTakeFirstOrThrow()

export const lockOrganization = ({ db, tenantId }: TenantTx): Promise<OrganizationRow> =>
  db.selectFrom('organizations').selectAll().where('tenant_id', '=', tenantId).forUpdate().executeTakeFirstOrThrow()

export const updateOrganization = ({ db, tenantId, now }: TenantTx, set: Updateable<Organizations>): Promise<OrganizationRow> =>
  db.updateTable('organizations').set({ ...set, version: sql`version + 1`, updated_at: now }).where('tenant_id', '=', tenantId).returningAll().executeTakeFirstOrThrow()

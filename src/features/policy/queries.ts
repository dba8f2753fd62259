import { sql, type Selectable } from 'kysely'
import type { TenantTx } from '../../platform/db/index.ts'
import type { Policies } from '../../platform/db/schema.ts'

export type PolicyRow = Selectable<Policies>

export const selectPolicy = ({ db, tenantId }: TenantTx): Promise<PolicyRow> =>
  db.selectFrom('policies').selectAll().where('tenant_id', '=', tenantId).executeTakeFirstOrThrow()

export const lockPolicy = ({ db, tenantId }: TenantTx): Promise<PolicyRow> =>
  db.selectFrom('policies').selectAll().where('tenant_id', '=', tenantId).forUpdate().executeTakeFirstOrThrow()

export const updatePolicy = ({ db, tenantId, now }: TenantTx, document: string): Promise<PolicyRow> =>
  db.updateTable('policies').set({ document, version: sql`version + 1`, updated_at: now }).where('tenant_id', '=', tenantId).returningAll().executeTakeFirstOrThrow()

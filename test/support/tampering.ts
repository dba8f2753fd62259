import type { TestService } from './service.ts'
import { asSuperuser } from './superuser.ts'

/** The row, and the seal, of a number of the tenant that `:tenant` stands for. */
export const row = (number: number) => `tenant_id = :tenant and id = (select event_id from audit_seals s where s.tenant_id = :tenant and s.sequence = ${number})`
export const seal = (number: number) => `tenant_id = :tenant and sequence = ${number}`
/** Takes rows away together with their seals. */
export const withoutPairs = (numbers: string) => `delete from audit_events where tenant_id = :tenant and id in (select event_id from audit_seals where tenant_id = :tenant and sequence in (${numbers}));
  delete from audit_seals where tenant_id = :tenant and sequence in (${numbers})`
/** Two rows and their seals change places. */
export const swapPairs = (one: number, other: number) => `create table latchkey_internal.a as select * from audit_seals where ${seal(one)}; create table latchkey_internal.b as select * from audit_seals where ${seal(other)};
  delete from audit_seals where tenant_id = :tenant and sequence in (${one}, ${other});
  insert into audit_seals select a.tenant_id, a.sequence, b.event_id, b.mac_key_version, b.chain_mac, b.sealed_at, b.event_at from latchkey_internal.a, latchkey_internal.b;
  insert into audit_seals select b.tenant_id, b.sequence, a.event_id, a.mac_key_version, a.chain_mac, a.sealed_at, a.event_at from latchkey_internal.a, latchkey_internal.b;
  drop table latchkey_internal.a, latchkey_internal.b`
/** A copy of a row under an id of its own. */
export const foreignId = '00000000-0000-7000-8000-000000000000'
export const copyOf = (number: number) => `insert into audit_events select tenant_id, '${foreignId}', at, actor_kind, actor, action, outcome, user_id, request_id, details, mac_key_version, row_mac from audit_events where ${row(number)}`

const tables = ['audit_events', 'audit_seals', 'audit_checkpoints']

/** Does to the log what only a superuser can, lets it be checked, and puts everything back. `:tenant` and `:other` stand for two tenants. */
export async function tamperWith (service: Pick<TestService, 'owner'>, { tenantId, otherId }: { tenantId: string, otherId: string }) {
  const kept = (table: string) => `latchkey_internal.kept_${table}`
  await asSuperuser(service, tables.map((table) => `drop table if exists ${kept(table)}; create table ${kept(table)} as table ${table}`).join(';'))
  const restore = () => asSuperuser(service, `delete from audit_unsealed; ${tables.map((table) => `delete from ${table}; insert into ${table} table ${kept(table)}`).join(';')}`)
  return async <T>(statement: string, check: () => Promise<T>): Promise<T> => {
    await asSuperuser(service, statement.replaceAll(':tenant', `'${tenantId}'`).replaceAll(':other', `'${otherId}'`))
    const report = await check()
    await restore()
    return report
  }
}

import { randomUUID } from 'node:crypto'
import type { Client } from 'pg'

/** One row of every table, in the order of their foreign keys; `$1` is the tenant, `$2` one more id. */
const inserts = [
  `insert into tenants (tenant_id, slug, sandbox) values ($1, 't-' || $2::uuid, true)`,
  `insert into organizations (tenant_id, created_at, updated_at) values ($1, now(), now())`,
  `insert into policies (tenant_id, created_at, updated_at) values ($1, now(), now())`,
  `insert into users (tenant_id, user_id, display_name, created_at, updated_at) values ($1, 'someone', $1::uuid::text, now(), now())`,
  `insert into contact_methods (tenant_id, id, user_id, kind, status, value, added_by, added_by_id, created_at, updated_at)
   values ($1, $2, 'someone', 'mobilePhone', 'active', 'x', 'self', 'someone', now(), now())`,
  `insert into challenges (tenant_id, id, user_id, method_id, purpose, channel, starter_kind, starter_id, status, code_mac, code_key_version, code_length,
                           destination_index, destination, mfa_epoch, created_at, expires_at, resend_available_at, sends_remaining)
   values ($1, $2, 'someone', $2, 'verifyContact', 'sms', 'person', 'someone', 'pending', 'x', 1, 6, 'x', 'x', 0, now(), now(), now(), 1)`,
  `insert into approvals (tenant_id, id, action, requester, user_id, request_mac, mac_key_version, created_at, expires_at)
   values ($1, $2, 'x', 'someone', 'someone', 'x', 1, now(), now())`,
  `insert into role_uses (tenant_id, user_id, role, last_used_at) values ($1, 'someone', 'helpdesk', now())`,
  `insert into break_glass_uses (tenant_id, user_id, used_at) values ($1, 'someone', now())`,
  `insert into mfa_resets (tenant_id, id, user_id, status, scope, reason, requested_kind, requested_by, created_at) values ($1, $2, 'someone', 'completed', 'all', 'other', 'person', 'x', now())`,
  `insert into offboardings (tenant_id, id, user_id, status, requested_by, offboarded_at, erase_after) values ($1, $2, 'someone', 'undone', 'x', now(), now())`,
  `insert into destination_sends (tenant_id, destination_index) values ($1, 'x')`,
  `insert into passes (tenant_id, id, user_id, code_mac, code_key_version, mfa_epoch, starts_at, expires_at, one_time, issued_by, created_at)
   values ($1, $2, 'someone', 'x', 1, 0, now(), now() + interval '1 hour', true, 'x', now())`,
  `insert into code_failures (tenant_id, user_id) values ($1, 'someone')`,
  `insert into send_windows (tenant_id, bucket) values ($1, 'x')`,
  `insert into prefix_sends (tenant_id, prefix_index) values ($1, 'x')`,
  `insert into prefix_blocks (tenant_id, prefix, blocked_at, blocked_until) values ($1, '1415555', now(), now())`,
  `insert into send_budgets (tenant_id, day, slot, whole) values ($1, now()::date, 0, 1)`,
  `insert into notice_links (tenant_id, id, user_id, kind, mfa_epoch, created_at, expires_at) values ($1, $2, 'someone', 'reset', 0, now(), now())`,
  `insert into notice_budgets (tenant_id, day, slot) values ($1, now()::date, 0)`,
  `insert into messages (tenant_id, id, user_id, challenge_id, channel, kind, created_at, send_before) values ($1, $2, 'someone', $2, 'sms', 'code', now(), now())`,
  `insert into sandbox_messages (tenant_id, id, channel, kind, recipient, recipient_index, content, created_at) values ($1, $2, 'sms', 'code', 'x', 'x', 'x', now())`,
  `insert into sandbox_faults (tenant_id, channel, mode) values ($1, 'sms', 'error')`,
  `insert into audit_events (tenant_id, id, at, actor_kind, actor, action, outcome, mac_key_version, row_mac) values ($1, $2, now(), 'system', 'x', 'x', 'done', 1, 'x')`,
  `insert into audit_unsealed (tenant_id, event_id) values ($1, $2)`,
  `insert into audit_seals (tenant_id, sequence, event_id, mac_key_version, chain_mac) values ($1, 1, $2, 1, 'x')`,
  `insert into audit_checkpoints (tenant_id, sequence, head, events, faults, made_at, mac_key_version, mac) values ($1, 1, 'x', 0, 0, now(), 1, 'x')`,
  `insert into audit_refusals (tenant_id, fingerprint, last_written_at, event) values ($1, 'x', now(), '{}')`,
  `insert into idempotency_keys (tenant_id, caller, key_mac, fingerprint, mac_key_version, expires_at) values ($1, 'x', 'x', 'x', 1, now())`,
]

/** A tenant with one row in every table; fails if a table was added and is not in the list. */
export async function insertOneRowOfEach (owner: Client): Promise<string> {
  const tenantId = randomUUID()
  const id = randomUUID()
  for (const text of inserts) await owner.query(text, text.includes('$2') ? [tenantId, id] : [tenantId])
  const { rows: tables } = await owner.query<{ name: string }>(`select c.relname::text as name from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')`)
  for (const { name } of tables) {
    const { rowCount } = await owner.query(`select 1 from ${name} where tenant_id = $1`, [tenantId])
    if (rowCount !== 1) throw new Error(`${name} needs an insert in test/support/rows.ts`)
  }
  return tenantId
}

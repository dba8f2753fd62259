import { sql } from 'kysely'
import type { Test } from 'tap'
import { isRefused } from './answers.ts'
import type { Answer, Client, TestService } from './service.ts'

/** A refused send or check, whose wait leads to this time and not a second further or less. */
export async function refusedUntil (t: Test, clock: Client, until: string, attempt: () => Promise<Answer>, code: 'send_limited' | 'user_locked' = 'send_limited'): Promise<Answer> {
  const now = async () => (await clock.get('/v1/sandbox/clock')).body.now as string
  const left = (from: string) => Math.ceil((Date.parse(until) - Date.parse(from)) / 1000)
  const before = await now()
  const answer = await attempt()
  const after = await now()
  isRefused(t, answer, code)
  const { retryAfterSeconds: wait } = answer.body
  t.equal(answer.headers['retry-after'], code === 'send_limited' ? String(wait) : undefined)
  t.ok(wait <= Math.max(1, left(before)) && wait >= Math.max(1, left(after)), `${wait} s lead to ${until}`)
  return answer
}

/** Has wrong codes counted against a user, as their checks would; `lockedSeconds` is how long the lock still lasts. */
export async function countWrongCodes (service: TestService, tenant: string, userId: string, { inARow = 0, lockedSeconds = null, byMethod = {} }: { inARow?: number, lockedSeconds?: number | null, byMethod?: Record<string, number> }): Promise<void> {
  await service.owner.inTenant(await service.tenantIdOf(tenant), (tx) => sql`
    insert into code_failures (tenant_id, user_id, in_a_row, locked_until, by_method)
    values (${tx.tenantId}, ${userId}, ${inARow}, tenant_now() + make_interval(secs => ${lockedSeconds}), ${JSON.stringify(byMethod)})
    on conflict (tenant_id, user_id) do update set in_a_row = excluded.in_a_row, locked_until = excluded.locked_until, by_method = excluded.by_method`.execute(tx.db))
}

/** Has a prefix blocked for twelve hours, since `hoursAgo`, whether it was before or not. */
export async function blockFor12Hours (service: TestService, tenant: string, prefix: string, hoursAgo = 0): Promise<void> {
  await service.owner.inTenant(await service.tenantIdOf(tenant), (tx) => sql`
    insert into prefix_blocks (tenant_id, prefix, blocked_at, blocked_until)
    select ${tx.tenantId}, ${prefix}, at, at + interval '12 hours' from (select tenant_now() - make_interval(hours => ${hoursAgo}) as at) as begun
    on conflict (tenant_id, prefix) do update set blocked_at = excluded.blocked_at, blocked_until = excluded.blocked_until`.execute(tx.db))
}

import type { FastifyReply, FastifyRequest } from 'fastify'
import { sql } from 'kysely'
import type { TenantTx } from '../db/index.ts'
import { isLockTimeout } from '../db/errors.ts'
import type { Actor, Deps } from '../deps.ts'
import { Refusal } from '../refusal.ts'

/** What a route answers. `body` must be JSON as the caller gets it. */
export interface Answer { status: number, headers?: Record<string, string>, body?: unknown }

const keptHours = 24

/** What of an answer is kept, where it holds a secret, and how it is made whole when it is asked for again. */
export interface Kept {
  keep: (answer: Answer) => Answer
  again: (tx: TenantTx, kept: Answer) => Promise<Answer>
}

const keptWhole: Kept = { keep: (answer) => answer, again: (_tx, kept) => Promise.resolve(kept) }

/**
 * Runs `work` in a transaction, and with an `Idempotency-Key` exactly once: the key is inserted first, in the same
 * transaction, so that a twin waits for the first to commit and then gets its answer. A refusal rolls the key back
 * and is judged anew; one that `work` gives back, instead of throwing it, keeps what it changed, but not the key. The
 * request is remembered as an HMAC, the answer is sealed.
 */
export async function once (deps: Deps, request: FastifyRequest, work: (tx: TenantTx) => Promise<Answer | Refusal>, { keep, again }: Kept = keptWhole): Promise<Answer> {
  const { actor } = request
  const key = request.headers['idempotency-key']
  if (key === undefined) return thrown(await deps.db.inTenant(actor.tenantId, work))
  if (typeof key !== 'string' || key.length < 1 || key.length > 255) {
    throw new Refusal('validation_failed', 'A parameter does not fit the schema.', { errors: [{ parameter: 'idempotency-key', code: 'length', message: 'must have 1 to 255 characters' }] })
  }
  return thrown(await deps.db.inTenant(actor.tenantId, async (tx) => {
    const slot = slotOf(deps, actor, request, key)
    if (!await claimKey(tx, slot)) return again(tx, await replay(deps, tx, slot))
    const answer = await work(tx)
    if (answer instanceof Refusal) await dropKey(tx, slot)
    else await keepAnswer(deps, tx, slot, keep(answer))
    return answer
  }))
}

function thrown (answer: Answer | Refusal): Answer {
  if (answer instanceof Refusal) throw answer
  return answer
}

export function sendAnswer (reply: FastifyReply, { status, headers = {}, body }: Answer): FastifyReply {
  return reply.code(status).headers(headers).send(body)
}

interface Slot { caller: string, keyMac: Buffer, fingerprint: Buffer, version: number }

function slotOf ({ keys }: Deps, actor: Actor, request: FastifyRequest, key: string): Slot {
  const caller = `${actor.kind}:${actor.subject}`
  // The name of the key must stay the same for 24 h while keys rotate, so it is made under the ring's first version.
  return {
    caller,
    keyMac: keys.mac('idempotency', actor.tenantId, ['key', caller, key], keys.oldest),
    fingerprint: keys.mac('idempotency', actor.tenantId, ['request', request.method, request.url, JSON.stringify(request.body ?? null)], keys.oldest),
    version: keys.oldest,
  }
}

/** True for the one request that is first; its twins wait here, at most the lock timeout. */
async function claimKey ({ db, tenantId }: TenantTx, slot: Slot): Promise<boolean> {
  try {
    const { rows } = await sql`
      insert into idempotency_keys (tenant_id, caller, key_mac, fingerprint, mac_key_version, expires_at)
      values (${tenantId}, ${slot.caller}, ${slot.keyMac}, ${slot.fingerprint}, ${slot.version}, now() + make_interval(hours => ${keptHours}))
      on conflict (tenant_id, caller, key_mac) do update
         set fingerprint = excluded.fingerprint, mac_key_version = excluded.mac_key_version, answer = null, expires_at = excluded.expires_at
       where idempotency_keys.expires_at <= now()
      returning 1`.execute(db)
    return rows.length === 1
  } catch (error) {
    if (isLockTimeout(error)) throw new Refusal('idempotency_in_progress', 'The first request with this key has not ended yet. Try again.', { retryAfterSeconds: 1 })
    throw error
  }
}

async function replay ({ keys }: Deps, { db, tenantId }: TenantTx, { caller, keyMac, fingerprint }: Slot): Promise<Answer> {
  const kept = await db.selectFrom('idempotency_keys').select(['fingerprint', 'answer'])
    .where('tenant_id', '=', tenantId).where('caller', '=', caller).where('key_mac', '=', keyMac).executeTakeFirstOrThrow()
  if (!kept.fingerprint.equals(fingerprint)) throw new Refusal('idempotency_key_reused', 'This key came with another request before. Use a new one.')
  if (!kept.answer) throw new Error('A committed idempotency key has no answer')
  const { status, headers, body } = JSON.parse(keys.open('idempotency', tenantId, [caller, keyMac.toString('hex')], kept.answer)) as Answer
  return { status, headers: { ...headers, 'idempotent-replayed': 'true' }, body }
}

async function keepAnswer ({ keys }: Deps, { db, tenantId }: TenantTx, { caller, keyMac }: Slot, answer: Answer): Promise<void> {
  await db.updateTable('idempotency_keys')
    .set({ answer: keys.seal('idempotency', tenantId, [caller, keyMac.toString('hex')], JSON.stringify(answer)) })
    .where('tenant_id', '=', tenantId).where('caller', '=', caller).where('key_mac', '=', keyMac).execute()
}

async function dropKey ({ db, tenantId }: TenantTx, { caller, keyMac }: Slot): Promise<void> {
  await db.deleteFrom('idempotency_keys').where('tenant_id', '=', tenantId).where('caller', '=', caller).where('key_mac', '=', keyMac).execute()
}

import { codeParts } from '../../src/features/challenges/challenges.ts'
import { sealValue } from '../../src/features/contact-methods/value.ts'
import type { TenantTx } from '../../src/platform/db/index.ts'
import { keysOf, parseKeyRing } from '../../src/platform/keys.ts'
import type { MethodKind } from '../../src/vocabulary.ts'
import { systemRandom } from '../../src/platform/random.ts'
import { testKeyRingText } from './keys.ts'
import type { TestService } from './service.ts'

export interface SeededChallenge { userId: string, methodId: string, challengeId: string, code: string }

const chunkRows = 500
const hour = 3_600_000

/** No two seeded methods have the same number, nor its limits. */
let numbers = 2_000_000
const nextNumber = () => `+1415${++numbers}`

/**
 * As many users, each with a phone and a challenge of one app that waits for its code, written as the service would have,
 * but in a few statements and without messages. The phone is pending, or active where the purpose is another.
 */
export async function seedChallenges (service: Pick<TestService, 'owner' | 'tenantIdOf'>, slug: string, starter: string, count: number, purpose: 'verifyContact' | 'signIn' = 'verifyContact'): Promise<SeededChallenge[]> {
  const tenantId = await service.tenantIdOf(slug)
  const seeded: SeededChallenge[] = []
  for (let from = 0; from < count; from += chunkRows) {
    await service.owner.inTenant(tenantId, async (tx) => { seeded.push(...await seedChunk(tx, starter, Math.min(chunkRows, count - from), purpose)) })
  }
  return seeded
}

const keys = keysOf(parseKeyRing(testKeyRingText))

async function seedChunk ({ db, tenantId, now }: TenantTx, starter: string, count: number, purpose: string): Promise<SeededChallenge[]> {
  const waits = purpose === 'verifyContact'
  const seeded = Array.from({ length: count }, () => {
    const methodId = systemRandom.uuid()
    return { userId: `user-${methodId}`, methodId, challengeId: systemRandom.uuid(), code: systemRandom.digits(6) }
  })
  await db.insertInto('users').values(seeded.map(({ userId }) => ({ tenant_id: tenantId, user_id: userId, created_at: now, updated_at: now, first_registered_at: waits ? null : now }))).execute()
  const methods = seeded.map(({ userId, methodId }) => ({
    tenant_id: tenantId, id: methodId, user_id: userId, kind: 'mobilePhone', added_by: 'self', added_by_id: `person:${userId}`,
    ...sealValue(keys, tenantId, userId, methodId, 'mobilePhone', { text: nextNumber(), extension: null, country: 'US', lineType: 'mobileOrLandline' }),
    ...(waits ? { status: 'pending', pending_expires_at: new Date(now.getTime() + hour) } : { status: 'active', is_default: true, verified_at: now }), created_at: now, updated_at: now,
  }))
  await db.insertInto('contact_methods').values(methods).execute()
  await db.insertInto('challenges').values(seeded.map(({ userId, methodId, challengeId, code }, index) => {
    const identity = { id: challengeId, user_id: userId, method_id: methodId, purpose }
    return {
      tenant_id: tenantId, ...identity, channel: 'sms', starter_kind: 'app', starter_id: starter, status: 'pending',
      code_mac: keys.mac('code', tenantId, codeParts(identity, code)), code_key_version: keys.newest, code_length: 6, attempts_max: 5,
      destination_index: methods[index]!.destination_index, destination: '+1 ••• ••• ••••', mfa_epoch: 0,
      created_at: now, expires_at: new Date(now.getTime() + hour), resend_available_at: now, sends_remaining: 4,
    }
  })).execute()
  return seeded
}

/** As many users, each with an active method of every one of these kinds, the first of which is the default. */
export async function seedActive (service: TestService, slug: string, count: number, kinds: readonly MethodKind[]): Promise<Array<{ userId: string, methodIds: string[] }>> {
  const seeded = Array.from({ length: count }, () => ({ userId: `user-${systemRandom.uuid()}`, methodIds: kinds.map(() => systemRandom.uuid()) }))
  const tenantOf = await service.tenantIdOf(slug)
  for (let from = 0; from < count; from += chunkRows) {
    const chunk = seeded.slice(from, from + chunkRows)
    await service.owner.inTenant(tenantOf, async ({ db, tenantId, now }) => {
      await db.insertInto('users').values(chunk.map(({ userId }) => ({ tenant_id: tenantId, user_id: userId, created_at: now, updated_at: now, first_registered_at: now }))).execute()
      await db.insertInto('contact_methods').values(chunk.flatMap(({ userId, methodIds }) => methodIds.map((id, index) => ({
        tenant_id: tenantId, id, user_id: userId, kind: kinds[index]!, status: 'active', added_by: 'self', added_by_id: `person:${userId}`, is_default: index === 0,
        ...sealValue(keys, tenantId, userId, id, kinds[index]!, { text: nextNumber(), extension: null, country: 'US', lineType: 'mobileOrLandline' }),
        created_at: now, updated_at: now, verified_at: now,
      })))).execute()
    })
  }
  return seeded
}

/** Each of `count` callers waits here until all have come: what a test uses to make a race certain instead of likely. */
export function gate (count: number): () => Promise<void> {
  let waiting = count
  let open: () => void
  const opened = new Promise<void>((resolve) => { open = resolve })
  return () => {
    if (--waiting === 0) open()
    return opened
  }
}

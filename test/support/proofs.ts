import { sql } from 'kysely'
import { sealValue } from '../../src/features/contact-methods/value.ts'
import { signProof, type ProofSubject } from '../../src/features/proofs/proofs.ts'
import { systemRandom } from '../../src/platform/random.ts'
import type { Channel, MethodKind, Purpose } from '../../src/vocabulary.ts'
import type { TestService } from './service.ts'

const hourMs = 3_600_000
const numbers: Record<MethodKind, string> = {
  mobilePhone: '+14155550132', alternatePhone: '+14155550133', officePhone: '+14155550134', alternateEmail: 'someone@example.org',
}

export const person = (id: string) => ({ kind: 'person' as const, id })
export const app = (id: string) => ({ kind: 'app' as const, id })

/** A user with an active method of each of these kinds, bound this many hours ago; gives their ids. Nothing is sent. Everyone has the same numbers unless told. */
export async function registered (service: TestService, tenant: string, userId: string, kinds: readonly MethodKind[], boundHoursAgo = 48, own: Partial<typeof numbers> = {}): Promise<Record<string, string>> {
  const texts = { ...numbers, ...own }
  const ids = Object.fromEntries(kinds.map((kind) => [kind, systemRandom.uuid()]))
  await service.owner.inTenant(await service.tenantIdOf(tenant), async ({ db, tenantId, now }) => {
    const boundAt = new Date(now.getTime() - boundHoursAgo * hourMs)
    await db.insertInto('users').values({ tenant_id: tenantId, user_id: userId, created_at: boundAt, updated_at: boundAt, ...(kinds.some((kind) => kind !== 'alternateEmail') && { first_registered_at: boundAt }) })
      .onConflict((conflict) => conflict.doNothing()).execute()
    for (const kind of kinds) {
      await db.insertInto('contact_methods').values({
        tenant_id: tenantId, id: ids[kind]!, user_id: userId, kind, status: 'active', added_by: 'self', added_by_id: `person:${userId}`, is_default: kind === 'mobilePhone',
        ...sealValue(service.deps.keys, tenantId, userId, ids[kind]!, kind, { text: texts[kind], extension: null, country: 'US', lineType: 'mobileOrLandline' }),
        created_at: boundAt, updated_at: boundAt, verified_at: boundAt,
      }).execute()
    }
  })
  return ids
}

/** An approved challenge. Its proof is of purpose `stepUp`, by a text message, started by the user, of epoch 0, unless told. */
export interface Grant {
  userId: string
  purpose?: Purpose
  channel?: Channel
  methodId?: string
  starter?: ProofSubject['starter']
  epoch?: number
  status?: string
  approvedMinutesAgo?: number
  contextHash?: Buffer
}

/** Writes an approved challenge as the owner of the database, and gives what its proof says. */
export async function approved (service: TestService, tenant: string, grant: Grant): Promise<ProofSubject> {
  const { userId, purpose = 'stepUp', channel = 'sms', methodId = systemRandom.uuid(), starter = person(userId), epoch = 0, status = 'approved', approvedMinutesAgo = 0, contextHash = null } = grant
  const challengeId = systemRandom.uuid()
  const issuedAt = new Date(Date.now() - approvedMinutesAgo * 60_000)
  await service.owner.inTenant(await service.tenantIdOf(tenant), async ({ db, tenantId, now }) => {
    const at = new Date(now.getTime() - approvedMinutesAgo * 60_000)
    await db.insertInto('challenges').values({
      tenant_id: tenantId, id: challengeId, user_id: userId, method_id: methodId, purpose, channel, starter_kind: starter.kind, starter_id: starter.id, status,
      code_mac: Buffer.alloc(32), code_key_version: 1, code_length: 6, destination_index: Buffer.alloc(34), destination: '+1 ••• ••• ••32', mfa_epoch: epoch,
      used_at: at, created_at: at, expires_at: new Date(at.getTime() + 300_000), resend_available_at: at, sends_remaining: 4, ended_at: at, proof_issued_at: issuedAt,
    }).execute()
  })
  return { tenantSlug: tenant, challengeId, userId, purpose, channel, starter, epoch, contextHash, issuedAt }
}

/** The proof of such a challenge. `claimed` differs from what is in the database. */
export async function proofOf (service: TestService, tenant: string, grant: Grant, claimed: Partial<ProofSubject> = {}): Promise<string> {
  return signProof(service.deps, { ...await approved(service, tenant, grant), ...claimed })
}

/** The header that hands a proof in. */
export const withProof = (proof: string) => ({ 'latchkey-proof': proof })

/** Does what a reset will do to proofs. */
export async function raiseEpoch (service: TestService, tenant: string, userId: string): Promise<void> {
  await service.owner.inTenant(await service.tenantIdOf(tenant), ({ db, tenantId }) => sql`
    update users set mfa_epoch = mfa_epoch + 1 where tenant_id = ${tenantId} and user_id = ${userId}`.execute(db))
}

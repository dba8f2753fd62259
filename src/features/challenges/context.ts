import { createHash } from 'node:crypto'
import canonicalize from 'canonicalize'
import type { Keys } from '../../platform/keys.ts'
import { Refusal } from '../../platform/refusal.ts'
import type { ChallengeRow } from './queries.ts'
import type { NewChallenge } from './schema.ts'

const bytesMax = 2_048

/** SHA-256 of the context's RFC 8785 form: what `txn` in the proof shows, so that an app can tell what was approved. */
export function contextHashOf (context: NonNullable<NewChallenge['context']>): Buffer {
  if (Buffer.byteLength(JSON.stringify(context)) > bytesMax) throw unfit('/context', 'maxLength', 'must not be more than 2 KiB in all')
  try {
    return createHash('sha256').update(canonicalize(context)!).digest()
  } catch {
    throw unfit('/context', 'canonical', 'has a text or a number that has no canonical form (RFC 8785)')
  }
}

export const unfit = (pointer: string, code: string, message: string) =>
  new Refusal('validation_failed', 'The body does not fit the schema.', { errors: [{ pointer, code, message }] })

/** What the message shows, sealed: a later message of the same challenge must show it, too. */
export const sealContextDisplay = (keys: Keys, tenantId: string, challengeId: string, context: NewChallenge['context']): Buffer | null =>
  context === undefined ? null : keys.seal('message', tenantId, [challengeId, 'context'], context.display)

export const contextDisplayOf = (keys: Keys, { tenant_id: tenantId, id, context_display: sealed }: Pick<ChallengeRow, 'tenant_id' | 'id' | 'context_display'>): string | null =>
  sealed && keys.open('message', tenantId, [id, 'context'], sealed)

import type { Actor, Deps } from '../../platform/deps.ts'
import { notFound, Refusal } from '../../platform/refusal.ts'
import { eventOf } from '../audit/audit.ts'
import { judgeTarget } from '../authority/may.ts'
import { userFrozen } from '../users/users.ts'
import { starterOf } from './challenges.ts'
import { sealContextDisplay } from './context.ts'
import { isBlind } from './decoys.ts'
import type { NewRow, Outgoing } from './queries.ts'
import type { NewChallenge } from './schema.ts'
import type { Reachable, Setting } from './setting.ts'

/** Wrong codes after which a challenge ends. */
export const attemptsMax = 5

/** A challenge that is ready to be written; `number` is where it sends to, if that is a phone. */
export interface Prepared { row: NewRow, outgoing: Outgoing, number: string | null }

/** The user, if a challenge can be started for them. */
export function reachable (actor: Actor, { user }: Setting, userId: string, { purpose }: NewChallenge): Reachable {
  if (!user) throw notFound()
  judgeTarget(actor, purpose === 'callerCheck' ? 'callerChecks.start' : 'challenges.start', { userId, privileged: user.privileged, status: user.status })
  if (user.status === 'disabled') throw new Refusal('no_usable_method', 'The user is disabled.')
  if (purpose === 'verifyContact' && user.frozenUntil !== null) throw userFrozen()
  return user
}

type Given = Pick<NewRow, 'id' | 'user_id' | 'method_id' | 'shown_method_id' | 'channel' | 'destination' | 'destination_index' | 'mfa_epoch' | 'decoy' | 'prefix_index' | 'address_bucket' | 'context_hash' |
  'code_mac' | 'code_key_version' | 'code_length' | 'attempts_max'>

/** The row of a new challenge of this caller. */
export function rowOf ({ keys }: Deps, actor: Actor, { purpose, context }: NewChallenge, given: Given): NewRow {
  const starter = starterOf(actor)
  return {
    ...given, tenant_id: actor.tenantId, purpose, context_display: sealContextDisplay(keys, actor.tenantId, given.id, context), starter_kind: starter.kind, starter_id: starter.id, status: 'pending',
    attempts: 0, blind: isBlind(actor),
  }
}

export const startedEvent = (deps: Deps, actor: Actor, { at }: Setting, userId: string, details: Record<string, unknown>) =>
  eventOf(deps, actor.tenantId, at, actor, { action: 'challenge.started', userId, details })

import type { Actor, Authority } from '../../platform/deps.ts'
import { isSelf, judgeTarget, mayOnOthers, refused } from './may.ts'
import { maySeeOwnValues, requireStepUp } from './step-up.ts'

/**
 * Who sees a full number or address: the person themself with a second factor at most 12 hours old, and whoever has
 * the permission to reveal, asks for it and has a fresh second factor. Who asks without the right is refused.
 */
export function valuesShown (actor: Actor, userId: string, reveal: boolean): 'own' | 'revealed' | 'masked' {
  if (isSelf(actor, userId)) return maySeeOwnValues(actor) ? 'own' : 'masked'
  if (!reveal) return 'masked'
  if (!mayOnOthers(actor, 'contactMethods.reveal')) throw refused('contactMethods.reveal', userId, 'reveal')
  requireStepUp(actor, 'contactMethods.reveal')
  return 'revealed'
}

export const authority: Authority = { judgeTarget, requireStepUp, valuesShown, refused }

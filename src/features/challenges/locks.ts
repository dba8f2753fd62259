import { Refusal } from '../../platform/refusal.ts'
import type { Purpose } from '../../vocabulary.ts'
import { wrongCodesOfMethodMax, type Reachable } from './setting.ts'

export const userLocked = (until: Date, at: Date) =>
  new Refusal('user_locked', 'There were too many wrong codes.', { retryAfterSeconds: Math.max(1, Math.ceil((until.getTime() - at.getTime()) / 1000)) })

export const methodLocked = () => new Refusal('user_locked', 'There were too many wrong codes for this method. An administrator must lift that.')

/** Why no code goes to this method now: the user is locked, or the method had too many wrong codes. A caller check goes on. */
export function lockOf ({ lockedUntil, wrongCodesOf }: Reachable, methodId: string, purpose: Purpose, at: Date): Refusal | null {
  if (purpose === 'callerCheck') return null
  if (lockedUntil) return userLocked(lockedUntil, at)
  return wrongCodesOf(methodId) >= wrongCodesOfMethodMax ? methodLocked() : null
}

import type { Actor } from '../../platform/deps.ts'
import { AuthorityRefusal } from '../../platform/refusal.ts'
import type { Action } from '../../vocabulary.ts'
import { strength, strengthOf } from './strength.ts'

export const stepUpSeconds = 600
const valueShownSeconds = 12 * 3600
const clockSkewSeconds = 30

/** What a change was made with. */
export type Strength = 'secondFactor' | 'password' | 'app'

/** What the policy says of a change to one's own methods; absent for every other change. */
export interface Registering {
  userId: string
  firstRegistration: 'proof' | 'password'
  /** Whether a method of the user that counts for MFA was ever active, as the locked row says. */
  everRegistered: boolean
}

/**
 * The one place that asks for a fresh second factor (RFC 9470) or a proof.
 *
 * A person needs a second factor at most 10 minutes old and as strong as the strongest method they have. Someone who
 * has never had a method that counts registers with a proof, or, where the policy accepts it and they are not
 * privileged, with the password alone. An app changes a user's methods with that user's proof only.
 */
export function requireStepUp (actor: Actor, action: Action, registering?: Registering): Strength {
  const about = { action, userId: registering?.userId ?? null }
  if (actor.kind === 'app') {
    if (registering) throw new AuthorityRefusal('proof_required', 'An app needs a proof of the user.', about)
    return 'app'
  }
  const { person } = actor
  const given = strengthOf(actor.amr)
  const needed = Math.max(strength.email, person?.strongest ?? strength.none)
  if (given >= needed && authenticatedWithin(actor, stepUpSeconds)) return 'secondFactor'

  const first = registering && !registering.everRegistered && registering.userId === actor.subject
  if (first && registering.firstRegistration === 'password' && person?.privileged === false) return 'password'
  if (first && given === strength.none) throw new AuthorityRefusal('proof_required', 'A password alone does not let you register. A proof is needed.', about)
  throw new AuthorityRefusal('insufficient_user_authentication', 'A second factor is needed that is at most 10 minutes old and as strong as your strongest method.', about, { maxAgeSeconds: stepUpSeconds })
}

/** Whether a person may see their own full values: with a second factor at most 12 hours old. */
export const maySeeOwnValues = (actor: Actor): boolean =>
  strengthOf(actor.amr) > strength.none && authenticatedWithin(actor, valueShownSeconds)

function authenticatedWithin ({ authTime, serverNow }: Actor, seconds: number): boolean {
  if (authTime === null) return false
  const age = (serverNow.getTime() - authTime.getTime()) / 1000
  return age <= seconds && age >= -clockSkewSeconds
}

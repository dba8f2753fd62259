import type { Actor, GivenProof } from '../../platform/deps.ts'
import { AuthorityRefusal } from '../../platform/refusal.ts'
import type { Action, Channel } from '../../vocabulary.ts'
import type { PolicyDocument } from '../policy/schema.ts'
import { strength, strengthBy, strengthOf } from './strength.ts'

export const stepUpSeconds = 600
const valueShownSeconds = 12 * 3600
const clockSkewSeconds = 30

/** What a change was made with. */
export type Strength = 'secondFactor' | 'proof' | 'password' | 'app'

type RegistrationProofs = PolicyDocument['registration']['proofs']

/** What the policy and the locked row say of a change to one's own methods; absent for every other change. */
export interface Registering {
  userId: string
  firstRegistration: 'proof' | 'password'
  /** Whether a method of the user that counts for MFA was ever active. */
  everRegistered: boolean
  /** Whether the user must register again, after a reset; `late` once the policy's time for that is over. */
  again: 'no' | 'yes' | 'late'
  /** The present one: a reset between the check of a proof and its use makes the proof worthless. */
  epoch: number
  /** Which methods a `recovery` proof may come from; none where the change is more than registering. */
  proofs: Readonly<RegistrationProofs>
  /** Strength of the user's strongest method, where it was read under the lock. */
  strongest?: number
}

/**
 * The one place that asks for a fresh second factor (RFC 9470) or a proof.
 *
 * A person needs a second factor at most 10 minutes old and as strong as the strongest method they have: of their token,
 * or a proof. Someone who has never had a method that counts registers with a proof, or, where the policy accepts it
 * and they are not privileged, with the password alone; after a reset, never with that. An app changes a user's methods
 * with that user's proof only.
 */
export function requireStepUp (actor: Actor, action: Action, registering?: Registering): Strength {
  if (actor.approvedBy) return 'secondFactor' // it was asked for when the request came
  const about = { action, userId: registering?.userId ?? null }
  const unfit = actor.proof === undefined ? '' : ' The proof that came with the request did not serve.'
  const needed = Math.max(strength.email, strongestNow(actor, registering))
  if (registering?.again === 'late') throw new AuthorityRefusal('forbidden', 'The time to register again is over. An administrator has to reset the user once more.', about, { rule: 'registration_deadline' })
  if (actor.kind === 'app') {
    if (!registering) return 'app'
    if (serves(actor.proof, registering, needed)) return 'proof'
    throw new AuthorityRefusal('proof_required', `An app needs a proof of the user.${unfit}`, about)
  }
  const given = strengthOf(actor.amr)
  if (given >= needed && authenticatedWithin(actor, stepUpSeconds)) return 'secondFactor'
  if (serves(actor.proof, registering, needed)) return 'proof'

  const again = registering?.again === 'yes'
  const first = registering && (again || !registering.everRegistered) && registering.userId === actor.subject
  if (first && !again && registering.firstRegistration === 'password' && actor.person?.privileged === false) return 'password'
  if (first && given === strength.none) throw new AuthorityRefusal('proof_required', `A password alone does not let you register. A proof is needed.${unfit}`, about)
  throw new AuthorityRefusal('insufficient_user_authentication', `A second factor is needed that is at most 10 minutes old and as strong as your strongest method.${unfit}`, about, { maxAgeSeconds: stepUpSeconds })
}

/** As the row under the lock says; else as it was when the request came. */
function strongestNow ({ person, proof }: Actor, registering: Registering | undefined): number {
  return registering?.strongest ?? person?.strongest ?? (typeof proof === 'object' ? proof.strongest : strength.none)
}

/** Whether a proof is of the user whom the change is about, of their present epoch, for this purpose and strong enough. */
function serves (proof: Actor['proof'], registering: Registering | undefined, needed: number): proof is GivenProof {
  if (typeof proof !== 'object') return false
  if (registering && (proof.userId !== registering.userId || proof.epoch !== registering.epoch)) return false
  return (proof.purpose === 'stepUp' || recovers(proof, registering)) && strengthBy(proof.channel) >= needed
}

/** A `recovery` proof serves to register, by a method that the policy accepts and that nobody could have bound just for this. */
function recovers ({ channel, settled }: GivenProof, registering: Registering | undefined): boolean {
  const name = registrationProofBy[channel]
  return settled && name !== undefined && registering?.proofs.includes(name) === true
}

const registrationProofBy: { readonly [C in Channel]?: RegistrationProofs[number] } = {
  sms: 'phone', voice: 'phone', email: 'alternateEmail', recoveryCode: 'recoveryCode', temporaryAccessPass: 'temporaryAccessPass',
}

/** Whether a person may see their own full values: with a second factor at most 12 hours old. */
export const maySeeOwnValues = (actor: Actor): boolean =>
  strengthOf(actor.amr) > strength.none && authenticatedWithin(actor, valueShownSeconds)

function authenticatedWithin ({ authTime, serverNow }: Actor, seconds: number): boolean {
  if (authTime === null) return false
  const age = (serverNow.getTime() - authTime.getTime()) / 1000
  return age <= seconds && age >= -clockSkewSeconds
}

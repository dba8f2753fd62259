import type { Keys } from '../../platform/keys.ts'
import { channelsOf, countsForMfa, displayOf, isEmail, mayBeUsed, meetsPolicy, openValue, preferredFirst } from '../contact-methods/value.ts'
import type { PolicyDocument } from '../policy/schema.ts'
import type { MethodOfUser, UserFacts, UserRows } from './queries.ts'
import type { SignInRequirements } from './schema.ts'

/** Wrong codes in a row on one method after which it can't be used any more (NIST SP 800-63B-4, 3.2.2: at most 100). */
const wrongCodesOfMethodMax = 50
const dayMs = 86_400_000

type Registration = SignInRequirements['registration']

/** What decides beside the user. */
export interface Surroundings { keys: Keys, tenantId: string, policy: PolicyDocument, at: Date }

const nothingToSay: UserFacts = {
  status: 'active', privileged: false, sessionsValidFrom: null, devicesValidFrom: null, since: null, reason: null, lockedUntil: null, frozenUntil: null, wrongCodes: null,
}

/** What the sign-in page must ask this user for. Only masks leave here. */
export function requirementsOf (around: Surroundings, userId: string, { facts, methods }: UserRows): SignInRequirements {
  const { policy, at } = around
  const user = facts ?? nothingToSay
  const allowed = methods.filter((method) => mayBeUsed(method.kind, method.country, policy, user.privileged))
  const current = user.since === null ? allowed : allowed.filter((method) => method.verified_since)
  const kinds = current.map((method) => method.kind)
  const deadline = user.since === null || policy.registration.deadlineDays === null ? null : new Date(Date.parse(user.since) + policy.registration.deadlineDays * dayMs)
  const state = stateOf(user, kinds, policy, deadline !== null && deadline <= at)

  const denied = state === 'disabled' || state === 'offboarded' || state === 'reregistrationExpired'
  const counting = denied ? [] : current.filter((method) => countsForMfa(method.kind, policy))
  const isOpen = ({ id }: MethodOfUser) => (user.wrongCodes?.[id] ?? 0) < wrongCodesOfMethodMax
  const usable = counting.filter(isOpen)
  const registers = !denied && (state !== 'registered' || counting.length === 0)
  const again = state.startsWith('reregistration')
  return {
    userId, state, since: again ? timeOf(user.since) : null, reason: again ? user.reason as SignInRequirements['reason'] : null,
    next: denied ? 'deny' : user.lockedUntil !== null ? 'wait' : registers ? user.frozenUntil !== null ? 'wait' : 'register' : usable.length === 0 ? 'wait' : 'challenge',
    registration: {
      missing: state === 'registered' || state === 'disabled' || state === 'offboarded' ? [] : missingOf(kinds, policy),
      acceptedProofs: registers ? proofsOf(around, userId, user, allowed.filter(isOpen)) : [],
      deadline: again ? deadline?.toISOString() ?? null : null,
    },
    methods: inOrder(usable, policy).map((method) => ({
      id: method.id, kind: method.kind, display: maskOf(around, userId, method), channels: channelsFor(method), isDefault: method.default_channel !== null,
    })),
    lockedUntil: timeOf(user.lockedUntil), frozenUntil: timeOf(user.frozenUntil), sessionsValidFrom: timeOf(user.sessionsValidFrom), devicesValidFrom: timeOf(user.devicesValidFrom),
  }
}

/** `kinds` are those of the methods that count: after a reset, the ones verified since. */
function stateOf ({ status, since }: UserFacts, kinds: MethodOfUser['kind'][], policy: PolicyDocument, expired: boolean): SignInRequirements['state'] {
  if (status !== 'active') return status
  if (meetsPolicy(kinds, policy)) return 'registered'
  if (since === null) return 'notRegistered'
  if (expired) return 'reregistrationExpired'
  return policy.registration.required.some(({ oneOf }) => kinds.some((kind) => oneOf.includes(kind))) ? 'reregistrationInProgress' : 'reregistrationRequired'
}

const missingOf = (kinds: MethodOfUser['kind'][], { registration }: PolicyDocument): Registration['missing'] =>
  registration.required.map(({ count, oneOf }) => ({ count: count - kinds.filter((kind) => oneOf.includes(kind)).length, oneOf: [...oneOf] })).filter(({ count }) => count > 0)

/**
 * What is accepted from someone without a second factor. A method bound less than a day ago is not: whoever could bind
 * it could do so just for this. After `compromised` no e-mail is.
 */
function proofsOf (around: Surroundings, userId: string, { reason, since }: UserFacts, methods: MethodOfUser[]): Registration['acceptedProofs'] {
  const { proofs } = around.policy.registration
  const recovers = (method: MethodOfUser) => method.settled &&
    (isEmail(method.kind) ? proofs.includes('alternateEmail') && !(since !== null && reason === 'compromised') : proofs.includes('phone'))
  return [
    ...(proofs.includes('temporaryAccessPass') ? [{ channel: 'temporaryAccessPass' as const }] : []),
    ...inOrder(methods.filter(recovers), around.policy).flatMap((method) => {
      const display = maskOf(around, userId, method)
      return channelsFor(method).map((channel) => ({ channel, methodId: method.id, display }))
    }),
  ]
}

const channelsFor = (method: MethodOfUser) => preferredFirst(channelsOf(method.kind, method.line_type), method.default_channel)

/** The default first, then by the policy's order, then the oldest. */
function inOrder (methods: MethodOfUser[], { order }: PolicyDocument): MethodOfUser[] {
  if (methods.length < 2) return methods
  const rank = ({ kind, default_channel: preferred }: MethodOfUser) => preferred !== null ? -1 : order.includes(kind) ? order.indexOf(kind) : order.length
  return methods.toSorted((a, b) => rank(a) - rank(b) || (a.id < b.id ? -1 : 1))
}

const maskOf = ({ keys, tenantId }: Surroundings, userId: string, { id, kind, value }: MethodOfUser) =>
  displayOf(kind, openValue(keys, tenantId, userId, id, value))

const timeOf = (text: string | null) => text && new Date(text).toISOString()

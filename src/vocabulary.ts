/** The closed lists that several features share. Schemas, domain files and tests import them from here. */

export const methodKinds = ['mobilePhone', 'alternatePhone', 'officePhone', 'alternateEmail'] as const
export type MethodKind = typeof methodKinds[number]

export const methodStatuses = ['pending', 'active', 'disabled'] as const

export const authenticatorKinds = ['totp', 'passkey', 'recoveryCodes', 'temporaryAccessPass'] as const
export const authenticatorStatuses = ['pending', 'active', 'used', 'expired', 'disabled'] as const
export type AuthenticatorStatus = typeof authenticatorStatuses[number]

/** What a person can prove themself with: a contact method or an authenticator. */
export const factors = ['passkey', 'totp', 'mobilePhone', 'alternatePhone', 'officePhone', 'alternateEmail'] as const
export type Factor = typeof factors[number]

export const channels = ['sms', 'voice', 'email', 'totp', 'passkey', 'recoveryCode', 'temporaryAccessPass'] as const
export type Channel = typeof channels[number]

/** Channels whose codes can be guessed: locked after too many wrong codes in a row. A passkey and a pass stay usable. */
export const guessableChannels = ['sms', 'voice', 'email', 'totp', 'recoveryCode'] as const satisfies readonly Channel[]

/** The channels on which a message goes out to an address. */
export const messageChannels = ['sms', 'voice', 'email'] as const
export type MessageChannel = typeof messageChannels[number]

export const purposes = ['verifyContact', 'signIn', 'stepUp', 'recovery', 'callerCheck', 'transaction'] as const
export type Purpose = typeof purposes[number]

/** Who may start which (Contract, "Challenge"); a caller check is for the help desk. */
export const purposesOfApps = ['verifyContact', 'signIn', 'stepUp', 'recovery', 'transaction'] as const satisfies readonly Purpose[]
export const purposesOfPersons = ['verifyContact', 'stepUp', 'recovery'] as const satisfies readonly Purpose[]

export const challengeStatuses = ['pending', 'approved', 'exhausted', 'expired', 'canceled', 'failed'] as const
export type ChallengeStatus = typeof challengeStatuses[number]

export const approvalStatuses = ['pending', 'completed', 'rejected', 'expired'] as const
export type ApprovalStatus = typeof approvalStatuses[number]

export const deliveryStates = ['queued', 'sending', 'sent', 'delivered', 'failed', 'unknown'] as const
export type DeliveryState = typeof deliveryStates[number]

export const userStatuses = ['active', 'disabled', 'offboarded'] as const
export type UserStatus = typeof userStatuses[number]

/** Why sessions are revoked, or a user is reset. */
export const resetReasons = ['lostDevice', 'newDevice', 'compromised', 'left', 'other'] as const
export type ResetReason = typeof resetReasons[number]

export const roles = ['user', 'reader', 'helpdesk', 'privilegedAdmin', 'policyAdmin', 'auditor'] as const
export type Role = typeof roles[number]

export const scopes = [
  'users:read', 'users:write', 'sign-in:read', 'challenges:write', 'contact-methods:read', 'contact-methods:write',
  'contact-methods:reveal', 'mfa-resets:write', 'events:read', 'audit:read', 'imports:write',
] as const
export type Scope = typeof scopes[number]

/** Roles whose use marks the person as privileged: everything beyond `user` and `reader`. */
export const administrativeRoles: readonly Role[] = ['helpdesk', 'privilegedAdmin', 'policyAdmin', 'auditor']

interface ActionRule {
  /** A person may do it to themself. */
  self: boolean
  roles: readonly Role[]
  scope: Scope | null
  /** On an administrator's route a caller without the right hears 403; on another's object, 404. */
  administrative: boolean
  /** It changes something, so that a person needs a fresh second factor. */
  changes: boolean
  /** Done to a privileged user, every change waits for a second approver but what says that it does not. */
  waits?: false
  /** It asks for a fresh second factor like a change, but changes nothing of the user. */
  reads?: true
  /** It sends the user a code, and never to who left; `guarded`: to a privileged user only for a privileged administrator. */
  sends?: 'toAnyone' | 'guarded'
}

const readers = ['reader', 'helpdesk', 'privilegedAdmin'] as const
const helpers = ['helpdesk', 'privilegedAdmin'] as const
/** Whoever may ask for what waits for a second approver. */
const askers = ['privilegedAdmin', 'policyAdmin'] as const

/** Who may do what: the one table behind every permission. `everyone` of a tenant may use its sandbox. */
export const actions = {
  'users.read': { self: true, roles: readers, scope: 'users:read', administrative: false, changes: false },
  'users.search': { self: false, roles: readers, scope: 'users:read', administrative: true, changes: false },
  'users.write': { self: false, roles: ['privilegedAdmin'], scope: 'users:write', administrative: true, changes: true },
  'contactMethods.read': { self: true, roles: readers, scope: 'contact-methods:read', administrative: false, changes: false },
  'contactMethods.reveal': { self: false, roles: ['privilegedAdmin'], scope: 'contact-methods:reveal', administrative: false, changes: true, reads: true },
  'contactMethods.write': { self: true, roles: helpers, scope: 'contact-methods:write', administrative: false, changes: true },
  'contactMethods.preVerify': { self: false, roles: ['privilegedAdmin'], scope: null, administrative: false, changes: true },
  'challenges.start': { self: true, roles: [], scope: 'challenges:write', administrative: false, changes: false, sends: 'toAnyone' },
  'callerChecks.start': { self: false, roles: helpers, scope: null, administrative: true, changes: false, sends: 'guarded' },
  'challenges.use': { self: true, roles: [], scope: 'challenges:write', administrative: false, changes: false },
  'lockout.read': { self: true, roles: readers, scope: 'sign-in:read', administrative: false, changes: false },
  'lockout.lift': { self: false, roles: helpers, scope: null, administrative: true, changes: true, waits: false },
  'sessions.revoke': { self: true, roles: helpers, scope: 'mfa-resets:write', administrative: false, changes: true, waits: false },
  'authenticators.read': { self: true, roles: readers, scope: 'contact-methods:read', administrative: false, changes: false },
  'authenticators.write': { self: true, roles: helpers, scope: 'contact-methods:write', administrative: false, changes: true },
  'passes.issue': { self: false, roles: helpers, scope: null, administrative: true, changes: true },
  'mfaResets.create': { self: false, roles: helpers, scope: 'mfa-resets:write', administrative: true, changes: true },
  'mfaResets.read': { self: true, roles: readers, scope: 'mfa-resets:write', administrative: false, changes: false },
  'offboarding.read': { self: false, roles: readers, scope: null, administrative: true, changes: false },
  'offboarding.write': { self: false, roles: ['privilegedAdmin'], scope: null, administrative: true, changes: true },
  'users.export': { self: true, roles: ['privilegedAdmin'], scope: null, administrative: false, changes: true, reads: true },
  'timeline.read': { self: true, roles: readers, scope: null, administrative: false, changes: false },
  'allowedActions.read': { self: true, roles: readers, scope: 'users:read', administrative: false, changes: false },
  'fraud.read': { self: false, roles: ['policyAdmin'], scope: null, administrative: true, changes: false },
  'fraud.write': { self: false, roles: ['policyAdmin'], scope: null, administrative: true, changes: true },
  'signIn.read': { self: true, roles: readers, scope: 'sign-in:read', administrative: false, changes: false },
  'policy.read': { self: false, roles: ['reader', 'helpdesk', 'privilegedAdmin', 'policyAdmin'], scope: null, administrative: true, changes: false },
  'policy.write': { self: false, roles: ['policyAdmin'], scope: null, administrative: true, changes: true },
  'organization.read': { self: false, roles: ['reader', 'helpdesk', 'privilegedAdmin', 'policyAdmin'], scope: null, administrative: true, changes: false },
  'organization.write': { self: false, roles: ['policyAdmin'], scope: null, administrative: true, changes: true },
  'users.clearPrivilege': { self: false, roles: ['privilegedAdmin'], scope: null, administrative: true, changes: true },
  'approvals.read': { self: false, roles: askers, scope: null, administrative: true, changes: false },
  'approvals.approve': { self: false, roles: ['privilegedAdmin'], scope: null, administrative: true, changes: true },
  'approvals.reject': { self: false, roles: askers, scope: null, administrative: true, changes: true },
  'approvals.collect': { self: false, roles: askers, scope: null, administrative: true, changes: true },
  'audit.read': { self: false, roles: ['auditor'], scope: 'audit:read', administrative: true, changes: false },
  'sandbox.use': { self: true, roles: roles, scope: null, administrative: false, changes: false },
} as const satisfies Record<string, ActionRule>
export type Action = keyof typeof actions
export const ruleOf = (action: Action): ActionRule => actions[action]

/** Why a caller who may see a target may not touch it; the `rule` of a 403. */
export const authorityRules = [
  'role', 'scope', 'purpose', 'privileged_target', 'second_approver', 'self_administration', 'policy_pre_verified', 'reveal', 'unknown_tenant',
  'registration_deadline', 'caller_check', 'own_request', 'requester', 'break_glass',
] as const
export type AuthorityRule = typeof authorityRules[number]

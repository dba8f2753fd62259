import { Type, type Static } from '@sinclair/typebox'
import { closed, Nullable, oneOf, Timestamp, UserIdParam, Uuid } from '../../platform/http/schemas.ts'
import { channels, factors, resetReasons } from '../../vocabulary.ts'

export const signInStates = ['notRegistered', 'registered', 'reregistrationRequired', 'reregistrationInProgress', 'reregistrationExpired', 'disabled', 'offboarded'] as const
export const nextSteps = ['challenge', 'register', 'wait', 'deny'] as const

const Missing = closed({
  count: Type.Integer({ description: 'How many are still missing.' }),
  oneOf: Type.Array(oneOf(factors), { description: 'Which methods count.' }),
})

const AcceptedProof = closed({
  channel: oneOf(channels),
  methodId: Type.Optional(Uuid),
  display: Type.Optional(Type.String({ description: 'Where the code goes, masked.' })),
}, { description: 'Of a contact method, one entry for each channel: start a `recovery` challenge with it.' })

const Registration = closed({
  missing: Type.Array(Missing, { description: 'What the policy still asks for; empty where it asks for nothing more.' }),
  acceptedProofs: Type.Array(AcceptedProof, {
    description: 'What is accepted from someone without a second factor: a pass, and verified methods that have been what they are for a day. Empty where there is nothing to register. Where the policy accepts a password for the very first registration, none of them is needed for that.',
  }),
  deadline: Nullable(Timestamp, { description: 'Until when to register again, where the policy sets a time.' }),
})

const SignInMethod = closed({
  id: Uuid,
  kind: oneOf(factors),
  display: Type.String({ description: 'The value, masked.' }),
  channels: Type.Array(oneOf(channels), { description: 'The channel tried first stands first.' }),
  isDefault: Type.Boolean(),
})

const example = {
  userId: 'demo-registered', state: 'registered', since: null, reason: null, next: 'challenge',
  registration: { missing: [], acceptedProofs: [], deadline: null },
  methods: [{ id: '0199c0de-0000-7000-8000-000000000002', kind: 'mobilePhone', display: '+1 ••• ••• ••32', channels: ['sms', 'voice'], isDefault: true }],
  lockedUntil: null, frozenUntil: null, sessionsValidFrom: null, devicesValidFrom: null,
}

export const SignInRequirements = closed({
  userId: Type.String(),
  state: oneOf(signInStates, { description: '`registered`: the active methods meet the policy. `reregistration…`: after a reset, only methods that were verified since count. A lock stands beside the state.' }),
  since: Nullable(Timestamp, { description: 'Since when the user must register again.' }),
  reason: Nullable(oneOf(resetReasons, { description: 'Why they must.' })),
  next: oneOf(nextSteps, { description: '`challenge`: start a `signIn` challenge with one of `methods`. `register`: send the person to register what is missing. `wait`: until `lockedUntil`; where that is null and something has to be registered, until `frozenUntil`; where both are null, until an administrator lifts the lock. `deny`: nothing helps here.' }),
  registration: Registration,
  methods: Type.Array(SignInMethod, { description: 'What a challenge can be started with, the default first. An e-mail only where the policy counts it.' }),
  lockedUntil: Nullable(Timestamp, { description: 'Until when codes are not judged; null where they are.' }),
  frozenUntil: Nullable(Timestamp, { description: 'Until when nothing of the user may be changed. Does not stop a sign-in.' }),
  sessionsValidFrom: Nullable(Timestamp, { description: 'End sessions that are older; null until some were revoked.' }),
  devicesValidFrom: Nullable(Timestamp, { description: 'Forget remembered devices that are older; null until the first time.' }),
}, {
  $id: 'SignInRequirements', title: 'SignInRequirements',
  examples: [example],
})
export type SignInRequirements = Static<typeof SignInRequirements>

export const SignInParams = closed({ userId: UserIdParam })

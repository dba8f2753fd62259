import type { Logger } from 'pino'
import type { Action, AuthorityRule, Channel, Role, Scope, UserStatus } from '../vocabulary.ts'
import type { Db, TenantTx } from './db/index.ts'
import type { Keys } from './keys.ts'

/** Background work that a commit can hurry along; without a wake-up it is found by the next sweep. */
export type Job = 'deliver' | 'seal'

/** What features are handed: no feature opens a connection, reads the environment or asks a clock. */
export interface Deps {
  db: Db
  keys: Keys
  /** Latchkey's own name in proofs, `iss` and where a person started them `aud`: the same on every replica. */
  proofIssuer: string
  /** Origin of the links in messages, without a slash at its end; empty where none is known. */
  publicUrl: string
  random: Random
  wake: (job: Job) => void
  /** Numbers the tenant's committed audit rows now instead of within the next second. */
  sealAudit: (tenantId: string) => Promise<void>
  /** Does the work of a tenant that its moved clock has made due, and answers when it is done. */
  catchUp: (tenantId: string) => Promise<void>
  log: Logger
}

/** Chance, passed in so that a test can fix it. */
export interface Random {
  /** UUIDv7 (RFC 9562), lower case. */
  uuid: () => string
  /** Decimal digits from a CSPRNG, leading zeros kept. */
  digits: (length: number) => string
  /** So many characters of this alphabet, from a CSPRNG, each as likely as the others. */
  text: (alphabet: string, length: number) => string
}

/** What a verified token says. */
export interface TokenClaims {
  tenantSlug: string
  subject: string
  kind: 'person' | 'app'
  /** Always holds `user` for a person; empty for an app. */
  roles: readonly Role[]
  /** Null where the token carries no Latchkey scope: then roles alone decide. */
  scopes: readonly Scope[] | null
  authTime: Date | null
  issuedAt: Date
  amr: readonly string[]
}

/** Who calls, in a tenant that is known. */
export interface Principal extends TokenClaims {
  tenantId: string
  sandbox: boolean
}

/** What Latchkey knows of the calling person, read anew for each request. */
export interface Person {
  status: UserStatus
  privileged: boolean
  mfaEpoch: number
  /** Strength of their strongest active method; see `authority/strength.ts`. */
  strongest: number
}

/** A proof that came beside the token: of an approved challenge that this caller started, in force. */
export interface GivenProof {
  challengeId: string
  /** Whose presence it proves: the calling person's own, or that of a user for whom an app acts. */
  userId: string
  purpose: 'stepUp' | 'recovery'
  channel: Channel
  epoch: number
  /** Strength of the user's strongest active method when the request came. */
  strongest: number
  /** Whether its method is still there, and had been bound for a day when the challenge was approved. */
  settled: boolean
}

/** Who let a request that waited for a second approver be carried out. */
export interface Approval { approvalId: string, approver: string }

/** The caller of this request; of what waited, whoever asked for it, as they are when it is carried out. */
export interface Actor extends Principal {
  /** Null for an app. */
  person: Person | null
  /** The proof beside the token; `unfit` if what came is none or not theirs, absent where none came. */
  proof?: GivenProof | 'unfit'
  /** Set where a second approver has agreed: then it need not wait, and the second factor was asked for before. */
  approvedBy?: Approval
  requestId: string
  /** The database's own clock, which a sandbox does not move: ages of tokens and second factors. */
  serverNow: Date
}

/** The user an action is about, as far as authority must know them. */
export interface Target { userId: string, privileged: boolean, status: UserStatus }

/** How a feature that must not import users gets at one; a user who is not there is 404. */
export interface Targets {
  known: (tx: TenantTx, userId: string) => Promise<Target>
  /** Locks the user: changes of one user come one after the other. */
  locked: (tx: TenantTx, userId: string) => Promise<Target>
  /** Until when nothing of the user may be changed; null where it may. */
  frozenUntil: (tx: TenantTx, userId: string) => Promise<Date | null>
  /** Ends the freeze of a user who is locked; false if there was none. */
  thaw: (tx: TenantTx, userId: string) => Promise<boolean>
}

/** Takes one of what a caller may do so often in an hour, in the transaction that does it; above the limit it throws `rate_limited`. */
export type LimitCaller = (tx: TenantTx, actor: Actor, what: 'search' | 'reveal' | 'administer') => Promise<void>

/**
 * Throws `version_mismatch` unless the caller's `If-Match` (if any) names this version; null is a resource that is not
 * there. Call it on a locked row. `wanted` is that header, for a request that is judged again later.
 */
export interface Precondition {
  (version: number | null): void
  wanted?: string | undefined
}

/** Makes a precondition of what `wanted` was. */
export type PreconditionOf = (wanted: string | undefined) => Precondition

/** What a change gives that waits for a second approver instead of being done. */
export interface Waiting { approvalId: string }

/** Whether a change is done at once or waits for a second approver. */
export type Verdict = 'now' | 'secondApprover'

/** What authority decides, for the features that are handed it instead of importing it. Each throws its refusal. */
export interface Authority {
  /** Throws unless the caller may do this to the user; says whether it has to wait. */
  judgeTarget: (actor: Actor, action: Action, target: Target) => Verdict
  requireStepUp: (actor: Actor, action: Action) => unknown
  /** Whether the caller sees full values of this user: their own, by permission (`reveal`), or not. */
  valuesShown: (actor: Actor, userId: string, reveal: boolean) => 'own' | 'revealed' | 'masked'
  refused: (action: Action, userId: string | null, rule: AuthorityRule) => Error
}

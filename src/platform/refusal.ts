/**
 * Every "no" a caller may be told: the closed list of `code`s with the HTTP status and the fixed title of each.
 * A bug is any other Error: it becomes `internal_error` and a log line.
 */
export const refusals = {
  validation_failed: [400, 'The request does not fit the schema'],
  malformed_body: [400, 'The body is not well-formed JSON'],
  malformed_url: [400, 'The URL is not well-formed'],
  malformed_code: [400, 'The code is not made of digits only'],
  invalid_cursor: [400, 'The cursor is not valid for this list'],
  unauthenticated: [401, 'A bearer token is required'],
  invalid_token: [401, 'The token is not accepted'],
  insufficient_user_authentication: [401, 'A fresh second factor is required'],
  forbidden: [403, 'Not allowed'],
  proof_required: [403, 'A proof is required'],
  not_found: [404, 'Not found'],
  method_not_allowed: [405, 'This path does not answer this method'],
  method_limit_reached: [409, 'The user already has the allowed number of this kind'],
  duplicate_method: [409, 'The user already has this value'],
  last_method: [409, 'It is the last method that satisfies the policy'],
  method_not_usable: [409, 'The method cannot be used for this'],
  no_usable_method: [409, 'The user has no usable method'],
  reset_in_progress: [409, 'A reset has just been done'],
  challenge_approved: [409, 'The challenge was already approved'],
  challenge_exhausted: [409, 'The challenge had too many wrong codes'],
  challenge_canceled: [409, 'The challenge was canceled'],
  challenge_failed: [409, 'The challenge failed: the message could not be sent'],
  nothing_to_resend: [409, 'There is nothing to resend'],
  approval_closed: [409, 'The approval is closed'],
  user_frozen: [409, 'Changes to this user are frozen'],
  user_offboarded: [409, 'The user was off-boarded'],
  idempotency_in_progress: [409, 'The first request with this key is still running'],
  challenge_expired: [410, 'The challenge has expired'],
  link_expired: [410, 'The link has expired'],
  version_mismatch: [412, 'The resource has changed'],
  body_too_large: [413, 'The body is too large'],
  unsupported_media_type: [415, 'The media type is not supported'],
  wrong_code: [422, 'The code is wrong'],
  invalid_phone_number: [422, 'Not a valid phone number'],
  phone_number_not_allowed: [422, 'This phone number is not allowed'],
  invalid_email: [422, 'Not a valid e-mail address'],
  channel_not_available: [422, 'The channel is not available'],
  same_as_sign_in: [422, 'It is the same as the sign-in e-mail'],
  kind_immutable: [422, 'The kind cannot change'],
  country_immutable: [422, 'The default country cannot change'],
  policy_out_of_bounds: [422, 'The policy is outside its bounds'],
  idempotency_key_reused: [422, 'The idempotency key was used for another request'],
  user_locked: [423, 'The user is locked'],
  send_limited: [429, 'Too many messages'],
  rate_limited: [429, 'Too many requests'],
  internal_error: [500, 'Internal error'],
  unavailable: [503, 'Temporarily unavailable'],
} as const satisfies Record<string, readonly [number, string]>

export type RefusalCode = keyof typeof refusals
export const refusalCodes = Object.keys(refusals) as RefusalCode[]
export const statusOf = (code: RefusalCode): number => refusals[code][0]
export const titleOf = (code: RefusalCode): string => refusals[code][1]

/** One fault in a request: `pointer` (RFC 6901) into the body, or the name of a `parameter`. */
export interface Fault { pointer?: string, parameter?: string, code: string, message: string }

/** What a refusal may carry beside its code. Nothing here may hold a number, an address, a code or a token. */
export interface RefusalExtras {
  errors?: Fault[]
  attemptsRemaining?: number
  retryAfterSeconds?: number
  rule?: string
  challengeId?: string
  resetId?: string
  /** RFC 9470: how old the second factor may be, for `insufficient_user_authentication`. */
  maxAgeSeconds?: number
  /** Methods the path answers, for `method_not_allowed`. */
  allow?: string
}

export class Refusal extends Error {
  readonly code: RefusalCode
  readonly extras: RefusalExtras
  constructor (code: RefusalCode, detail: string, extras: RefusalExtras = {}) {
    super(detail)
    this.code = code
    this.extras = extras
  }
}

/** A refusal that leaves an audit row, called `action`, in a transaction of its own. */
export class RecordedRefusal extends Refusal {
  readonly action: string
  readonly userId: string | null
  constructor (code: RefusalCode, detail: string, about: { action: string, userId: string | null }, extras: RefusalExtras = {}) {
    super(code, detail, extras)
    this.action = about.action
    this.userId = about.userId
  }
}

/** A refusal for want of authority. */
export class AuthorityRefusal extends RecordedRefusal {}

/** The same words whoever asks and whatever is hidden, so that nothing can be told apart. */
export const notFoundDetail = 'There is nothing here that you may see.'
export const notFound = () => new Refusal('not_found', notFoundDetail)

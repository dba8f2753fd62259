import { titleOf, type RefusalCode, type RefusalExtras } from '../refusal.ts'
import { advice } from './problem-advice.ts'
import { problemOf } from './problems.ts'

const requestId = '0199c0de-0000-7000-8000-000000000001'

const at = (pointer: string, code: string, message: string): RefusalExtras => ({ errors: [{ pointer, code, message }] })

/** What stands beside the code where it applies. */
const extras: { [C in RefusalCode]?: RefusalExtras } = {
  validation_failed: at('/surprise', 'unknown_field', 'must NOT have additional properties'),
  malformed_code: { attemptsRemaining: 4 },
  forbidden: { rule: 'role' },
  reset_in_progress: { resetId: '0199c0de-0000-7000-8000-000000000005' },
  idempotency_in_progress: { retryAfterSeconds: 1 },
  wrong_code: { attemptsRemaining: 4 },
  invalid_phone_number: at('/value', 'invalid_phone_number', 'There is no such number.'),
  phone_number_not_allowed: at('/value', 'phone_number_not_allowed', 'Numbers of this country are not allowed.'),
  invalid_email: at('/value', 'invalid_email', 'It is not one plain e-mail address.'),
  same_as_sign_in: at('/value', 'same_as_sign_in', 'It leads to the same mailbox as the sign-in e-mail.'),
  policy_out_of_bounds: at('/codes/length', 'maximum', 'must be <= 10'),
  user_locked: { retryAfterSeconds: 900 },
  send_limited: { retryAfterSeconds: 30, challengeId: '0199c0de-0000-7000-8000-000000000003' },
  rate_limited: { retryAfterSeconds: 60, rule: 'policy.limits.searchesPerHour' },
  unavailable: { retryAfterSeconds: 1 },
}

/** A problem with this code as OpenAPI shows it, once for all operations. */
export const problemExample = (code: RefusalCode) =>
  ({ summary: titleOf(code), value: problemOf(code, advice[code].means, requestId, extras[code]) })

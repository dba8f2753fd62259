import { Refusal } from '../refusal.ts'

const unavailableCodes = new Set([
  'ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH',
  '25006', // read-only: a demoted primary
  '40001', '40P01', // gave way to another transaction, and again after the retries
  '55P03', '57014', // lock or statement timeout
])
const unavailableClasses = ['08', '53', '57P']
const unavailableMessages = /^(Connection terminated|Client has encountered a connection error|Client was closed|timeout exceeded when trying to connect|timeout expired|Query read timeout|The server does not support|Cannot use a pool after calling end)/

/** Whether the database, not the request or a bug, is why this failed: the caller should come again. */
export function isDatabaseUnavailable (error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const code = (error as { code?: unknown }).code
  if (typeof code === 'string') {
    if (unavailableCodes.has(code) || unavailableClasses.some((start) => code.startsWith(start))) return true
  }
  return unavailableMessages.test(error.message)
}

export const isLockTimeout = (error: unknown): boolean => codeOf(error) === '55P03'

/** Postgres could not read a value as its type: text with NUL, a lone surrogate. The request's fault, not ours. */
export const isUnreadableValue = (error: unknown): boolean => codeOf(error)?.startsWith('22') ?? false

export const unavailable = () => new Refusal('unavailable', 'The service cannot answer at the moment. Try again.', { retryAfterSeconds: 1 })

function codeOf (error: unknown): string | undefined {
  const code = error instanceof Error ? (error as { code?: unknown }).code : undefined
  return typeof code === 'string' ? code : undefined
}

import { pino, type DestinationStream, type Logger } from 'pino'

/** Lines are written together, at the latest after this time: a system call for each line costs more than the line. */
const gathered = { sync: false, minLength: 4_096, periodicFlush: 200 }

/** One JSON object a line. What goes in is named field by field; bodies, headers, queries and error messages never do. */
export const createLog = (level: string, destination?: DestinationStream): Logger =>
  pino({ level, base: null, timestamp: isoTime(), formatters: { level: (label) => ({ level: label }) } }, destination ?? pino.destination(gathered))

/** The time of a line; under load many lines have the same one, so that it is written out once. */
function isoTime (): () => string {
  let ms = 0
  let text = ''
  return () => {
    const nowMs = Date.now()
    if (nowMs !== ms) [ms, text] = [nowMs, `,"time":"${new Date(nowMs).toISOString()}"`]
    return text
  }
}

/**
 * What may be logged of an error: its name, its code and where it was thrown. Its message may quote a value (a failed
 * parse does, and Postgres does), so it stays out.
 */
export function errorFields (error: unknown): { error: string, code?: string, at?: string[] } {
  if (!(error instanceof Error)) return { error: typeof error }
  const code = (error as { code?: unknown }).code
  const at = error.stack?.split('\n').filter((line) => /^\s+at /.test(line)).slice(0, 8).map((line) => line.trim())
  return { error: error.name, ...(typeof code === 'string' && { code }), ...(at && { at }) }
}

/** An error in words, for whoever starts a command by hand. Refused connections to several addresses have no message of their own. */
export function reasonOf (error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(reasonOf).join('; ')
  return error instanceof Error ? error.message : String(error)
}

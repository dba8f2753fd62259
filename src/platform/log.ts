import { pino, type DestinationStream, type Logger } from 'pino'

/** One JSON object a line. What goes in is named field by field; bodies, headers, queries and error messages never do. */
export const createLog = (level: string, destination?: DestinationStream): Logger =>
  pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime, formatters: { level: (label) => ({ level: label }) } }, destination ?? pino.destination({ sync: true }))

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

import type { Db } from './index.ts'

/** The database's clock as this process knows it: its own clock and the difference, measured every so often. */
export interface DatabaseClock { now: () => Date, measure: () => Promise<void>, close: () => void }

const measureEveryMs = 30_000

/** A replica whose own clock is off judges the age of tokens like all the others. */
export function databaseClock (db: Pick<Db, 'serverTime'>): DatabaseClock {
  let aheadMs = 0
  const measure = async () => {
    const sentMs = Date.now()
    const server = await db.serverTime()
    aheadMs = server.getTime() - (sentMs + Date.now()) / 2
  }
  const timer = setInterval(() => { measure().catch(() => undefined) }, measureEveryMs) // while the database is away the last difference holds
  timer.unref()
  return { now: () => new Date(Date.now() + aheadMs), measure, close: () => clearInterval(timer) }
}

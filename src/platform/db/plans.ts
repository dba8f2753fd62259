import type pg from 'pg'

const firstAgeMs = 1_000

/** When each connection's plans are too old, and how old they may get the next time. */
const ages = new WeakMap<pg.ClientBase, { dueMs: number, nextAgeMs: number }>()

/**
 * Lets a connection that is about to be used make its plans anew 1, 2, 4, 8, … seconds after it made them before.
 *
 * Postgres keeps a plan until the statistics of its tables change. One that was made on an empty table may read all rows
 * of a tenant once there are many, until Postgres gets to look at the table, about a minute later. As tables grow by the
 * time they are written to, waits that double cost next to nothing and bound what an old plan can do. Several new
 * statements in a pipeline stay behind this one.
 */
export function dropOldPlans (client: pg.ClientBase): void {
  const nowMs = performance.now()
  const age = ages.get(client)
  if (age && nowMs < age.dueMs) return
  const nextAgeMs = age ? age.nextAgeMs * 2 : firstAgeMs
  ages.set(client, { dueMs: nowMs + nextAgeMs, nextAgeMs })
  // A connection that fails here fails for the statement that follows, too, and its caller hears of it.
  if (age) client.query('discard plans').catch(() => undefined)
}

import { sql } from 'kysely'
import type { TenantTx } from './index.ts'

/**
 * Runs `work` and takes back what it has written, whatever it was, if `back` then says so. What `work` refuses is refused
 * as ever. The locks of what is taken back are let go.
 */
export async function takingBack<T> (tx: TenantTx, work: (tx: TenantTx) => Promise<T>, back: () => boolean): Promise<T> {
  const committed: Array<() => void> = []
  await sql`savepoint taking_back`.execute(tx.db)
  const result = await work({ ...tx, afterCommit: (next) => { committed.push(next) } })
  if (back()) await sql`rollback to savepoint taking_back`.execute(tx.db)
  else for (const next of committed) tx.afterCommit(next)
  await sql`release savepoint taking_back`.execute(tx.db)
  return result
}

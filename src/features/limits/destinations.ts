import { sql } from 'kysely'
import type { TenantTx } from '../../platform/db/index.ts'
import type { PolicyDocument } from '../policy/schema.ts'

/** A send that was taken: how many more there may be, and from when. */
export interface TakenSend { taken: true, availableAt: Date, remaining: number }
export interface RefusedSend { taken: false, availableAt: Date }

/**
 * Takes one send to a destination (a number with its extension, or a mailbox): 30, 60, 120, 300 s between sends, 5 in
 * 10 minutes, 20 a day. In the caller's transaction: a start that is refused later gives it back.
 */
export async function takeDestinationSend ({ db }: TenantTx, destinationIndex: Buffer, challengeId: string, limits: PolicyDocument['limits']): Promise<TakenSend | RefusedSend> {
  const { rows: [row] } = await sql<{ taken: boolean, available_at: Date, remaining: number }>`
    select * from take_destination_send(${destinationIndex}, ${challengeId}, ${limits.destinationPerTenMinutes}, ${limits.destinationPerDay})`.execute(db)
  return row!.taken
    ? { taken: true, availableAt: row!.available_at, remaining: row!.remaining }
    : { taken: false, availableAt: row!.available_at }
}

/** An approved code does not count and restarts the waits; what no provider took does not count. */
export async function forgetDestinationSends ({ db }: TenantTx, destinationIndex: Buffer, challengeId: string, ended: 'approved' | 'failed'): Promise<void> {
  await sql`select forget_destination_sends(${destinationIndex}, ${challengeId}, ${ended === 'approved'})`.execute(db)
}

import type { TenantTx } from '../../platform/db/index.ts'
import type { ResetReason } from '../../vocabulary.ts'
import { endSessions, incrementEpoch, setReregistration, type UserRow } from './queries.ts'

/** Makes every code, proof and link of before worthless: each is bound to the epoch it was made in. The user must be locked. */
export const raiseEpoch = (tx: TenantTx, userId: string): Promise<number> => incrementEpoch(tx, userId)

/** From now on only methods that the person verifies after this count, until those meet the policy. The user must be locked. */
export const requireReregistration = (tx: TenantTx, userId: string, { reason }: { reason: ResetReason }): Promise<void> =>
  setReregistration(tx, userId, tx.now, reason)

/** The person has registered what the policy asks for. The user must be locked. */
export const endReregistration = (tx: TenantTx, userId: string): Promise<void> => setReregistration(tx, userId, null, null)

/** Until when the user must have registered again; null where they need not, or at any time. */
export const registrationDeadline = ({ reregistration_since: since }: Pick<UserRow, 'reregistration_since'>, deadlineDays: number | null): Date | null =>
  since === null || deadlineDays === null ? null : new Date(since.getTime() + deadlineDays * 86_400_000)

/** From now on every token of an earlier sign-in is refused, and remembered devices are forgotten where asked for. */
export async function endSessionsOf (tx: TenantTx, userId: string, what: { sessions: boolean, devices: boolean }): Promise<{ sessionsValidFrom: Date | null, devicesValidFrom: Date | null }> {
  const row = await endSessions(tx, userId, what)
  return { sessionsValidFrom: row.sessions_valid_from, devicesValidFrom: row.devices_valid_from }
}

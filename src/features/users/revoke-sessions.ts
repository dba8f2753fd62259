import type { TenantTx } from '../../platform/db/index.ts'
import type { Actor, Authority, Deps } from '../../platform/deps.ts'
import { record, withoutPersonalData } from '../audit/audit.ts'
import { endSessions } from './queries.ts'
import type { NewSessionRevocation, SessionRevocation } from './schema.ts'
import { lockedUser, targetOf } from './users.ts'

/** From now on every token of an earlier sign-in is refused, on every route; the user resource stays as it is. */
export async function revokeSessions (deps: Deps, tx: TenantTx, authority: Authority, actor: Actor, userId: string, { reason, note, forgetDevices = false }: NewSessionRevocation): Promise<SessionRevocation> {
  authority.judgeTarget(actor, 'sessions.revoke', targetOf(await lockedUser(tx, userId)))
  authority.requireStepUp(actor, 'sessions.revoke')
  const { sessions_valid_from: sessions, devices_valid_from: devices } = await endSessions(tx, userId, { sessions: true, devices: forgetDevices })
  await record(deps, tx, actor, {
    action: 'sessions.revoked', userId,
    details: { forgetDevices, ...(reason !== undefined && { reason }), ...(note !== undefined && { note: withoutPersonalData(note) }) },
  })
  return { userId, sessionsValidFrom: sessions!.toISOString(), devicesValidFrom: devices?.toISOString() ?? null }
}

import type { TenantTx } from '../../platform/db/index.ts'
import type { Actor, Authority, Deps, Targets } from '../../platform/deps.ts'
import { guessableChannels } from '../../vocabulary.ts'
import { record } from '../audit/audit.ts'
import { clearFailures, selectFailures } from './queries.ts'
import type { Lockout } from './schema.ts'

/** A method with so many wrong codes in a row is disabled, or locked where it is the last usable one. */
const methodFailuresMax = 50

/** Whether wrong codes have locked the user or one of their methods, and whether the user is frozen. A lock that is over is none. */
export async function readLockout ({ db }: Deps, { tenantId }: Actor, targets: Targets, userId: string): Promise<Lockout> {
  return db.inTenant(tenantId, async (tx) => {
    await targets.known(tx, userId)
    const failures = await selectFailures(tx, userId, methodFailuresMax)
    const lockedUntil = failures?.locked_until && failures.locked_until > tx.now ? failures.locked_until.toISOString() : null
    return {
      userId, lockedUntil, frozenUntil: (await targets.frozenUntil(tx, userId))?.toISOString() ?? null, wrongCodesInARow: failures?.in_a_row ?? 0,
      lockedChannels: lockedUntil === null ? [] : [...guessableChannels], lockedMethods: failures?.locked_methods ?? [],
    }
  })
}

/** Lifts a freeze, the locks of a user and of their methods, and clears the counts; of a privileged user without a second approver. */
export async function liftLockout (deps: Deps, tx: TenantTx, authority: Authority, actor: Actor, targets: Targets, userId: string): Promise<void> {
  authority.judgeTarget(actor, 'lockout.lift', await targets.locked(tx, userId))
  authority.requireStepUp(actor, 'lockout.lift')
  if (await targets.thaw(tx, userId)) await record(deps, tx, actor, { action: 'freeze.lifted', userId })
  const failures = await selectFailures(tx, userId, methodFailuresMax, true)
  if (!failures || (failures.in_a_row === 0 && failures.locked_until === null && !failures.counted)) return
  await clearFailures(tx, userId)
  const locked = failures.locked_until !== null && failures.locked_until > tx.now
  await record(deps, tx, actor, { action: 'lockout.lifted', userId, details: { wrongCodesInARow: failures.in_a_row, locked, methodIds: failures.locked_methods } })
}

/** A reset ends every lock, and nothing of before it counts. The user must be locked. */
export const forgetFailures = (tx: TenantTx, userId: string): Promise<void> => clearFailures(tx, userId)

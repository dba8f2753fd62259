import type { TenantTx } from '../../platform/db/index.ts'
import type { Actor, Deps, Waiting } from '../../platform/deps.ts'
import { Refusal } from '../../platform/refusal.ts'
import { askForApproval, type Executor } from '../approvals/approvals.ts'
import { record, withoutPersonalData } from '../audit/audit.ts'
import { voidPasses } from '../authenticators/temporary-access-pass/pass.ts'
import { judgeTarget } from '../authority/may.ts'
import { requireStepUp } from '../authority/step-up.ts'
import { cancelChallengesOfUser } from '../challenges/challenges.ts'
import { resetMethods } from '../contact-methods/reset.ts'
import { addressesOf, tell } from '../contact-methods/tell.ts'
import { forgetFailures } from '../limits/lockout.ts'
import { policyInForce } from '../policy/policy.ts'
import { endReregistration, endSessionsOf, raiseEpoch, requireReregistration } from '../users/reregistration.ts'
import { lockedUser, setStatus, targetOf } from '../users/users.ts'
import { insertOffboarding, selectNewest, undoInForce } from './queries.ts'
import { sealNote, toOffboarding } from './read.ts'
import type { NewOffboarding, Offboarding } from './schema.ts'

const dayMs = 86_400_000

export const eraseAfter = (now: Date, retentionDays: number) => new Date(now.getTime() + retentionDays * dayMs)

/**
 * From now on nothing of the person works: every method is gone, sessions end, codes and passes are worthless. Their
 * data is erased later, and until then it can be undone. A privileged user is off-boarded once a second administrator
 * approves.
 */
export async function offboardUser (deps: Deps, tx: TenantTx, actor: Actor, userId: string, input: NewOffboarding): Promise<Offboarding | Waiting> {
  const user = await lockedUser(tx, userId)
  const verdict = judgeTarget(actor, 'offboarding.write', targetOf(user))
  requireStepUp(actor, 'offboarding.write')
  if (verdict === 'secondApprover') return askForApproval(deps, tx, actor, { action: 'offboarding.write', userId, request: { does: 'offboard', userId, input } satisfies Wanted })
  const policy = await policyInForce(tx)

  const addresses = await addressesOf(deps, tx, userId)
  const epoch = await raiseEpoch(tx, userId)
  await forgetFailures(tx, userId)
  const { removed } = await resetMethods(deps, tx, actor, user, policy, () => true)
  const passes = await voidPasses(tx, userId)
  await cancelChallengesOfUser(tx, userId)
  await endSessionsOf(tx, userId, { sessions: true, devices: true })
  await endReregistration(tx, userId)
  await setStatus(tx, userId, 'offboarded')
  const id = deps.random.uuid()
  const row = await insertOffboarding(tx, {
    id, user_id: userId, requested_by: actor.subject, erase_after: eraseAfter(tx.now, policy.retentionDays), reason: sealNote(deps.keys, tx.tenantId, id, input),
  })
  await tell(deps, tx, { userId, kind: 'offboarded', addresses, link: false })
  await record(deps, tx, actor, {
    action: 'user.offboarded', userId,
    details: {
      removed: [...removed, ...passes].length, epoch, eraseAfter: row.erase_after.toISOString(),
      ...(input.note !== undefined && { note: withoutPersonalData(input.note) }), ...(input.ticket !== undefined && { ticket: withoutPersonalData(input.ticket) }),
    },
  })
  return toOffboarding(deps, tx, actor, row)
}

/**
 * Takes someone back before their data is erased. No old method comes back: they register again, and not with a
 * password alone.
 */
export async function undoOffboarding (deps: Deps, tx: TenantTx, actor: Actor, userId: string): Promise<Waiting | undefined> {
  const user = await lockedUser(tx, userId)
  const verdict = judgeTarget(actor, 'offboarding.write', { ...targetOf(user), status: 'active' })
  requireStepUp(actor, 'offboarding.write')
  const newest = await selectNewest(tx, userId)
  if (!newest || newest.status === 'undone') throw new Refusal('not_found', 'The user is not off-boarded.')
  if (newest.status === 'erased') throw new Refusal('user_offboarded', 'The data of the user is erased. Make them anew.')
  if (verdict === 'secondApprover') return askForApproval(deps, tx, actor, { action: 'offboarding.write', userId, request: { does: 'undo', userId } satisfies Wanted })
  if (!await undoInForce(tx, userId)) throw new Error('an off-boarding ended while its user was locked')
  await setStatus(tx, userId, 'active')
  await raiseEpoch(tx, userId)
  await requireReregistration(tx, userId, { reason: 'left' })
  await record(deps, tx, actor, { action: 'user.offboardingUndone', userId })
  return undefined
}

interface Wanted { does: 'offboard' | 'undo', userId: string, input?: NewOffboarding }

/** What approving an off-boarding, or its undoing, does: the same again, judged as things are then. */
export const offboardingExecutor: Executor<Wanted> = {
  summary: 'Off-board a privileged user, or take one back',
  async execute (deps, tx, actor, { does, userId, input = {} }) {
    if (does === 'undo') await undoOffboarding(deps, tx, actor, userId)
    else await offboardUser(deps, tx, actor, userId, input)
  },
}

import type { LimitCaller } from '../../platform/deps.ts'
import { RecordedRefusal } from '../../platform/refusal.ts'
import { policyInForce } from '../policy/policy.ts'
import { takeWindow } from './queries.ts'

const limitOf = { search: 'searchesPerHour', reveal: 'revealsPerHour', administer: 'resetsPerHour' } as const
const called = { search: 'searches', reveal: 'reveals', administer: 'resets and passes' } as const
const hourSeconds = 3600

/**
 * Searches by phone or e-mail, and reveals, tell who has a number: 60 of each an hour per caller, whatever they found,
 * in any hour and over all replicas. Resets and passes of one administrator, 20 an hour together, are bounded in the same
 * way: one who turned cannot take over everyone. In the caller's transaction: what is refused later gives it back.
 */
export const limitCaller: LimitCaller = async (tx, { kind, subject }, what) => {
  const { limits } = await policyInForce(tx)
  const retryAfterSeconds = await takeWindow(tx, `${what}:${kind}:${subject}`, limits[limitOf[what]], hourSeconds)
  if (retryAfterSeconds === null) return
  throw new RecordedRefusal('rate_limited', `This caller has used up the ${called[what]} of an hour.`,
    { action: 'limit.reached', userId: null }, { retryAfterSeconds, rule: `policy.limits.${limitOf[what]}` })
}

import type { LimitCaller } from '../../platform/deps.ts'
import { RecordedRefusal } from '../../platform/refusal.ts'
import { policyInForce } from '../policy/policy.ts'
import { takeWindow } from './queries.ts'

const limitOf = { search: 'searchesPerHour', reveal: 'revealsPerHour' } as const
const hourSeconds = 3600

/**
 * Searches by phone or e-mail, and reveals, tell who has a number: 60 of each an hour per caller, whatever they found,
 * in any hour and over all replicas. In the caller's transaction: what is refused later gives it back.
 */
export const limitCaller: LimitCaller = async (tx, { kind, subject }, what) => {
  const { limits } = await policyInForce(tx)
  const retryAfterSeconds = await takeWindow(tx, `${what}:${kind}:${subject}`, limits[limitOf[what]], hourSeconds)
  if (retryAfterSeconds === null) return
  throw new RecordedRefusal('rate_limited', `This caller has used up the ${what === 'search' ? 'searches' : 'reveals'} of an hour.`,
    { action: 'limit.reached', userId: null }, { retryAfterSeconds, rule: `policy.limits.${limitOf[what]}` })
}

import type { TenantTx } from '../../platform/db/index.ts'
import type { Actor } from '../../platform/deps.ts'
import type { Action } from '../../vocabulary.ts'
import { refused } from '../authority/may.ts'
import { spendOnce } from './queries.ts'

const countsSeconds = 15 * 60

/**
 * Uses up a caller check, which arms one reset or one pass: started by this administrator for this user, approved at most
 * 15 minutes ago, and not used before; else 403. Of two who use it at once one does. The user must be locked.
 */
export async function spendCallerCheck (tx: TenantTx, actor: Actor, userId: string, callerChallengeId: string, action: Action = 'callerChecks.start'): Promise<void> {
  const spent = actor.kind === 'person' && await spendOnce(tx, callerChallengeId.toLowerCase(), actor.subject, userId, new Date(tx.now.getTime() - countsSeconds * 1000))
  if (!spent) throw refused(action, userId, 'caller_check')
}

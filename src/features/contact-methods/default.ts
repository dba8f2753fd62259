import type { TenantTx } from '../../platform/db/index.ts'
import type { Actor, Deps, Precondition } from '../../platform/deps.ts'
import { Refusal } from '../../platform/refusal.ts'
import { record } from '../audit/audit.ts'
import { valuesShown } from '../authority/authority.ts'
import type { PolicyDocument } from '../policy/schema.ts'
import { judgeKnown, knownMethod, startChange, toContactMethod } from './contact-methods.ts'
import { clearDefault, selectMethods, updateMethod, type MethodRow } from './queries.ts'
import type { ContactMethod, DefaultMethod } from './schema.ts'
import { channelsOf, countsForMfa } from './value.ts'

/** Chooses the method, and the channel, that is tried first at sign-in. */
export async function chooseDefault (deps: Deps, tx: TenantTx, actor: Actor, userId: string, { methodId, channel }: DefaultMethod, precondition: Precondition): Promise<ContactMethod> {
  const change = await startChange(deps, tx, actor, userId)
  const { policy } = change
  const present = await knownMethod(tx, userId, methodId)
  judgeKnown(actor, change, present)
  precondition(present.version)
  const row = await makeDefault(tx, policy, present, channel)
  if (row !== present) await record(deps, tx, actor, { action: 'defaultMethod.chosen', userId, details: { methodId, channel: row.default_channel } })
  return toContactMethod(deps.keys, row, policy, valuesShown(actor, userId, false) !== 'masked', tx.now)
}

/** Only an active method that counts for sign-in can be the default. Gives the same row back where it was that already. */
export async function makeDefault (tx: TenantTx, policy: PolicyDocument, row: MethodRow, channel?: string): Promise<MethodRow> {
  if (row.status !== 'active' || !countsForMfa(row.kind, policy)) throw new Refusal('method_not_usable', 'Only an active method that counts for sign-in can be the default.')
  const channels = channelsOf(row.kind, row.line_type)
  if (channel !== undefined && !channels.some((one) => one === channel)) throw new Refusal('channel_not_available', 'The method has no such channel.')
  const chosen = channel ?? channels[0]!
  if (row.is_default && row.default_channel === chosen) return row
  if (!row.is_default) await clearDefault(tx, row.user_id)
  return updateMethod(tx, row.id, { is_default: true, default_channel: chosen })
}

/** The method that the policy's order puts first becomes the default; false if there is none but `exceptId`. */
export async function promoteNext (tx: TenantTx, policy: PolicyDocument, userId: string, exceptId: string): Promise<boolean> {
  const candidates = (await selectMethods(tx, userId)).filter((row) => row.id !== exceptId && row.status === 'active' && countsForMfa(row.kind, policy))
  const rank = (row: MethodRow) => { const place = policy.order.indexOf(row.kind); return place < 0 ? policy.order.length : place }
  const next = candidates.toSorted((a, b) => rank(a) - rank(b))[0]
  if (!next) return false
  await makeDefault(tx, policy, next)
  return true
}

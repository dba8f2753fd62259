import type { TenantTx } from '../../../platform/db/index.ts'
import type { Actor, Deps } from '../../../platform/deps.ts'
import type { Keys } from '../../../platform/keys.ts'
import { Refusal } from '../../../platform/refusal.ts'
import { record, withoutPersonalData, type AuditActor } from '../../audit/audit.ts'
import { isSelf, refused } from '../../authority/may.ts'
import type { PolicyDocument } from '../../policy/schema.ts'
import { lockedUser } from '../../users/users.ts'
import type { AuthenticatorStatus } from '../../../vocabulary.ts'
import { insertPass, readPass, selectPass, voidPass, voidWornOut, type PassOfUser, type PassRow } from './queries.ts'
import type { IssuedPass } from './schema.ts'
import { passAlphabet, passParts } from './value.ts'

export type { PassOfUser, PassRow }

/** Wrong tries in a row after which a pass is void, over all its challenges. */
export const passTriesMax = 5

const minutesMin = 10
/** How far ahead a pass may start. */
const startsWithinMinutes = 43_200
const minuteMs = 60_000

const outside = (pointer: string, message: string) => new Refusal('policy_out_of_bounds', 'A value is outside its bounds.', { errors: [{ pointer, code: 'maximum', message }] })

/** Refuses a lifetime that the policy does not allow. `pointer` is where in the body the pass stands. */
export function requirePassWithinBounds ({ pass }: Pick<PolicyDocument, 'pass'>, { lifetimeMinutes = pass.minutes }: { lifetimeMinutes?: number | undefined }, pointer = ''): void {
  if (lifetimeMinutes < minutesMin || lifetimeMinutes > pass.maxMinutes) throw outside(`${pointer}/lifetimeMinutes`, `must be from ${minutesMin} to ${pass.maxMinutes}`)
}

/** When a pass starts that is asked for `startsAt`: at once where that is over. More than 30 days ahead is refused. */
function startOf (startsAt: string | undefined, now: Date): Date {
  if (startsAt === undefined) return now
  const asked = Date.parse(startsAt)
  if (!(asked - now.getTime() <= startsWithinMinutes * minuteMs)) throw outside('/startsAt', 'must not be more than 30 days ahead')
  return new Date(Math.max(asked, now.getTime()))
}

export interface PassToIssue {
  userId: string
  policy: Pick<PolicyDocument, 'pass'>
  lifetimeMinutes?: number | undefined
  oneTime?: boolean | undefined
  startsAt?: string | undefined
  basis?: 'callerCheck' | 'inPerson' | undefined
  note?: string | undefined
}

/**
 * Makes a pass in the user's present epoch; the one before is void, and so are its challenges. The value is in the answer
 * and nowhere else. Never to oneself. The user must be locked, and whoever asks must have been judged.
 */
export async function issuePass (deps: Pick<Deps, 'keys' | 'random'>, tx: TenantTx, actor: AuditActor, { userId, policy, lifetimeMinutes, oneTime = policy.pass.oneTime, startsAt, basis, note }: PassToIssue): Promise<IssuedPass> {
  if (isSelf(actor, userId)) throw refused('passes.issue', userId, 'self_administration')
  requirePassWithinBounds(policy, { lifetimeMinutes })
  const starts = startOf(startsAt, tx.now)
  const { mfa_epoch: epoch } = await lockedUser(tx, userId)
  const replaced = await voidPasses(tx, userId)
  const id = deps.random.uuid()
  const value = deps.random.text(passAlphabet, policy.pass.length)
  const expires = new Date(starts.getTime() + (lifetimeMinutes ?? policy.pass.minutes) * minuteMs)
  await insertPass(tx, {
    tenant_id: tx.tenantId, id, user_id: userId, code_mac: deps.keys.mac('code', tx.tenantId, passParts(userId, id, value)), code_key_version: deps.keys.newest,
    mfa_epoch: epoch, starts_at: starts, expires_at: expires, one_time: oneTime, basis: basis ?? null, issued_by: `${actor.kind}:${actor.subject}`, created_at: tx.now,
  })
  const times = { startsAt: starts.toISOString(), expiresAt: expires.toISOString() }
  await record(deps, tx, actor, {
    action: 'pass.issued', userId,
    details: { authenticatorId: id, ...times, oneTime, ...(basis && { basis }), ...(replaced.length > 0 && { replaced }), ...(note !== undefined && { note: withoutPersonalData(note) }) },
  })
  return { authenticatorId: id, value, ...times, oneTime }
}

/** Makes every pass of the user void, with its challenges. Answers those that were still worth something. The user must be locked. */
export async function voidPasses (tx: TenantTx, userId: string): Promise<string[]> {
  const voided = await voidPass(tx, userId, null)
  return voided === undefined ? [] : [voided]
}

/** How a pass that is not void stands at this time. `disabled`: it had too many wrong tries. */
export function passStatus (row: PassRow, now: Date): AuthenticatorStatus {
  if (row.one_time && row.used_at !== null) return 'used'
  if (row.expires_at <= now) return 'expired'
  if (row.wrong_tries >= passTriesMax) return 'disabled'
  return row.starts_at > now ? 'pending' : 'active'
}

/** The pass of a user that is worth something now or later, if there is one. */
export async function currentPasses (tx: TenantTx, userId: string): Promise<string[]> {
  const pass = await selectPass(tx, userId)
  return pass === undefined || pass.expires_at <= tx.now || (pass.one_time && pass.used_at !== null) ? [] : [pass.id]
}

/** Makes this pass of the user void, with its challenges. The user must be locked. */
export const voidPassNamed = async (tx: TenantTx, userId: string, passId: string): Promise<void> => { await voidPass(tx, userId, passId) }

/** The pass of a user that has not been made void, used up or over as it may be. */
export const knownPass = (tx: TenantTx, userId: string): Promise<PassRow | undefined> => selectPass(tx, userId)

/** The pass of a user that has not been made void, or the one that is named, if it was theirs. */
export async function passOf ({ db }: Pick<Deps, 'db'>, tenantId: string, userId: string, passId?: string): Promise<PassOfUser | undefined> {
  const [row] = await db.readInTenant<PassOfUser>(tenantId, readPass, [userId, passId ?? null])
  return row
}

/** Whether this is the value of the pass, read without case, spaces and hyphens and compared in constant time. */
export const isPass = (keys: Keys, tenantId: string, { id, user_id: userId, code_mac: mac, code_key_version: version }: Pick<PassOfUser, 'id' | 'code_mac' | 'code_key_version'> & { user_id: string }, typed: string): boolean =>
  keys.macMatches('code', tenantId, passParts(userId, id, typed), version, mac)

/** Makes a pass void that had too many wrong tries. The challenge that it ended with is left to its own end. */
export async function wearOutPass (deps: Deps, tx: TenantTx, actor: Actor, userId: string, passId: string, challengeId: string): Promise<void> {
  await lockedUser(tx, userId)
  if (await voidWornOut(tx, userId, passId, challengeId)) await record(deps, tx, actor, { action: 'pass.voided', userId, details: { authenticatorId: passId, reason: 'wrongCodes' } })
}

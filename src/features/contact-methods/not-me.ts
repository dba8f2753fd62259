import { normalEmail } from '../../platform/addresses/email.ts'
import type { TenantTx } from '../../platform/db/index.ts'
import type { Deps } from '../../platform/deps.ts'
import { record, type AuditActor } from '../audit/audit.ts'
import { spendLink, type Deed, type LinkRow } from '../notices/links.ts'
import { freezeUser, mayBeSignInEmail, restoreSignInEmail } from '../users/freeze.ts'
import { knownUser, lockedUser, signInEmailOf } from '../users/users.ts'
import type { CancelChallenges } from './change.ts'
import { hasValue, selectMethod, updateMethod, withdrawn, type MethodRow } from './queries.ts'
import { addressesOf, tell, tellSecurityContact, type Address } from './tell.ts'
import { channelsOf, destinationOf, isEmail, openExtension, openValue } from './value.ts'

/** What belongs to features that methods must not import. */
export interface Handed {
  cancelChallenges: CancelChallenges
  /** Ends every challenge of a user. */
  cancelChallengesOfUser: (tx: TenantTx, userId: string) => Promise<unknown>
  voidPasses: (tx: TenantTx, userId: string) => Promise<unknown>
}

/** Whoever holds the link; nobody else is known. */
const holder: AuditActor = { kind: 'system', subject: 'notice-link', requestId: null }

/** What using the link would do now: it brings a value back where that can still be, and else freezes the user. */
export async function deedOf (deps: Pick<Deps, 'keys'>, tx: TenantTx, link: LinkRow): Promise<Deed> {
  if (!link.reverts) return 'freeze'
  if (link.method_id === null) return await mayBeSignInEmail(deps, tx, link.user_id, link.value!) ? 'revert' : 'freeze'
  return await methodToRestore(deps, tx, link) ? 'revert' : 'freeze'
}

/** Uses a link, once: brings back what it stands for, or freezes the user. */
export async function actOnLink (deps: Deps, tx: TenantTx, { id, user_id: userId }: LinkRow, handed: Handed): Promise<Deed> {
  await lockedUser(tx, userId)
  const link = await spendLink(tx, id)
  const deed = await deedOf(deps, tx, link)
  if (deed === 'freeze') await freeze(deps, tx, link, handed)
  else if (link.method_id === null) await revertSignInEmail(deps, tx, link)
  else await revertMethod(deps, tx, link, handed)
  return deed
}

/** The method, if it can have its old value again: it is there still, and nothing else of the user has that value by now. */
async function methodToRestore ({ keys }: Pick<Deps, 'keys'>, tx: TenantTx, { user_id: userId, method_id: methodId, value, extension }: LinkRow): Promise<MethodRow | undefined> {
  const row = await selectMethod(tx, userId, methodId!)
  if (row?.status !== 'active') return undefined
  const text = openValue(keys, tx.tenantId, userId, row.id, value!)
  const destination = destinationOf(row.kind, { text, extension: openExtension(keys, tx.tenantId, userId, row.id, extension) })
  if (await hasValue(tx, userId, keys.blindIndexes(tx.tenantId, 'destination', destination), row.id)) return undefined
  const signInEmail = isEmail(row.kind) ? signInEmailOf(keys, await knownUser(tx, userId)) : null
  return signInEmail !== null && normalEmail(signInEmail) === destination ? undefined : row
}

async function revertMethod (deps: Deps, tx: TenantTx, link: LinkRow, { cancelChallenges }: Handed): Promise<void> {
  const { user_id: userId, value, value_index, destination_index, extension, country, line_type, verified_at, pre_verified } = link
  const present = (await methodToRestore(deps, tx, link))!
  const before = await addressesOf(deps, tx, userId)
  const channels = channelsOf(present.kind, line_type)
  await updateMethod(tx, present.id, {
    ...withdrawn, value, value_index, destination_index, extension, country, line_type, verified_at, pre_verified, replaced_at: null,
    default_channel: present.is_default ? channels.find((channel) => channel === present.default_channel) ?? channels[0]! : null,
  })
  await cancelChallenges(tx, present.id)
  await record(deps, tx, holder, { action: 'contactMethod.reverted', userId, details: { methodId: present.id, linkId: link.id } })
  await tellReverted(deps, tx, userId, before, present.id)
}

async function revertSignInEmail (deps: Deps, tx: TenantTx, link: LinkRow): Promise<void> {
  const before = await addressesOf(deps, tx, link.user_id)
  await restoreSignInEmail(deps, tx, link.user_id, link.value!)
  await record(deps, tx, holder, { action: 'user.signInEmailReverted', userId: link.user_id, details: { linkId: link.id } })
  await tellReverted(deps, tx, link.user_id, before, null)
}

/** What took the place of the old value may be a thief's, who must not freeze the user for losing it: told without a link. */
async function tellReverted (deps: Deps, tx: TenantTx, userId: string, before: Address[], methodId: string | null): Promise<void> {
  await tell(deps, tx, { userId, kind: 'changeReverted', addresses: await addressesOf(deps, tx, userId) })
  await tell(deps, tx, { userId, kind: 'changeReverted', addresses: before.filter((address) => address.methodId === methodId), link: false })
}

async function freeze (deps: Deps, tx: TenantTx, { id, user_id: userId, kind, method_id: methodId }: LinkRow, { cancelChallengesOfUser, voidPasses }: Handed): Promise<void> {
  const { until, epoch } = await freezeUser(tx, userId)
  await voidPasses(tx, userId)
  await cancelChallengesOfUser(tx, userId)
  await record(deps, tx, holder, { action: 'user.frozen', userId, details: { linkId: id, notice: kind, epoch, until: until.toISOString(), ...(methodId !== null && { methodId }) } })
  await tellSecurityContact(deps, tx, { userId, kind: 'frozen', details: { until } })
}

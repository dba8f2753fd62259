import type { Deps } from '../../platform/deps.ts'
import type { MethodRow } from '../contact-methods/contact-methods.ts'
import { methodFromJson } from '../contact-methods/stored.ts'
import { policyFrom } from '../policy/policy.ts'
import type { PolicyDocument } from '../policy/schema.ts'
import type { UserStatus } from '../../vocabulary.ts'
import { readSetting, type SettingRow } from './queries.ts'

/** Wrong codes in a row on one method after which it can't be used any more (NIST SP 800-63B-4, 3.2.2: at most 100). */
export const wrongCodesOfMethodMax = 50

/** The user a challenge is for, as it stood a moment ago. What is written later is guarded against it. */
export interface Reachable {
  status: UserStatus
  privileged: boolean
  epoch: number
  firstRegisteredAt: Date | null
  lockedUntil: Date | null
  /** Until when nothing of the user may be changed. */
  frozenUntil: Date | null
  /** Since when only what is verified anew counts; null where nobody has to register again. */
  againSince: Date | null
  /** Every method that has not been removed, oldest first. */
  methods: MethodRow[]
  /** The method that was asked for, if it has been removed. */
  former: MethodRow | null
  /** Wrong codes in a row. */
  wrongCodesOf: (methodId: string) => number
}

export interface Setting {
  /** The tenant's time. */
  at: Date
  /** The server's own clock, which a sandbox does not move. */
  serverNow: Date
  tenantCreatedAt: Date
  policy: PolicyDocument
  policyVersion: number
  organization: string | null
  defaultCountry: string | null
  user: Reachable | null
}

/** Reads what a challenge depends on, in one round trip and without a lock. */
export async function settingOf ({ db }: Deps, tenantId: string, userId: string, methodId?: string): Promise<Setting> {
  const [row] = await db.readInTenant<SettingRow>(tenantId, readSetting, [userId, methodId ?? null])
  const { at, server_now: serverNow, tenant_created_at: tenantCreatedAt, policy, policy_version: policyVersion, organization, default_country: defaultCountry } = row!
  return { at, serverNow, tenantCreatedAt, policy: policyFrom(policy), policyVersion, organization, defaultCountry, user: reachableOf(row!) }
}

function reachableOf ({ at, status, privileged, mfa_epoch: epoch, first_registered_at: firstRegisteredAt, locked_until: lockedUntil, by_method: byMethod, methods, former, frozen_until: frozenUntil, reregistration_since: againSince }: SettingRow): Reachable | null {
  if (status === null) return null
  return {
    status: status as UserStatus, privileged: privileged!, epoch: epoch!, firstRegisteredAt, lockedUntil: lockedUntil && lockedUntil > at ? lockedUntil : null, frozenUntil, againSince,
    methods: (methods ?? []).map(methodFromJson), former: former && methodFromJson(former), wrongCodesOf: (methodId) => byMethod?.[methodId] ?? 0,
  }
}

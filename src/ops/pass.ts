import { ConfigurationError } from '../config.ts'
import { keyRingOf, openOwned } from '../database.ts'
import type { AuditActor } from '../features/audit/audit.ts'
import { issuePass } from '../features/authenticators/temporary-access-pass/pass.ts'
import { addressesOf, tell, tellSecurityContact } from '../features/contact-methods/tell.ts'
import { policyInForce } from '../features/policy/policy.ts'
import { lockedUser } from '../features/users/users.ts'
import { openDb, type TenantTx } from '../platform/db/index.ts'
import { keysOf } from '../platform/keys.ts'
import { systemRandom } from '../platform/random.ts'
import { Refusal } from '../platform/refusal.ts'
import type { Command } from './command.ts'
import { refusePending } from './tenant.ts'

const operator: AuditActor = { kind: 'operator', subject: 'ops', requestId: null }

export const pass: Command = {
  words: 'pass',
  parameters: ['tenant', 'userId'],
  usage: 'pass <tenant> <userId>',
  does: 'The last resort when nobody else can: PRINTS a temporary access pass for a user, once; the pass before is void. Audited, and told to the user and the security contact. Needs DATABASE_URL (the owner) and KEY_RING.',
  async run ({ config, words: [slug, userId], say, remark }) {
    const keyRing = await keyRingOf(config)
    const { ownerUrl, close } = await openOwned(config, remark)
    const db = openDb({ url: ownerUrl, applicationName: 'latchkey-ops', connectionsMax: 1, onError: () => undefined })
    try {
      await refusePending(ownerUrl)
      const tenant = await db.tenantBySlug(slug!)
      if (!tenant) throw new ConfigurationError(`There is no tenant ${slug}.`)
      // A service that runs finds the messages by itself.
      const deps = { keys: keysOf(keyRing), random: systemRandom, publicUrl: config.publicUrl ?? '', wake: () => undefined }
      const { value, expiresAt, oneTime } = await db.inTenant(tenant.tenant_id, (tx) => issue(deps, tx, userId!))
      remark(`Secret: whoever has it can register as ${userId} until ${expiresAt}${oneTime ? ', once' : ''}. Give it to nobody you have not checked.`)
      say(value)
      return 0
    } finally {
      await db.close()
      await close()
    }
  },
}

async function issue (deps: Parameters<typeof tell>[0], tx: TenantTx, userId: string) {
  const { status } = await known(tx, userId)
  if (status !== 'active') throw new ConfigurationError(`The user ${userId} is ${status}, and could not use a pass.`)
  const addresses = await addressesOf(deps, tx, userId)
  const issued = await issuePass(deps, tx, operator, { userId, policy: await policyInForce(tx) })
  await tell(deps, tx, { userId, kind: 'passIssued', addresses })
  if (addresses.length > 0) await tellSecurityContact(deps, tx, { userId, kind: 'passIssued' })
  return issued
}

async function known (tx: TenantTx, userId: string) {
  try {
    return await lockedUser(tx, userId)
  } catch (error) {
    throw error instanceof Refusal ? new ConfigurationError(`There is no user ${userId}.`) : error
  }
}

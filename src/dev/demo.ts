import { createTenant } from '../features/organization/create-tenant.ts'
import { activate } from '../features/contact-methods/activate.ts'
import { insertUnlessPresent as insertMethodUnlessPresent } from '../features/contact-methods/queries.ts'
import { sealValue, type Value } from '../features/contact-methods/value.ts'
import { policyInForce } from '../features/policy/policy.ts'
import { insertUnlessPresent as insertUserUnlessPresent } from '../features/users/queries.ts'
import { lockedUser } from '../features/users/users.ts'
import type { Db, TenantTx } from '../platform/db/index.ts'
import type { Deps } from '../platform/deps.ts'
import type { MethodKind, Role } from '../vocabulary.ts'

export interface DemoUser { tenant: string, subject: string, roles: readonly Role[], title: string, privileged?: boolean, methods?: readonly { kind: MethodKind, value: Value }[] }

const phone: Value = { text: '+14155550101', extension: null, country: 'US', lineType: 'mobileOrLandline' }
const email: Value = { text: 'registered@example.org', extension: null, country: null, lineType: null }

/** Who the sign-in page of the development issuer offers. */
export const demoUsers: readonly DemoUser[] = [
  { tenant: 'demo', subject: 'demo-user', roles: ['user'], title: 'Demo User' },
  { tenant: 'demo', subject: 'demo-registered', roles: ['user'], title: 'Demo Registered', methods: [{ kind: 'mobilePhone', value: phone }, { kind: 'alternateEmail', value: email }] },
  { tenant: 'demo', subject: 'demo-executive', roles: ['user'], title: 'Demo Executive', privileged: true },
  { tenant: 'demo', subject: 'demo-reader', roles: ['user', 'reader'], title: 'Demo Reader' },
  { tenant: 'demo', subject: 'demo-helpdesk', roles: ['user', 'helpdesk'], title: 'Demo Help Desk', privileged: true },
  { tenant: 'demo', subject: 'demo-privileged-admin', roles: ['user', 'privilegedAdmin'], title: 'Demo Privileged Administrator', privileged: true },
  { tenant: 'demo', subject: 'demo-privileged-admin-2', roles: ['user', 'privilegedAdmin'], title: 'Demo Privileged Administrator 2', privileged: true },
  { tenant: 'demo', subject: 'demo-policy-admin', roles: ['user', 'policyAdmin'], title: 'Demo Policy Administrator', privileged: true },
  { tenant: 'demo', subject: 'demo-auditor', roles: ['user', 'auditor'], title: 'Demo Auditor', privileged: true },
  { tenant: 'demo-2', subject: 'demo-user', roles: ['user'], title: 'Demo User of the other tenant' },
]

const operator = { kind: 'system', subject: 'development' } as const

/** Makes a sandbox tenant unless it is there. Remembers those it has seen: it is asked with every token. */
export function tenantMaker (ownerDb: Db, deps: Pick<Deps, 'keys' | 'random'>): (slug: string, name?: string) => Promise<void> {
  const made = new Set<string>()
  return async (slug, name) => {
    if (made.has(slug)) return
    await createTenant(ownerDb, deps, { slug, country: 'US', name: name ?? null, sandbox: true }, operator)
    made.add(slug)
  }
}

/** The demo tenants and people. What is there already stays as it is. */
export async function makeDemoData (ownerDb: Db, deps: Pick<Deps, 'keys' | 'random'>, makeTenant: (slug: string, name?: string) => Promise<void>): Promise<void> {
  await makeTenant('demo', 'Demo Ltd')
  await makeTenant('demo-2', 'Second Demo Ltd')
  for (const tenant of ['demo', 'demo-2']) {
    const { tenant_id: tenantId } = (await ownerDb.tenantBySlug(tenant))!
    await ownerDb.inTenant(tenantId, async (tx) => {
      for (const user of demoUsers.filter((one) => one.tenant === tenant)) await makeDemoUser(tx, deps, user)
    })
  }
}

async function makeDemoUser (tx: TenantTx, { keys, random }: Pick<Deps, 'keys' | 'random'>, { subject, title, privileged = false, methods = [] }: DemoUser): Promise<void> {
  const times = { created_at: tx.now, updated_at: tx.now }
  const made = await insertUserUnlessPresent(tx, { tenant_id: tx.tenantId, user_id: subject, display_name: title, privileged, locale: 'en', ...times })
  if (!made) return
  const policy = await policyInForce(tx)
  for (const { kind, value } of methods) {
    const id = random.uuid()
    const row = await insertMethodUnlessPresent(tx, {
      tenant_id: tx.tenantId, id, user_id: subject, kind, status: 'pending', ...sealValue(keys, tx.tenantId, subject, id, kind, value),
      added_by: 'import', added_by_id: 'system:development', ...times,
    }, 1)
    await activate(tx, { user: await lockedUser(tx, subject), policy }, row!, { verified_at: tx.now })
  }
}

import { createTenant } from '../features/organization/create-tenant.ts'
import { seedVerifiedMethod } from '../features/contact-methods/seed.ts'
import type { Value } from '../features/contact-methods/value.ts'
import { seedUser } from '../features/users/users.ts'
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

async function makeDemoUser (tx: TenantTx, deps: Pick<Deps, 'keys' | 'random'>, { subject, title, privileged = false, methods = [] }: DemoUser): Promise<void> {
  const by = { ...operator, requestId: null }
  if (!await seedUser(deps, tx, by, { userId: subject, display_name: title, locale: 'en', privileged })) return
  for (const { kind, value } of methods) await seedVerifiedMethod(deps, tx, by, subject, kind, value)
}

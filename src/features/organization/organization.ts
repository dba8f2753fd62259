import { isDeepStrictEqual } from 'node:util'
import type { TenantTx } from '../../platform/db/index.ts'
import type { Actor, Deps, Precondition, PreconditionOf, Waiting } from '../../platform/deps.ts'
import { parseEmail } from '../../platform/addresses/email.ts'
import { isPhoneCountry, parsePhone } from '../../platform/addresses/phone.ts'
import type { Keys } from '../../platform/keys.ts'
import { Refusal } from '../../platform/refusal.ts'
import { askForApproval, ifMatchOf, type Executor } from '../approvals/approvals.ts'
import { record } from '../audit/audit.ts'
import { requireStepUp } from '../authority/step-up.ts'
import { lockOrganization, selectOrganization, updateOrganization, type OrganizationRow } from './queries.ts'
import type { Organization, OrganizationChange } from './schema.ts'

/** What is kept sealed: it holds numbers and addresses. */
type Contacts = Pick<Organization, 'address' | 'phone' | 'technicalContact' | 'securityContact' | 'privacyContact'>

const noContacts: Contacts = { address: null, phone: null, technicalContact: null, securityContact: null, privacyContact: null }

export async function readOrganization ({ db, keys }: Deps, { tenantId }: Actor): Promise<Organization> {
  return toOrganization(keys, await db.inTenant(tenantId, selectOrganization))
}

/** The country that settles numbers in national format, and the name and language for messages. */
export async function organizationDefaults (tx: TenantTx): Promise<{ name: string | null, locale: string, defaultCountry: string | null }> {
  const { name, locale, default_country } = await selectOrganization(tx)
  return { name, locale, defaultCountry: default_country }
}

/** Where the organisation wants security notices to go; null where it has named nobody who can be reached. */
export async function securityContactOf ({ keys }: Pick<Deps, 'keys'>, tx: TenantTx): Promise<{ email: string } | { phone: string } | null> {
  const { email, phone } = toOrganization(keys, await selectOrganization(tx)).securityContact ?? {}
  return email !== undefined ? { email } : phone !== undefined ? { phone } : null
}

/**
 * Changes the named fields. The default country is fixed once set. A new security contact would turn notices away
 * from whoever gets them now, so it waits for a second approver, with all that was asked for beside it.
 */
export async function changeOrganization (deps: Deps, tx: TenantTx, actor: Actor, input: OrganizationChange, precondition: Precondition): Promise<Organization | Waiting> {
  requireStepUp(actor, 'organization.write')
  const present = await lockOrganization(tx)
  precondition(present.version)
  const before = toOrganization(deps.keys, present)
  if (input.defaultCountry !== undefined && before.defaultCountry !== null && input.defaultCountry !== before.defaultCountry) {
    throw new Refusal('country_immutable', 'The default country was set before and cannot change.')
  }
  if (input.defaultCountry !== undefined && !isPhoneCountry(input.defaultCountry)) {
    // It could never be put right.
    throw new Refusal('validation_failed', 'The body does not fit the schema.', { errors: [{ pointer: '/defaultCountry', code: 'country', message: 'is not a country with phone numbers' }] })
  }
  const after = { ...before, ...readContacts(input, input.defaultCountry ?? before.defaultCountry) }
  const changed = (Object.keys(input) as (keyof OrganizationChange)[]).filter((field) => !isDeepStrictEqual(before[field], after[field]))
  if (changed.length === 0) return before

  if (changed.includes('securityContact') && actor.approvedBy === undefined) {
    return askForApproval(deps, tx, actor, {
      action: 'organization.change', userId: null, request: { input, ...ifMatchOf(precondition) } satisfies ChangeRequest,
      details: { fields: changed },
    })
  }
  const { address, phone, technicalContact, securityContact, privacyContact } = after
  const contacts: Contacts = { address, phone, technicalContact, securityContact, privacyContact }
  const row = await updateOrganization(tx, {
    name: after.name, locale: after.locale, default_country: after.defaultCountry,
    contacts: deps.keys.seal('organization', tx.tenantId, ['contacts'], JSON.stringify(contacts)),
  })
  await record(deps, tx, actor, { action: 'organization.changed', details: { fields: changed } })
  return toOrganization(deps.keys, row)
}

interface ChangeRequest { input: OrganizationChange, ifMatch?: string }

/** How a new security contact that waited is put in place. */
export const organizationExecutors = (preconditionOf: PreconditionOf) => ({
  'organization.change': {
    summary: 'Change the security contact of the organisation',
    execute: async (deps, tx, actor, { input, ifMatch }) => { await changeOrganization(deps, tx, actor, input, preconditionOf(ifMatch)) },
  } satisfies Executor<ChangeRequest>,
})

/** Checks numbers and addresses and writes numbers as E.164. */
function readContacts (input: OrganizationChange, defaultCountry: string | null): OrganizationChange {
  const number = (typed: string, pointer: string) => {
    const parsed = parsePhone(typed, { defaultCountry })
    if ('phone' in parsed) return parsed.phone.e164
    throw new Refusal(parsed.fault, parsed.detail, { errors: [{ pointer, code: parsed.fault, message: parsed.detail }] })
  }
  const address = (typed: string, pointer: string) => {
    const parsed = parseEmail(typed)
    if ('email' in parsed) return parsed.email.typed
    throw new Refusal(parsed.fault, parsed.detail, { errors: [{ pointer, code: parsed.fault, message: parsed.detail }] })
  }
  const read = { ...input }
  if (read.phone) read.phone = number(read.phone, '/phone')
  for (const field of ['technicalContact', 'securityContact', 'privacyContact'] as const) {
    const contact = read[field]
    if (!contact) continue
    read[field] = {
      ...contact,
      ...(contact.email !== undefined && { email: address(contact.email, `/${field}/email`) }),
      ...(contact.phone !== undefined && { phone: number(contact.phone, `/${field}/phone`) }),
    }
  }
  return read
}

function toOrganization (keys: Keys, row: OrganizationRow): Organization {
  const contacts = row.contacts ? JSON.parse(keys.open('organization', row.tenant_id, ['contacts'], row.contacts)) as Contacts : noContacts
  return {
    name: row.name, ...contacts, locale: row.locale, defaultCountry: row.default_country,
    createdAt: row.created_at.toISOString(), updatedAt: row.updated_at.toISOString(), version: row.version,
  }
}

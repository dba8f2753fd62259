import { isDeepStrictEqual } from 'node:util'
import type { TenantTx } from '../../platform/db/index.ts'
import type { Actor, Authority, Deps, Precondition, PreconditionOf, Waiting } from '../../platform/deps.ts'
import { isPhoneCountry } from '../../platform/addresses/phone.ts'
import { Refusal } from '../../platform/refusal.ts'
import type { Factor } from '../../vocabulary.ts'
import { askForApproval, ifMatchOf, type Executor } from '../approvals/approvals.ts'
import { record } from '../audit/audit.ts'
import { lockPolicy, selectPolicy, updatePolicy, type PolicyRow } from './queries.ts'
import { defaultPolicy, hourlyMax, type Policy, type PolicyChange, type PolicyDocument } from './schema.ts'
import { weakerFields } from './weaker.ts'

/**
 * What a new tenant's policy says beside the defaults: its own country and, in a sandbox, no proof for the first
 * registration and room for test runs in the hourly counts of callers, administrators and prefixes.
 */
export const startingPolicy = (country: string | null, sandbox: boolean) => ({
  countries: country === null ? [] : [country],
  ...(sandbox && {
    registration: { firstRegistration: 'password' as const },
    limits: { prefixPerHour: hourlyMax, searchesPerHour: hourlyMax, revealsPerHour: hourlyMax, resetsPerHour: hourlyMax },
  }),
})

/** The policy in force. Read in the transaction that obeys it, so that a change holds everywhere at once. */
export async function policyInForce (tx: TenantTx): Promise<PolicyDocument> {
  return documentOf(await selectPolicy(tx))
}

export async function readPolicy ({ db }: Deps, { tenantId }: Actor): Promise<Policy> {
  return toPolicy(await db.inTenant(tenantId, selectPolicy))
}

/**
 * Changes the named fields. A policy that is weaker anywhere waits for a second approver. A dry run says what would
 * happen and changes nothing.
 */
export async function changePolicy (deps: Deps, tx: TenantTx, authority: Authority, actor: Actor, input: PolicyChange, dryRun: boolean, precondition: Precondition): Promise<Policy | Waiting> {
  authority.requireStepUp(actor, 'policy.write')
  refuseUnknownCountries(input.countries ?? [])
  const present = await lockPolicy(tx)
  precondition(present.version)
  const before = documentOf(present)
  const after = merged(before, input)
  refuseContradictions(after)

  const changed = fieldsThatDiffer(before, after)
  const weaker = weakerFields(before, after)
  const waits = weaker.length > 0 && actor.approvedBy === undefined
  if (dryRun) {
    return { ...toPolicy({ ...present, document: JSON.parse(JSON.stringify(after)) as PolicyRow['document'] }), dryRun: true, allowed: true, waitsForApproval: waits, changed, weaker }
  }
  if (changed.length === 0) return toPolicy(present)
  if (waits) {
    return askForApproval(deps, tx, actor, {
      action: 'policy.change', userId: null, request: { input, ...ifMatchOf(precondition) } satisfies ChangeRequest,
      details: { fields: changed, weaker, change: input },
    })
  }
  const row = await updatePolicy(tx, JSON.stringify(after))
  await record(deps, tx, actor, { action: 'policy.changed', details: { fields: changed, ...(weaker.length > 0 && { weaker }) } })
  return toPolicy(row)
}

interface ChangeRequest { input: PolicyChange, ifMatch?: string }

/** How a weaker policy that waited is put in force. */
export const policyExecutors = (authority: Authority, preconditionOf: PreconditionOf) => ({
  'policy.change': {
    summary: 'Put a weaker policy in force',
    execute: async (deps, tx, actor, { input, ifMatch }) => { await changePolicy(deps, tx, authority, actor, input, false, preconditionOf(ifMatch)) },
  } satisfies Executor<ChangeRequest>,
})

/** A stored document holds what was set; a field that came later has its default. */
const documentOf = (row: Pick<PolicyRow, 'document'>): PolicyDocument => merged(defaultPolicy, row.document as PolicyChange)

/** The same of a document that another statement has read. */
export const policyFrom = (document: PolicyRow['document']): PolicyDocument => documentOf({ document })

const groups = ['codes', 'registration', 'pass', 'limits', 'webauthn'] as const

function merged (base: PolicyDocument, change: PolicyChange): PolicyDocument {
  const result = { ...base, ...change } as PolicyDocument
  for (const group of groups) Object.assign(result, { [group]: { ...base[group], ...change[group] } })
  return result
}

/** A typing mistake, such as `UK` for `GB`, would shut out everyone there. */
function refuseUnknownCountries (countries: readonly string[]): void {
  const faults = countries.flatMap((country, index) => isPhoneCountry(country) ? [] : [{ pointer: `/countries/${index}`, code: 'country', message: 'is not a country with phone numbers' }])
  if (faults.length > 0) throw new Refusal('validation_failed', 'The body does not fit the schema.', { errors: faults.slice(0, 20) })
}

/** Bounds that one field sets for another: among them, that what everyone must have, everyone can have. */
function refuseContradictions ({ pass, registration, kinds, phone }: PolicyDocument): void {
  const canHave = (factor: Factor) => factor === 'passkey' || factor === 'totp' || (kinds.includes(factor) && (factor === 'alternateEmail' || phone === 'allowed'))
  const faults = [
    pass.minutes > pass.maxMinutes && { pointer: '/pass/minutes', code: 'maximum', message: 'must not be more than pass.maxMinutes' },
    ...registration.required.map(({ count, oneOf }, index) => count > oneOf.filter(canHave).length &&
      { pointer: `/registration/required/${index}/count`, code: 'maximum', message: 'must not be more than oneOf has that kinds and phone allow to everyone' }),
  ].filter((fault) => fault !== false)
  if (faults.length > 0) throw new Refusal('policy_out_of_bounds', 'A value is outside its bounds.', { errors: faults })
}

function fieldsThatDiffer (before: PolicyDocument, after: PolicyDocument): string[] {
  return (Object.keys(after) as (keyof PolicyDocument)[]).flatMap((field) => {
    if (isDeepStrictEqual(before[field], after[field])) return []
    if (!(groups as readonly string[]).includes(field)) return [field]
    const [old, next] = [before[field], after[field]] as [Record<string, unknown>, Record<string, unknown>]
    return Object.keys(next).filter((name) => !isDeepStrictEqual(old[name], next[name])).map((name) => `${field}.${name}`)
  })
}

function toPolicy (row: PolicyRow): Policy {
  return { version: row.version, ...documentOf(row), createdAt: row.created_at.toISOString(), updatedAt: row.updated_at.toISOString() }
}

import type { PolicyDocument } from './schema.ts'

type Compare<T> = (before: T, after: T) => boolean

const more: Compare<number> = (before, after) => after > before
const fewer: Compare<number> = (before, after) => after < before
const added: Compare<readonly string[]> = (before, after) => after.some((item) => !before.includes(item))
const turnedOn: Compare<boolean> = (before, after) => after && !before
const turnedOff: Compare<boolean> = (before, after) => before && !after
const never = () => false

const phoneRank = { off: 0, notForPrivileged: 1, allowed: 2 } as const

/** A requirement became weaker if some set of methods met the new ones and not the old ones. */
function requiresLess (before: PolicyDocument['registration']['required'], after: PolicyDocument['registration']['required']): boolean {
  return before.some((old) => !after.some((next) => next.count >= old.count && next.oneOf.every((factor) => old.oneOf.includes(factor))))
}

type Rules<T> = { [K in keyof T]: Compare<T[K]> }

/** For each field, what makes it weaker: easier to guess, to flood, to register or to take over. */
const rules: { [K in keyof PolicyDocument]: Compare<PolicyDocument[K]> | Rules<PolicyDocument[K]> } = {
  codes: { length: fewer, phoneSeconds: more, emailSeconds: more },
  kinds: added,
  order: never,
  alternateEmails: more,
  emailCounts: turnedOn,
  phone: (before, after) => phoneRank[after] > phoneRank[before],
  registration: {
    required: requiresLess,
    proofs: added,
    firstRegistration: (before, after) => before === 'proof' && after === 'password',
    deadlineDays: (before, after) => before !== null && (after === null || after > before),
  },
  callerCheck: (before, after) => before === 'required' && after === 'optional',
  preVerified: turnedOn,
  breakGlass: turnedOn,
  pass: { length: fewer, minutes: more, maxMinutes: more, oneTime: turnedOff },
  countries: added,
  sendsPerDay: more,
  limits: {
    destinationPerTenMinutes: more, destinationPerDay: more, userPerHour: more, clientAddressPerHour: more, prefixPerHour: more,
    searchesPerHour: more, revealsPerHour: more, resetsPerHour: more,
  },
  retentionDays: more,
  webauthn: { rpId: (before, after) => before !== after && before !== null, origins: added },
}

/** Names of the fields that are weaker after than before. */
export function weakerFields (before: PolicyDocument, after: PolicyDocument): string[] {
  return Object.entries(rules).flatMap(([field, rule]) => {
    const [old, next] = [before[field as keyof PolicyDocument], after[field as keyof PolicyDocument]]
    if (typeof rule === 'function') return (rule as Compare<unknown>)(old, next) ? [field] : []
    return Object.entries(rule as Record<string, Compare<unknown>>)
      .filter(([name, compare]) => compare((old as Record<string, unknown>)[name], (next as Record<string, unknown>)[name]))
      .map(([name]) => `${field}.${name}`)
  })
}

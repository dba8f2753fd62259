import type { Keys } from '../../platform/keys.ts'
import type { ResetRow } from './queries.ts'
import type { NewReset, ResetDone } from './schema.ts'

/** What a reset did, as it is kept. */
export type Outcome = Pick<ResetDone, 'removed' | 'kept' | 'notified'>

/** What was asked for holds free text, and what was done masked values: both are kept sealed. */
export const sealRequest = (keys: Keys, tenantId: string, id: string, input: NewReset): Buffer =>
  keys.seal('field', tenantId, [id, 'resetRequest'], JSON.stringify(input))

/** Null once it is erased. */
export const openRequest = (keys: Keys, tenantId: string, { id, request }: Pick<ResetRow, 'id' | 'request'>): NewReset | null =>
  request && JSON.parse(keys.open('field', tenantId, [id, 'resetRequest'], request)) as NewReset

export const sealOutcome = (keys: Keys, tenantId: string, id: string, { removed, kept, notified }: Outcome): Buffer =>
  keys.seal('field', tenantId, [id, 'resetOutcome'], JSON.stringify({ removed, kept, notified }))

export const openOutcome = (keys: Keys, tenantId: string, { id, outcome }: Pick<ResetRow, 'id' | 'outcome'>): Outcome =>
  outcome === null ? { removed: [], kept: [], notified: [] } : JSON.parse(keys.open('field', tenantId, [id, 'resetOutcome'], outcome)) as Outcome

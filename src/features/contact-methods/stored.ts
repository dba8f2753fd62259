import { bytesFrom, timeFrom } from '../../platform/db/json.ts'
import type { MethodRow } from './queries.ts'

const bytes = ['value', 'value_index', 'destination_index', 'extension', 'pending_value', 'pending_value_index', 'pending_destination_index', 'pending_extension'] as const
const times = ['pending_expires_at', 'created_at', 'verified_at', 'last_used_at', 'updated_at', 'disabled_at', 'removed_at', 'replaced_at'] as const

/** A row as `to_jsonb` wrote it, where a statement reads methods among other things. */
export function methodFromJson (json: Record<string, unknown>): MethodRow {
  const row = { ...json }
  for (const column of bytes) row[column] = bytesFrom(json[column] as string | null)
  for (const column of times) row[column] = timeFrom(json[column] as string | null)
  return row as unknown as MethodRow
}

/** A row as JSON, for a function that takes it whole (`jsonb_populate_record`): bytes as Postgres writes them. */
export const jsonRow = (row: object): string =>
  JSON.stringify(Object.fromEntries(Object.entries(row).map(([column, value]) => [column, Buffer.isBuffer(value) ? bytesText(value) : value])))

/** Bytes as Postgres reads them from text. */
export const bytesText = (bytes: Buffer): string => `\\x${bytes.toString('hex')}`

/** Bytes as `to_jsonb` wrote them. */
export const bytesFrom = (text: string | null): Buffer | null => text === null ? null : Buffer.from(text.slice(2), 'hex')

/** A time as `to_jsonb` wrote it. */
export const timeFrom = (text: string | null): Date | null => text === null ? null : new Date(text)

import type { Adapter, AdapterFactory, AdapterPayload, ClientMetadata } from 'oidc-provider'

const maxRecords = 5_000

/**
 * Keeps sign-ins, codes and sessions in memory, the oldest dropped first when it is full. Its own rather than the
 * library's, which prints a warning at every start, is shared by all issuers of the process and knows only clients that
 * were there at the start.
 */
export function memoryAdapter (findClient: (id: string) => ClientMetadata | undefined): AdapterFactory {
  const records = new Map<string, { payload: AdapterPayload, expiresAt: number }>()

  const read = (key: string) => {
    const record = records.get(key)
    if (record && record.expiresAt > Date.now()) return record.payload
    records.delete(key)
    return undefined
  }

  return (model): Adapter => {
    const prefix = `${model}:`
    const keysWhere = (matches: (payload: AdapterPayload) => boolean) =>
      [...records].filter(([key, { payload }]) => key.startsWith(prefix) && matches(payload)).map(([key]) => key)

    return {
      async upsert (id, payload, expiresIn) {
        const key = prefix + id
        records.delete(key)
        records.set(key, { payload, expiresAt: expiresIn === undefined ? Infinity : Date.now() + expiresIn * 1000 })
        for (const oldest of records.keys()) {
          if (records.size <= maxRecords) break
          records.delete(oldest)
        }
      },
      find: async (id) => model === 'Client' ? findClient(id) : read(prefix + id),
      async findByUid (uid) {
        const [key] = keysWhere((payload) => payload.uid === uid)
        return key === undefined ? undefined : read(key)
      },
      findByUserCode: async () => undefined,
      async consume (id) {
        const payload = read(prefix + id)
        if (payload) payload.consumed = Math.floor(Date.now() / 1000)
      },
      async destroy (id) {
        records.delete(prefix + id)
      },
      async revokeByGrantId (grantId) {
        for (const key of keysWhere((payload) => payload.grantId === grantId)) records.delete(key)
      },
    }
  }
}

import type { Answer, Client } from './service.ts'

/** A method that waits for its code. */
export async function pendingMethod (client: Client, input: { kind?: string, value: string, [field: string]: unknown }, userId = 'me'): Promise<string> {
  const { status, body, text } = await client.post(`/v1/users/${userId}/contact-methods`, { kind: 'mobilePhone', ...input })
  if (status !== 201) throw new Error(`adding answered ${status} ${text}`)
  return body.id as string
}

export const start = (client: Client, methodId: string, more: Record<string, unknown> = {}): Promise<Answer> =>
  client.post('/v1/challenges', { userId: 'me', purpose: 'verifyContact', methodId, ...more })

/** A challenge that was started; anything but 201 is an error. */
export async function started (client: Client, methodId: string, more: Record<string, unknown> = {}): Promise<Record<string, any>> {
  const { status, body, text } = await start(client, methodId, more)
  if (status !== 201) throw new Error(`starting answered ${status} ${text}`)
  return body as Record<string, any>
}

export const read = (client: Client, challengeId: string): Promise<Answer> => client.get(`/v1/challenges/${challengeId}`)

export const verify = (client: Client, challengeId: string, code: string, headers?: Record<string, string>): Promise<Answer> =>
  client.post(`/v1/challenges/${challengeId}/verify`, { code }, headers)

/** Messages of a challenge, newest first; waits until there is one. */
export async function messagesOf (client: Client, challengeId: string, waitSeconds = 10): Promise<Array<Record<string, any>>> {
  return (await client.get(`/v1/sandbox/messages?challengeId=${challengeId}&waitSeconds=${waitSeconds}`)).body.items as Array<Record<string, any>>
}

/** Reads a challenge until its newest message has fared like this. */
export async function deliveryOf (client: Client, challengeId: string, wanted: string, withinMs = 15_000): Promise<Record<string, any>> {
  for (const until = performance.now() + withinMs; ;) {
    const { body } = await read(client, challengeId)
    if (body.delivery === wanted) return body as Record<string, any>
    if (performance.now() > until) throw new Error(`the delivery stayed ${String(body.delivery)}`)
  }
}

export const secondsBetween = (from: string, to: string) => (Date.parse(to) - Date.parse(from)) / 1000

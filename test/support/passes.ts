import type { Answer, Client } from './service.ts'

export interface Pass { authenticatorId: string, value: string, startsAt: string, expiresAt: string, oneTime: boolean }

export const issue = (client: Client, userId: string, body?: object, headers?: Record<string, string>): Promise<Answer> =>
  client.post(`/v1/users/${userId}/authenticators/temporary-access-pass`, body, headers)

/** A pass that was issued; anything but 201 is an error. */
export async function issued (client: Client, userId: string, body?: object): Promise<Pass> {
  const { status, body: pass, text } = await issue(client, userId, body)
  if (status !== 201) throw new Error(`issuing answered ${status} ${text}`)
  return pass as Pass
}

/** Starts a challenge by pass. */
export const byPass = (client: Client, userId = 'me', more: object = {}): Promise<Answer> =>
  client.post('/v1/challenges', { userId, purpose: 'recovery', channel: 'temporaryAccessPass', ...more })

/** The same; anything but 201 is an error. */
export async function begunByPass (client: Client, userId = 'me', more: object = {}): Promise<Record<string, any>> {
  const { status, body, text } = await byPass(client, userId, more)
  if (status !== 201) throw new Error(`starting answered ${status} ${text}`)
  return body as Record<string, any>
}

/** A value of the same length that is not this one. */
export const otherValue = (value: string) => (value.startsWith('0') ? '1' : '0') + value.slice(1)

import { setTimeout as pause } from 'node:timers/promises'
import { codeOf, moveClock, otherCode, type Answer, type Client } from './service.ts'

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

/** The code of the message that is the `nth` of this challenge: after a resend the first one is there already. */
export async function nthCodeOf (client: Client, challengeId: string, nth: number, withinMs = 15_000): Promise<string> {
  for (const until = performance.now() + withinMs; ;) {
    const messages = await messagesOf(client, challengeId)
    if (messages.length >= nth) return messages.at(-nth)!.code as string
    if (performance.now() > until) throw new Error(`message ${nth} never came`)
  }
}

/** Reads a challenge until its newest message has fared like this. */
export async function deliveryOf (client: Client, challengeId: string, wanted: string, withinMs = 15_000): Promise<Record<string, any>> {
  for (const until = performance.now() + withinMs; ;) {
    const { body } = await read(client, challengeId)
    if (body.delivery === wanted) return body as Record<string, any>
    if (performance.now() > until) throw new Error(`the delivery stayed ${String(body.delivery)}`)
    await pause(20)
  }
}

/** What every request about an ended challenge is refused with. */
export const refusalOfEnd = {
  approved: 'challenge_approved', exhausted: 'challenge_exhausted', failed: 'challenge_failed', canceled: 'challenge_canceled', expired: 'challenge_expired',
} as const

/** A challenge in each end state, all of a new person's own. The tenant's clock is 11 minutes ahead afterwards. */
export async function oneOfEachEnd (client: Client): Promise<Record<keyof typeof refusalOfEnd, string>> {
  const approved = await started(client, await pendingMethod(client, { value: '+14155550101' }))
  await verify(client, approved.id, await codeOf(client, approved.id))
  const exhausted = await started(client, await pendingMethod(client, { kind: 'alternatePhone', value: '+14155550102' }))
  const wrong = otherCode(await codeOf(client, exhausted.id))
  for (let attempt = 0; attempt < 5; attempt++) await verify(client, exhausted.id, wrong)
  const failed = await started(client, await pendingMethod(client, { kind: 'officePhone', value: '+14155550198' }))
  await deliveryOf(client, failed.id, 'failed')
  const email = await pendingMethod(client, { kind: 'alternateEmail', value: 'ann@example.org' })
  const canceled = await started(client, email)
  await moveClock(client, 31)
  const expired = await started(client, email)
  await moveClock(client, 660)
  return { approved: approved.id, exhausted: exhausted.id, failed: failed.id, canceled: canceled.id, expired: expired.id }
}

export const resend = (client: Client, challengeId: string, body?: unknown, headers?: Record<string, string>): Promise<Answer> =>
  client.post(`/v1/challenges/${challengeId}/resend`, body, headers)

export const cancel = (client: Client, challengeId: string, body?: unknown, headers?: Record<string, string>): Promise<Answer> =>
  client.post(`/v1/challenges/${challengeId}/cancel`, body, headers)

/** Moves the tenant's clock to this time and so many seconds after it (before it, where negative); less than a second further from it, as the clock has whole ones. */
export async function moveTo (client: Client, time: string, plusSeconds = 0): Promise<void> {
  const { body } = await client.get('/v1/sandbox/clock')
  const seconds = secondsBetween(body.now, time) + plusSeconds
  await moveClock(client, body.offsetSeconds + (plusSeconds < 0 ? Math.floor(seconds) : Math.ceil(seconds)))
}

export const secondsBetween = (from: string, to: string) => (Date.parse(to) - Date.parse(from)) / 1000

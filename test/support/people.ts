import { methodKinds, type MethodKind } from '../../src/vocabulary.ts'
import { pendingMethod } from './challenges.ts'
import { registered } from './proofs.ts'
import type { Client, TestService } from './service.ts'

let people = 0

/** A user whose active methods, one of each of these kinds, nobody else has: their own numbers start with +1 415 555. */
export async function someone (service: TestService, tenant: string, having: readonly MethodKind[] = methodKinds): Promise<{ userId: string, ids: Record<MethodKind, string> }> {
  const number = ++people
  const userId = `user-${number}`
  const numbers = Object.fromEntries(methodKinds.map((kind, index) => [kind, kind === 'alternateEmail' ? `${userId}@example.org` : `+1415555${1000 + number * 4 + index}`]))
  return { userId, ids: await registered(service, tenant, userId, having, 48, numbers) }
}

/** Someone who has just brought a number of their own, which waits for its code. */
export async function newcomer (service: TestService, tenant: string, value: string, more: object = {}): Promise<{ client: Client, userId: string, methodId: string }> {
  const userId = `newcomer-${++people}`
  const client = await service.as({ tenant, subject: userId })
  return { client, userId, methodId: await pendingMethod(client, { value, ...more }) }
}

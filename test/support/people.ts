import { methodKinds, type MethodKind } from '../../src/vocabulary.ts'
import { pendingMethod } from './challenges.ts'
import { registered } from './proofs.ts'
import type { Client, TestService } from './service.ts'

let people = 0
let numbers = 0

/** From +1 415 555 2000 on. None ends in 98 or 99, to which a sandbox sends nothing. */
function nextNumber (): string {
  const number = numbers++
  return `+1415555${20 + Math.floor(number / 90)}${String(number % 90).padStart(2, '0')}`
}

/** A user whose active methods, one of each of these kinds, nobody else has. */
export async function someone (service: TestService, tenant: string, having: readonly MethodKind[] = methodKinds): Promise<{ userId: string, ids: Record<MethodKind, string> }> {
  const userId = `user-${++people}`
  const values = Object.fromEntries(having.map((kind) => [kind, kind === 'alternateEmail' ? `${userId}@example.org` : nextNumber()]))
  return { userId, ids: await registered(service, tenant, userId, having, 48, values) }
}

/** Someone who has just brought a number of their own, which waits for its code. */
export async function newcomer (service: TestService, tenant: string, value: string, more: object = {}): Promise<{ client: Client, userId: string, methodId: string }> {
  const userId = `newcomer-${++people}`
  const client = await service.as({ tenant, subject: userId })
  return { client, userId, methodId: await pendingMethod(client, { value, ...more }) }
}

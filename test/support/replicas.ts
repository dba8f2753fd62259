import type { Test } from 'tap'
import { Writable } from 'node:stream'
import { createLog } from '../../src/platform/log.ts'
import { parseKeyRing } from '../../src/platform/keys.ts'
import { createService, type Service, type ServiceOptions } from '../../src/service.ts'
import { testKeyRingText } from './keys.ts'
import { clientOf, type Client, type TestService } from './service.ts'

/** Where no server listens. */
export const nowhere = 'postgres://nobody@127.0.0.1:9/nothing'

/** Another replica of the service on the same database. Ends with the test. */
export async function replicaOf (t: Test, service: Pick<TestService, 'database' | 'issuer'>, options: Partial<ServiceOptions> = {}): Promise<Service> {
  const replica = await createService({
    ...service.database, keyRing: parseKeyRing(testKeyRingText), issuers: [service.issuer.trusted], signIn: null, adminTokenMaxSeconds: 3600,
    sandboxAllowed: true, trustedProxies: [], production: false, log: createLog('error', new Writable({ write: (_line, _encoding, done) => { done() } })), ...options,
  })
  let stopping: Promise<void> | undefined
  const stop = () => stopping ??= replica.stop()
  t.teardown(stop)
  return { ...replica, stop }
}

/** The same caller at each of several replicas, of which `service` is the first. */
export async function replicasOf (t: Test, service: TestService, count: number): Promise<{ of: (client: Client) => Client[] }> {
  const others = await Promise.all(Array.from({ length: count - 1 }, () => replicaOf(t, service)))
  return { of: (client) => [client, ...others.map((replica) => clientOf(replica, client.token))] }
}

/** Runs `attempt` this often at once. */
export const atOnce = <T>(count: number, attempt: (index: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: count }, (_none, index) => attempt(index)))

/** Without those who heard 503, as a machine with much else to do tells some of very many at once. */
export const notTurnedAway = <T extends { status: number }>(answers: readonly T[]): T[] => answers.filter(({ status }) => status !== 503)

/** How often each outcome came, as `status code`. */
export function tally (answers: ReadonlyArray<{ status: number, body: any }>): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { status, body } of answers) {
    const name = status < 400 ? String(status) : `${status} ${body.code}`
    counts[name] = (counts[name] ?? 0) + 1
  }
  return counts
}

import t from 'tap'
import { sql } from 'kysely'
import { failChallenge, whichWait } from '../../../src/features/challenges/challenges.ts'
import { createDispatcher, type Dispatch } from '../../../src/features/delivery/dispatch.ts'
import type { Provider } from '../../../src/features/delivery/delivery.ts'
import { keysOf, parseKeyRing } from '../../../src/platform/keys.ts'
import { openWorkerDb } from '../../../src/platform/db/worker.ts'
import { pendingMethod, read, started } from '../../support/challenges.ts'
import { testKeyRingText } from '../../support/keys.ts'
import { nowhere } from '../../support/replicas.ts'
import { roleUrl, testService } from '../../support/service.ts'

// The service's own workers reach nothing, so that the test's are the only ones.
const service = await testService(t, { workerUrl: nowhere })
const workers = openWorkerDb({ url: roleUrl(service.database.ownerUrl, 'worker'), onError: () => undefined })
t.teardown(() => workers.close())

const dispatcherWith = (provider: Provider, more: Partial<Dispatch> = {}) => createDispatcher({
  db: workers, keys: keysOf(parseKeyRing(testKeyRingText)), whichWait, onFailed: failChallenge, log: service.deps.log, providerOf: async () => provider, ...more,
})

/** Challenges of as many people, whose messages wait. */
async function queue (count: number) {
  const tenant = await service.tenant()
  const tenantId = await service.tenantIdOf(tenant)
  const client = await service.as({ tenant, subject: 'payroll', kind: 'app', scopes: ['challenges:write', 'users:read'] })
  const ids: string[] = []
  for (let index = 0; index < count; index++) {
    const person = await service.as({ tenant, subject: `person-${index}` })
    ids.push((await started(client, await pendingMethod(person, { value: `+1415555${String(100 + index).padStart(4, '0')}` }), { userId: `person-${index}` })).id)
  }
  const owner = (statement: ReturnType<typeof sql>) => service.owner.inTenant(tenantId, ({ db }) => statement.execute(db))
  return { ids, client, owner, states: async () => Promise.all(ids.map(async (id) => (await read(client, id)).body.delivery as string)) }
}

const all = (count: number, state: string) => Array.from({ length: count }, () => state)

t.test('several workers on one queue send each message once', async (t) => {
  const { ids, states } = await queue(40)
  const sent: string[] = []
  const provider: Provider = async ({ challengeId }) => { sent.push(challengeId!); return 'sent' }
  const dispatchers = Array.from({ length: 5 }, () => dispatcherWith(provider))
  await Promise.all(dispatchers.map((dispatcher) => dispatcher.sweep()))
  await Promise.all(dispatchers.map((dispatcher) => dispatcher.idle()))
  t.strictSame(sent.toSorted(), ids.toSorted())
  t.strictSame(await states(), all(40, 'sent'))
})

t.test('what fails before a carrier has seen the message is tried again; what fails there is not', async (t) => {
  const { ids, states } = await queue(3)
  let away = true
  let sends = 0
  const dispatcher = dispatcherWith(async () => { sends++; throw new Error('The connection broke') }, {
    whichWait: async (tx, ids) => { if (away) throw Object.assign(new Error('terminating connection'), { code: '57P01' }); return whichWait(tx, ids) },
  })
  await dispatcher.sweep()
  await dispatcher.idle()
  t.strictSame([await states(), sends], [all(3, 'queued'), 0])

  away = false
  await dispatcher.sweep()
  await dispatcher.idle()
  t.strictSame([await states(), sends], [all(3, 'unknown'), ids.length])
  await dispatcher.sweep()
  await dispatcher.idle()
  t.equal(sends, ids.length, 'nobody knows whether it was sent, so it is not sent again')
})

t.test('a claim that outlives its lease ends unknown and is not sent', async (t) => {
  const { client, ids, states, owner } = await queue(2)
  await owner(sql`update messages set state = 'sending', lease_until = clock_timestamp() - interval '1 s' where challenge_id = ${ids[0]}`)
  const sent: string[] = []
  const dispatcher = dispatcherWith(async ({ challengeId }) => { sent.push(challengeId!); return 'sent' })
  await dispatcher.sweep()
  await dispatcher.idle()
  t.strictSame([await states(), sent], [['unknown', 'sent'], [ids[1]]])
  t.match((await read(client, ids[0]!)).body, { status: 'pending' }, 'the code may have arrived')
})

t.test('without a carrier, or with a message that cannot be read, the challenge fails', async (t) => {
  const { client, ids, owner } = await queue(2)
  await owner(sql`update messages set content = recipient where challenge_id = ${ids[0]}`)
  const sent: string[] = []
  const dispatcher = dispatcherWith(async ({ challengeId }) => { sent.push(challengeId!); return 'sent' })
  await dispatcher.sweep()
  await dispatcher.idle()
  t.match((await read(client, ids[0]!)).body, { status: 'failed', delivery: 'failed' })
  t.strictSame(sent, [ids[1]])

  const other = await queue(1)
  const none = dispatcherWith(async () => 'sent', { providerOf: async () => null })
  await none.sweep()
  await none.idle()
  t.match((await read(other.client, other.ids[0]!)).body, { status: 'failed', delivery: 'failed' })
})

import pg from 'pg'
import { startTestIssuer } from '../test/support/tokens.ts'
import { cpuOf, cpuOfChildren } from './support/cpu.ts'
import { seedUsers, startBenchDatabase, tenantSlug, userIdOf } from './support/database.ts'
import { openLoop, percentile } from './support/open-loop.ts'
import { startServer } from './support/processes.ts'

/**
 * Resets at 20 a second, whatever is still under way: users with two methods each, everything removed, a pass issued,
 * notices written and sent, the audit row sealed beside it. Aim: p95 under 150 ms. The yardstick, before and after in the
 * same run and at the same rate, is a bare transaction on the same database: it locks the user, updates the user and the
 * two methods and inserts a row, with no token, tenant, isolation, encryption, notice or audit.
 */
const users = Number(process.env.BENCH_USERS ?? 10_000)
const seconds = Number(process.env.BENCH_SECONDS ?? 30)
const perSecond = Number(process.env.BENCH_RATE ?? 20)
const warmUp = 40
const aimP95Ms = 150

const print = (line: string) => process.stdout.write(`${line}\n`)
const count = seconds * perSecond
if (warmUp + count > users) throw new Error(`${users} users are not enough for ${count} resets`)

const database = await startBenchDatabase()
const issuer = await startTestIssuer()
print(`seeding ${users} users …`)
await seedUsers(database, users)
const owner = new pg.Pool({ connectionString: database.ownerUrl, max: 10 })
await owner.query('create schema bench; create table bench.deeds (id bigint generated always as identity primary key, user_id text, at timestamptz, note bytea)')
const service = await startServer('src/main.ts', { SERVICE_DATABASE_URL: database.serviceUrl, KEY_RING: database.keyRingText, ISSUERS: JSON.stringify([issuer.trusted]) }, '/health/ready')
const headers = { authorization: `Bearer ${await issuer.tokenOf({ tenant: tenantSlug, subject: 'helen', roles: ['helpdesk'] })}`, 'content-type': 'application/json' }
const body = JSON.stringify({ scope: 'all', reason: 'lostDevice', ticket: 'HD', temporaryAccessPass: { oneTime: true } })

async function reset (index: number): Promise<void> {
  const reply = await fetch(`${service.origin}/v1/users/${userIdOf(index)}/mfa-resets`, { method: 'POST', headers, body })
  const text = await reply.text()
  if (reply.status !== 201) throw new Error(`a reset answered ${reply.status} ${text}`)
}

/** On users who are not reset, from the last one down. */
async function bare (index: number): Promise<void> {
  const client = await owner.connect()
  const who = [database.tenantId, userIdOf(users - 1 - index)]
  try {
    await client.query('begin')
    await client.query({ name: 'lock', text: 'select * from users where tenant_id = $1 and user_id = $2 for update', values: who })
    await client.query({ name: 'user', text: 'update users set mfa_epoch = mfa_epoch + 1, updated_at = now() where tenant_id = $1 and user_id = $2', values: who })
    await client.query({ name: 'methods', text: 'update contact_methods set updated_at = now(), version = version + 1 where tenant_id = $1 and user_id = $2', values: who })
    await client.query({ name: 'deed', text: 'insert into bench.deeds (user_id, at, note) values ($1, now(), $2)', values: [who[1], Buffer.alloc(500)] })
    await client.query('commit')
  } finally {
    client.release()
  }
}

try {
  await openLoop(perSecond, warmUp / perSecond, reset)
  await openLoop(perSecond, warmUp / perSecond, bare)
  await owner.query('vacuum (analyze)') // as autovacuum does within a minute: until then plans are those of empty tables
  const before = await openLoop(perSecond, seconds / 3, bare)
  const [cpu, postgresCpu] = [cpuOf(service.child.pid!), cpuOfChildren(database.postmasterPid)]
  const ours = await openLoop(perSecond, seconds, (index) => reset(warmUp + index))
  const cost = { service: (cpuOf(service.child.pid!) - cpu) / count, postgres: (cpuOfChildren(database.postmasterPid) - postgresCpu) / count }
  const after = await openLoop(perSecond, seconds / 3, bare)

  const [p95, yardstick] = [percentile(ours, 0.95), (percentile(before, 0.95) + percentile(after, 0.95)) / 2]
  print(`a bare transaction at ${perSecond} a second: median ${percentile(before, 0.5).toFixed(1)} and ${percentile(after, 0.5).toFixed(1)} ms, p95 ${percentile(before, 0.95).toFixed(1)} and ${percentile(after, 0.95).toFixed(1)} ms`)
  print(`a reset at ${perSecond} a second, ${users} users with two methods, ${count} resets: median ${percentile(ours, 0.5).toFixed(1)} ms, p95 ${p95.toFixed(1)} ms, slowest ${ours.at(-1)!.toFixed(1)} ms (aim for p95 ${aimP95Ms}: ${p95 < aimP95Ms ? 'met' : 'missed'})`)
  print(`that is ${(p95 / yardstick).toFixed(1)} times the p95 of the bare transaction`)
  print(`processor time of one reset, its notices and its sealing with it: service ${cost.service.toFixed(0)} µs, Postgres ${cost.postgres.toFixed(0)} µs`)
} finally {
  await owner.end()
  await service.stop()
  await issuer.close()
  await database.close()
}

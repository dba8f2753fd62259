import autocannon from 'autocannon'
import { startTestIssuer } from '../test/support/tokens.ts'
import { seedUsers, startBenchDatabase, tenantSlug, userIdOf } from './support/database.ts'
import { cpuOf, cpuOfChildren } from './support/cpu.ts'
import { median, startServer, type ServerProcess } from './support/processes.ts'

/**
 * A person's list of methods (token, isolation, decryption, log) against the bare handler, loaded in turn: bare, ours,
 * bare, five rounds, median of the ratios. Aim: at least 1.0 of it.
 */
const users = Number(process.env.BENCH_USERS ?? 100_000)
const tokens = 1_000
const rounds = Number(process.env.BENCH_ROUNDS ?? 5)
const seconds = Number(process.env.BENCH_SECONDS ?? 4)
const connections = 16
const aim = 1

const database = await startBenchDatabase()
const issuer = await startTestIssuer()
process.stdout.write(`seeding ${users} users …\n`)
await seedUsers(database, users)
const ours = await startServer('src/main.ts', { SERVICE_DATABASE_URL: database.serviceUrl, KEY_RING: database.keyRingText, ISSUERS: JSON.stringify([issuer.trusted]) }, '/health/ready')
const bare = await startServer('bench/bare.ts', { BENCH_OWNER_URL: database.ownerUrl, BENCH_TENANT: database.tenantId }, '/health/ready')

const requests = await Promise.all(Array.from({ length: tokens }, async (_, index) => {
  const subject = userIdOf(Math.floor(index * users / tokens))
  return { path: `/v1/users/${subject}/contact-methods`, headers: { authorization: `Bearer ${await issuer.tokenOf({ tenant: tenantSlug, subject })}` } }
}))

type Load = Awaited<ReturnType<typeof load>>

async function load ({ origin, child }: ServerProcess): Promise<{ perSecond: number, p99Ms: number, serviceMicroseconds: number, postgresMicroseconds: number }> {
  const [service, postgres] = [cpuOf(child.pid!), cpuOfChildren(database.postmasterPid)]
  const result = await autocannon({ url: origin, connections, duration: seconds, requests })
  if (result.non2xx > 0 || result.errors > 0) throw new Error(`${result.non2xx} refusals and ${result.errors} errors`)
  const count = result.requests.total
  return {
    perSecond: result.requests.average, p99Ms: result.latency.p99,
    serviceMicroseconds: (cpuOf(child.pid!) - service) / count, postgresMicroseconds: (cpuOfChildren(database.postmasterPid) - postgres) / count,
  }
}

await load(bare) // warm up
await load(ours)
const ratios: number[] = []
const spent = { bare: [] as Load[], ours: [] as Load[] }
for (let round = 1; round <= rounds; round++) {
  const before = await load(bare)
  const middle = await load(ours)
  const after = await load(bare)
  const ratio = middle.perSecond / ((before.perSecond + after.perSecond) / 2)
  ratios.push(ratio)
  spent.bare.push(before, after)
  spent.ours.push(middle)
  process.stdout.write(`round ${round}: bare ${before.perSecond.toFixed(0)}/s, ours ${middle.perSecond.toFixed(0)}/s (p99 ${middle.p99Ms} ms), bare ${after.perSecond.toFixed(0)}/s: ${ratio.toFixed(2)}\n`)
}
await Promise.all([ours.stop(), bare.stop()])
await issuer.close()
await database.close()
for (const [name, loads] of Object.entries(spent)) {
  const of = (field: 'serviceMicroseconds' | 'postgresMicroseconds') => median(loads.map((one) => one[field])).toFixed(0)
  process.stdout.write(`processor time of one request, ${name}: service ${of('serviceMicroseconds')} µs, Postgres ${of('postgresMicroseconds')} µs\n`)
}
const middle = median(ratios)
process.stdout.write(`contact methods, ${users} users, ${tokens} tokens, ${connections} connections: ${middle.toFixed(2)} of the bare handler (median of ${rounds}, ${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)}; aim ${aim.toFixed(1)}: ${middle >= aim ? 'met' : 'missed'})\n`)

import type { Request } from 'autocannon'
import { startTestIssuer } from '../test/support/tokens.ts'
import { seedUsers, startBenchDatabase, tenantSlug, userIdOf, type BenchDatabase } from './support/database.ts'
import { compare, load, processorTimeOf, range, verdict, type Load } from './support/load.ts'
import { seedCounts, seedMany } from './support/many.ts'
import { openLoop, percentile } from './support/open-loop.ts'
import { median, startServer, type ServerProcess } from './support/processes.ts'

/**
 * What the sign-in page asks, as apps: against the bare handler in turns (bare, ours, bare; median of the ratios), at a
 * fixed rate, and in a large database beside a small one. `BENCH_METHODS` is the size of the large one; 0 leaves it out.
 * The tokens are of ten apps, each with a hundred; each names another user, spread over all of them.
 */
const users = Number(process.env.BENCH_USERS ?? 100_000)
const rounds = Number(process.env.BENCH_ROUNDS ?? 5)
const seconds = Number(process.env.BENCH_SECONDS ?? 4)
const largeMethods = Number(process.env.BENCH_METHODS ?? 1_000_000)
const smallMethods = 10_000
const [tokens, apps, connections, fixedRate] = [1_000, 10, 16, 500] as const
const aims = { ofBare: 1, perSecond: 4_000, p99Ms: 10, ofSmall: 1.2 }

const print = (line: string) => process.stdout.write(`${line}\n`)
const issuer = await startTestIssuer()
const bearers = await Promise.all(Array.from({ length: tokens }, (_none, index) =>
  issuer.tokenOf({ tenant: tenantSlug, subject: `sign-in-page-${index % apps}`, kind: 'app', scopes: ['sign-in:read'] })))
const requestsOf = (userIds: readonly string[]): Request[] =>
  userIds.map((userId, index) => ({ path: `/v1/users/${userId}/sign-in-requirements`, headers: { authorization: `Bearer ${bearers[index % tokens]!}` } }))
const serve = (database: BenchDatabase): Promise<ServerProcess> =>
  startServer('src/main.ts', { SERVICE_DATABASE_URL: database.serviceUrl, KEY_RING: database.keyRingText, ISSUERS: JSON.stringify([issuer.trusted]) }, '/health/ready')

async function besideBare (): Promise<void> {
  const database = await startBenchDatabase()
  print(`seeding ${users} users …`)
  await seedUsers(database, users)
  await seedCounts(database)
  const [ours, bare] = [await serve(database), await startServer('bench/bare.ts', { BENCH_OWNER_URL: database.ownerUrl, BENCH_TENANT: database.tenantId }, '/health/ready')]
  const options = { connections, seconds, requests: requestsOf(Array.from({ length: tokens }, (_none, index) => userIdOf(Math.floor(index * users / tokens)))), postmasterPid: database.postmasterPid }
  try {
    const found = await compare('bare', bare, ours, rounds, options)
    const paced = await openLoop(fixedRate, 4 * seconds, async (index) => {
      const { path, headers } = options.requests[index % tokens]!
      const reply = await fetch(ours.origin + path!, { headers: headers as Record<string, string> })
      if (!reply.ok) throw new Error(`an answer was ${reply.status}`)
      await reply.arrayBuffer()
    })
    const p99Ms = percentile(paced, 0.99)
    print(`processor time of one request, bare: ${processorTimeOf(found.bare)}`)
    print(`processor time of one request, ours: ${processorTimeOf(found.ours)}`)
    print(`sign-in, ${users} users, ${tokens} tokens, ${connections} connections: ${range(found.ratios)} of the bare handler (median of ${rounds}; aim ${aims.ofBare}: ${verdict(median(found.ratios) >= aims.ofBare)})`)
    const speeds = found.ours.map((one) => one.perSecond)
    print(`${range(speeds, 0)} a second (aim ${aims.perSecond}: ${verdict(median(speeds) >= aims.perSecond)})`)
    print(`at ${fixedRate} a second, each when it is due: p99 ${p99Ms.toFixed(1)} ms, median ${percentile(paced, 0.5).toFixed(1)} (aim under ${aims.p99Ms}: ${verdict(p99Ms < aims.p99Ms)})`)
  } finally {
    await Promise.all([ours.stop(), bare.stop()])
    await database.close()
  }
}

/** One question after the other, so that the time of an answer shows; nearly every one about a user who was not asked for lately. */
async function smallAndLarge (): Promise<void> {
  const sizes = [smallMethods, largeMethods]
  const servers: Array<{ database: BenchDatabase, server: ServerProcess, requests: Request[], loads: Load[] }> = []
  try {
    for (const methods of sizes) {
      const database = await startBenchDatabase()
      const askable = await seedMany(database, methods / 2, Math.max(1, Math.floor(methods / 2 / 20_000)))
      await seedCounts(database)
      servers.push({ database, server: await serve(database), requests: requestsOf(askable.toSorted(() => Math.random() - 0.5)), loads: [] })
    }
    const ask = ({ database, server, requests }: typeof servers[number]) => load(server, { connections: 1, seconds, requests, postmasterPid: database.postmasterPid })
    for (const one of servers) await ask(one)
    for (let round = 1; round <= rounds; round++) for (const one of servers) one.loads.push(await ask(one))
  } finally {
    for (const { database, server } of servers) {
      await server.stop()
      await database.close()
    }
  }
  const [small, large] = servers as [typeof servers[number], typeof servers[number]]
  const timeOf = ({ perSecond }: Load) => 1e6 / perSecond
  for (const [index, { loads }] of servers.entries()) print(`${sizes[index]!.toLocaleString('en')} methods: an answer in ${range(loads.map(timeOf), 0)} µs; processor time: ${processorTimeOf(loads)}`)
  const ratios = large.loads.map((one, round) => timeOf(one) / timeOf(small.loads[round]!))
  print(`that is ${range(ratios)} of the time (aim at most ${aims.ofSmall}: ${verdict(median(ratios) <= aims.ofSmall)})`)
}

try {
  await besideBare()
  if (largeMethods > 0) await smallAndLarge()
} finally {
  await issuer.close()
}

import { startTestIssuer } from '../test/support/tokens.ts'
import { seedUsers, startBenchDatabase, tenantSlug, userIdOf } from './support/database.ts'
import { compare, processorTimeOf, range, verdict } from './support/load.ts'
import { median, startServer } from './support/processes.ts'

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
const found = await compare('bare', bare, ours, rounds, { connections, seconds, requests, postmasterPid: database.postmasterPid })
await Promise.all([ours.stop(), bare.stop()])
await issuer.close()
await database.close()
process.stdout.write(`processor time of one request, bare: ${processorTimeOf(found.bare)}\nprocessor time of one request, ours: ${processorTimeOf(found.ours)}\n`)
process.stdout.write(`contact methods, ${users} users, ${tokens} tokens, ${connections} connections: ${range(found.ratios)} of the bare handler (median of ${rounds}; aim ${aim.toFixed(1)}: ${verdict(median(found.ratios) >= aim)})\n`)

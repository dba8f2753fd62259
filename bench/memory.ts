import { readFileSync } from 'node:fs'
import autocannon from 'autocannon'
import { startTestIssuer } from '../test/support/tokens.ts'
import { seedUsers, startBenchDatabase, tenantSlug, userIdOf } from './support/database.ts'
import { startServer } from './support/processes.ts'

/** Memory of the service's process, without issuer and Postgres, after a minute of mixed load. Aim: under 200 MB. */
const users = Number(process.env.BENCH_USERS ?? 20_000)
const seconds = Number(process.env.BENCH_SECONDS ?? 60)
const aimMegabytes = 200

const database = await startBenchDatabase()
const issuer = await startTestIssuer()
process.stdout.write(`seeding ${users} users …\n`)
await seedUsers(database, users)
const service = await startServer('bench/fixed-codes.ts', { SERVICE_DATABASE_URL: database.serviceUrl, KEY_RING: database.keyRingText, ISSUERS: JSON.stringify([issuer.trusted]) }, '/health/ready')
const megabytes = (field: string) => Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(readFileSync(`/proc/${service.child.pid!}/status`, 'utf8'))![1]) / 1024
const headersOf = async (caller: Parameters<typeof issuer.tokenOf>[0]) => ({ authorization: `Bearer ${await issuer.tokenOf(caller)}`, 'content-type': 'application/json' })

try {
  const app = await headersOf({ tenant: tenantSlug, subject: 'bench-app', kind: 'app', scopes: ['challenges:write', 'sign-in:read'] })
  const people = await Promise.all(Array.from({ length: 1_000 }, async (_none, index) => ({ path: '/v1/users/me/contact-methods', headers: await headersOf({ tenant: tenantSlug, subject: userIdOf(index) }) })))
  let next = 0
  const loads = [
    { connections: 4, requests: people },
    { connections: 4, requests: Array.from({ length: 1_000 }, (_none, index) => ({ path: `/v1/users/${userIdOf(index * 7 % users)}/sign-in-requirements`, headers: app })) },
    {
      connections: 8, requests: [
        {
          method: 'POST' as const, path: '/v1/challenges', headers: app,
          setupRequest: (request: autocannon.Request) => ({ ...request, body: JSON.stringify({ userId: userIdOf(next++ % users), purpose: 'signIn' }) }),
          onResponse: (status: number, body: string, context: { id?: string }) => { if (status === 201) context.id = (JSON.parse(body) as { id: string }).id },
        },
        {
          method: 'POST' as const, path: '/', headers: app, body: JSON.stringify({ code: '111111' }),
          setupRequest: (request: autocannon.Request, context: { id?: string }) => ({ ...request, path: `/v1/challenges/${context.id ?? ''}/verify` }),
        },
      ],
    },
  ]
  const atFirst = megabytes('VmRSS')
  const results = await Promise.all(loads.map((load) => autocannon({ url: service.origin, duration: seconds, ...load })))
  const requests = results.reduce((sum, result) => sum + result.requests.total, 0)
  const [after, peak] = [megabytes('VmRSS'), megabytes('VmHWM')]
  process.stdout.write(`memory after ${seconds} s of mixed load (${requests} requests, ${results.reduce((sum, result) => sum + result.errors, 0)} errors): ${after.toFixed(0)} MB, at most ${peak.toFixed(0)} MB, ${atFirst.toFixed(0)} MB before (aim ${aimMegabytes}: ${after < aimMegabytes ? 'met' : 'missed'})\n`)
} finally {
  await service.stop()
  await issuer.close()
  await database.close()
}

import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import autocannon from 'autocannon'
import pg from 'pg'
import { startTestIssuer } from '../test/support/tokens.ts'
import { withoutAuditRows } from './support/audit.ts'
import { cpuOf, cpuOfChildren } from './support/cpu.ts'
import { seedUsers, startBenchDatabase, tenantSlug, userIdOf } from './support/database.ts'
import { median, startServer } from './support/processes.ts'

/**
 * Start and verify, every rule on, in one tenant, beside pgbench running the same statements on the same database. Aim:
 * 500 pairs a second, at least half of pgbench; p95 of a start under 80 ms at 200 a second. Each round runs once more
 * without audit rows, which says what these and their sealing cost.
 */
const users = Number(process.env.BENCH_USERS ?? 100_000)
const rounds = Number(process.env.BENCH_ROUNDS ?? 3)
const seconds = Number(process.env.BENCH_SECONDS ?? 8)
const prefixes = 5_000
const connections = 16
const aims = { pairsPerSecond: 500, ofPgbench: 0.5, startP95Ms: 80 }

const print = (line: string) => process.stdout.write(`${line}\n`)
const database = await startBenchDatabase()
const issuer = await startTestIssuer()
print(`seeding ${users} users over ${prefixes} prefixes …`)
await seedUsers(database, users, (index) => `+1${201 + Math.floor(index % prefixes / 800)}${String(200 + index % prefixes % 800)}${String(1_000 + Math.floor(index / prefixes)).padStart(4, '0')}`)
await asOwner('update policies set document = document || \'{"sendsPerDay": 1000000}\'')
const service = await startServer('bench/fixed-codes.ts', { SERVICE_DATABASE_URL: database.serviceUrl, KEY_RING: database.keyRingText, ISSUERS: JSON.stringify([issuer.trusted]) }, '/health/ready')
const headers = {
  authorization: `Bearer ${await issuer.tokenOf({ tenant: tenantSlug, subject: 'bench-app', kind: 'app', scopes: ['challenges:write', 'sign-in:read'] })}`,
  'content-type': 'application/json',
}

let next = 0
const startTimes: number[] = []

interface Pair { startedAt?: number, challengeId?: string }

/** Pairs of a start and its right code, at most so many a second. */
async function load (durationSeconds: number, pairsPerSecondMax?: number) {
  startTimes.length = 0
  const [before, postgresBefore] = [cpuOf(service.child.pid!), cpuOfChildren(database.postmasterPid)]
  let pairs = 0
  const result = await autocannon({
    url: service.origin, connections, duration: durationSeconds, ...(pairsPerSecondMax !== undefined && { overallRate: pairsPerSecondMax * 2 }),
    requests: [{
      method: 'POST', path: '/v1/challenges', headers,
      setupRequest: (request, context: Pair) => {
        const index = next++ % users
        context.startedAt = performance.now()
        return { ...request, body: JSON.stringify({ userId: userIdOf(index), purpose: 'signIn', clientAddress: `10.${index >> 16 & 255}.${index >> 8 & 255}.${index & 255}` }) }
      },
      onResponse: (status, body, context: Pair) => {
        startTimes.push(performance.now() - context.startedAt!)
        if (status === 201) context.challengeId = (JSON.parse(body) as { id: string }).id
      },
    }, {
      method: 'POST', path: '/', headers, body: JSON.stringify({ code: '111111' }),
      setupRequest: (request, context: Pair) => ({ ...request, path: `/v1/challenges/${context.challengeId!}/verify` }),
      onResponse: (status) => { if (status === 200) pairs++ },
    }],
  })
  // A load that ends between a start and its check leaves a user whose next code must wait.
  if (result.non2xx > connections + pairs / 1_000 || result.errors > 0) throw new Error(`${result.non2xx} refusals and ${result.errors} errors`)
  return {
    pairsPerSecond: pairs / durationSeconds, startP95Ms: startTimes.toSorted((a, b) => a - b)[Math.floor(startTimes.length * 0.95)]!,
    serviceMicroseconds: (cpuOf(service.child.pid!) - before) / pairs, postgresMicroseconds: (cpuOfChildren(database.postmasterPid) - postgresBefore) / pairs,
  }
}

async function asOwner (...statements: string[]): Promise<void> {
  const owner = new pg.Client({ connectionString: database.ownerUrl })
  await owner.connect()
  for (const statement of statements) await owner.query(statement)
  await owner.end()
}

/** With the service asleep, whose workers would take part; what it would find to do afterwards is thrown away. */
async function alone<T> (work: () => T): Promise<T> {
  service.child.kill('SIGSTOP')
  try {
    const result = work()
    await asOwner('delete from messages where state = \'queued\'', 'delete from audit_unsealed')
    return result
  } finally {
    service.child.kill('SIGCONT')
  }
}

/** The same statements as one pair runs, by pgbench as the service's own role; undefined where there is no pgbench. */
function pgbench (): number | undefined {
  const program = ['/usr/bin/pgbench', '/usr/lib/postgresql/15/bin/pgbench', 'pgbench'].find((one) => spawnSync(one, ['--version']).status === 0)
  if (!program) return undefined
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-pgbench-'))
  try {
    const script = join(folder, 'pair.sql')
    writeFileSync(script, pairScript())
    const output = execFileSync(program, ['-n', '-f', script, '-c', String(connections), '-j', '1', '-T', String(seconds), '-M', 'simple', '-D', `users=${users - 1}`, database.serviceUrl], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
    return Number(/tps = ([\d.]+)/.exec(output)![1])
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function pairScript (): string {
  const t = `'${database.tenantId}'`
  const sealed = `'\\x${'00'.repeat(150)}'`
  const event = (action: string) => `jsonb_build_object('tenant_id', ${t}, 'id', gen_random_uuid(), 'at', now(), 'actor_kind', 'app', 'actor', 'bench-app', 'action', '${action}', 'outcome', 'done',
 'user_id', 'user-' || :n, 'request_id', 'pgbench', 'details', '{}', 'mac_key_version', 1, 'row_mac', '\\x00')`
  const mac = `'\\x${'11'.repeat(32)}'`
  return `\\set n random(0, :users)
select policy_version, mfa_epoch, gen_random_uuid() as challenge, methods -> 0 ->> 'id' as method, methods -> 0 ->> 'version' as version, methods -> 0 ->> 'destination_index' as destination
  from read_challenge_setting(${t}, 'user-' || :n) \\gset
select f.* from enter_tenant(${t}) as e (at) cross join lateral start_challenge(
 case when e.at is not null then jsonb_build_object('tenant_id', ${t}, 'id', ':challenge', 'user_id', 'user-' || :n, 'method_id', ':method', 'purpose', 'signIn', 'channel', 'sms', 'starter_kind', 'app', 'starter_id', 'bench-app', 'status', 'pending',
 'code_mac', ${mac}, 'code_key_version', 1, 'code_length', 6, 'attempts', 0, 'attempts_max', 5, 'destination_index', ':destination', 'destination', '+1', 'mfa_epoch', :mfa_epoch, 'decoy', false, 'blind', false) end,
 300, jsonb_build_object('tenant_id', ${t}, 'id', gen_random_uuid(), 'user_id', 'user-' || :n, 'challenge_id', ':challenge', 'channel', 'sms', 'kind', 'code', 'recipient', ${sealed}, 'content', ${sealed}),
 ${event('challenge.started')},
 jsonb_build_object('epoch', :mfa_epoch, 'methodId', ':method', 'methodVersion', ':version', 'methodStatus', 'active', 'policyVersion', :policy_version),
 jsonb_build_object('proven', true, 'paid', true, 'sendsPerDay', 1000000, 'userPerHour', 10, 'clientAddressPerHour', 30, 'prefixPerHour', 20, 'destinationPerTenMinutes', 5, 'destinationPerDay', 20, 'addressBucket', 'address:' || :n)) as f;
select f.* from enter_tenant(${t}) as e (at) cross join lateral take_attempt(case when e.at is not null then ':challenge'::uuid end, 'app', 'bench-app') as f;
select f.* from enter_tenant(${t}) as e (at) cross join lateral approve_challenge(case when e.at is not null then ':challenge'::uuid end, ${mac}, ${event('challenge.approved')}) as f;
`
}

const ratios: number[] = []
const speeds: number[] = []
const unaudited: number[] = []
const unauditedLoad = async () => (await withoutAuditRows(database.ownerUrl, () => load(seconds))).pairsPerSecond
const pairs: Array<Awaited<ReturnType<typeof load>>> = []
let paced: Awaited<ReturnType<typeof load>>
try {
  await load(3)
  await asOwner('vacuum (analyze)') // as autovacuum does within a minute: until then plans are those of empty tables
  for (let round = 1; round <= rounds; round++) {
    const before = await alone(pgbench)
    // In turn first and last, so that a database that grows speaks for neither.
    if (round % 2 === 0) unaudited.push(await unauditedLoad())
    const ours = await load(seconds)
    if (round % 2 === 1) unaudited.push(await unauditedLoad())
    const after = await alone(pgbench)
    pairs.push(ours)
    speeds.push(ours.pairsPerSecond)
    if (before !== undefined && after !== undefined) ratios.push(ours.pairsPerSecond / ((before + after) / 2))
    print(`round ${round}: ours ${ours.pairsPerSecond.toFixed(0)} pairs/s, ${unaudited.at(-1)!.toFixed(0)} without audit rows${before === undefined ? '' : `, pgbench ${before.toFixed(0)} and ${after!.toFixed(0)}`}`)
  }
  paced = await load(seconds, 200)
} finally {
  await service.stop()
  await issuer.close()
  await database.close()
}

const verdict = (met: boolean) => met ? 'met' : 'missed'
print(`processor time of one pair: service ${median(pairs.map((one) => one.serviceMicroseconds)).toFixed(0)} µs, Postgres ${median(pairs.map((one) => one.postgresMicroseconds)).toFixed(0)} µs`)
print(`start + verify, ${users} users, ${connections} connections: ${median(speeds).toFixed(0)} pairs a second (median of ${rounds}; aim ${aims.pairsPerSecond}: ${verdict(median(speeds) >= aims.pairsPerSecond)})`)
print(`without audit rows ${median(unaudited).toFixed(0)} pairs a second: writing and sealing them leaves ${(median(speeds) / median(unaudited)).toFixed(2)} of that`)
if (ratios.length > 0) print(`that is ${median(ratios).toFixed(2)} of pgbench with the same statements (aim ${aims.ofPgbench}: ${verdict(median(ratios) >= aims.ofPgbench)})`)
else print('pgbench was not found, so there is no yardstick: it comes with the server\'s own packages (Debian: postgresql-contrib or postgresql-15)')
print(`a start at 200 pairs a second: p95 ${paced.startP95Ms.toFixed(1)} ms (aim ${aims.startP95Ms}: ${verdict(paced.startP95Ms < aims.startP95Ms)})`)

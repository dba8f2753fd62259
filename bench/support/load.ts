import autocannon from 'autocannon'
import { cpuOf, cpuOfChildren } from './cpu.ts'
import { median, type ServerProcess } from './processes.ts'

export interface Load { perSecond: number, p99Ms: number, serviceMicroseconds: number, postgresMicroseconds: number }

export interface LoadOptions { connections: number, seconds: number, requests: autocannon.Request[], postmasterPid: number }

/** Loads a server and counts what a request cost: processor time as the kernel counts it for each process. */
export async function load ({ origin, child }: ServerProcess, { connections, seconds, requests, postmasterPid }: LoadOptions): Promise<Load> {
  const [service, postgres] = [cpuOf(child.pid!), cpuOfChildren(postmasterPid)]
  const result = await autocannon({ url: origin, connections, duration: seconds, requests })
  if (result.non2xx > 0 || result.errors > 0) throw new Error(`${result.non2xx} refusals and ${result.errors} errors`)
  const count = result.requests.total
  return {
    perSecond: result.requests.average, p99Ms: result.latency.p99,
    serviceMicroseconds: (cpuOf(child.pid!) - service) / count, postgresMicroseconds: (cpuOfChildren(postmasterPid) - postgres) / count,
  }
}

/** Loads two servers in turn, the yardstick before and after ours, and tells each round; warmed up first. */
export async function compare (name: string, bare: ServerProcess, ours: ServerProcess, rounds: number, options: LoadOptions): Promise<{ ratios: number[], bare: Load[], ours: Load[] }> {
  await load(bare, options)
  await load(ours, options)
  const found = { ratios: [] as number[], bare: [] as Load[], ours: [] as Load[] }
  for (let round = 1; round <= rounds; round++) {
    const before = await load(bare, options)
    const middle = await load(ours, options)
    const after = await load(bare, options)
    const ratio = middle.perSecond / ((before.perSecond + after.perSecond) / 2)
    found.ratios.push(ratio)
    found.bare.push(before, after)
    found.ours.push(middle)
    process.stdout.write(`round ${round}: ${name} ${before.perSecond.toFixed(0)}/s, ours ${middle.perSecond.toFixed(0)}/s (p99 ${middle.p99Ms} ms), ${name} ${after.perSecond.toFixed(0)}/s: ${ratio.toFixed(2)}\n`)
  }
  return found
}

/** Median of the processor time of one request. */
export const processorTimeOf = (loads: readonly Load[]): string =>
  `service ${median(loads.map((one) => one.serviceMicroseconds)).toFixed(0)} µs, Postgres ${median(loads.map((one) => one.postgresMicroseconds)).toFixed(0)} µs`

export const verdict = (met: boolean): string => met ? 'met' : 'missed'

export const range = (values: readonly number[], digits = 2): string =>
  `${median(values).toFixed(digits)} (${Math.min(...values).toFixed(digits)} to ${Math.max(...values).toFixed(digits)})`

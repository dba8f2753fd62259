import t from 'tap'
import { verify } from '../../support/challenges.ts'
import { seedActive } from '../../support/seed.ts'
import { testService, type Client } from '../../support/service.ts'

// Medians of times say something on a machine that does nothing else; that answers leave on a beat is tested always.
const long = process.env.LATCHKEY_LONG === '1'
t.setTimeout(600_000)

const service = await testService(t)
const median = (values: number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!

/** How likely the slower one of a pair is the known one: 0.5 where nothing can be told. */
function separation (known: number[], unknown: number[]): number {
  let above = 0
  for (const one of known) for (const other of unknown) above += one > other ? 1 : one === other ? 0.5 : 0
  return above / known.length / unknown.length
}

async function timed (act: () => Promise<{ status: number }>): Promise<number> {
  const from = performance.now()
  await act()
  return performance.now() - from
}

/** Starts for known and unknown users in turn, with a wrong code for each, and other blind callers at the same time. */
async function measure (client: Client, known: string[], othersAtOnce: number): Promise<Record<'start' | 'verify', Record<'known' | 'unknown', number[]>>> {
  const times = { start: { known: [] as number[], unknown: [] as number[] }, verify: { known: [] as number[], unknown: [] as number[] } }
  const measuring = new AbortController()
  const others = Array.from({ length: othersAtOnce }, async (_none, index) => {
    for (let turn = 0; !measuring.signal.aborted; turn++) await client.post('/v1/challenges', { userId: `noise-${othersAtOnce}-${index}-${turn}`, purpose: 'signIn' })
  })
  for (const [turn, userId] of known.entries()) {
    const pair = [['known', userId], ['unknown', `nobody-${userId}`]] as const
    for (const [sort, subject] of turn % 2 === 0 ? pair : pair.toReversed()) {
      let id = ''
      times.start[sort].push(await timed(async () => {
        const answer = await client.post('/v1/challenges', { userId: subject, purpose: 'signIn' })
        id = answer.body.id as string
        return answer
      }))
      times.verify[sort].push(await timed(() => verify(client, id, '0000000')))
    }
  }
  measuring.abort()
  await Promise.all(others)
  return times
}

for (const [count, othersAtOnce] of [[500, 0], [150, 8]] as const) {
  t.test(`2 × ${count} starts and wrong codes for known and unknown users take as long, with ${othersAtOnce} others at once`, { skip: long ? false : 'only with LATCHKEY_LONG=1' }, async (t) => {
    const tenant = await service.tenant()
    const blind = await service.as({ tenant, subject: 'payroll', kind: 'app', scopes: ['challenges:write'] })
    const known = (await seedActive(service, tenant, count + 5, ['mobilePhone'])).map(({ userId }) => userId)
    await measure(blind, known.splice(0, 5), othersAtOnce) // what is slow the first time
    const times = await measure(blind, known, othersAtOnce)
    for (const [name, { known: real, unknown }] of Object.entries(times)) {
      const [one, other] = [median(real), median(unknown)]
      const told = separation(real, unknown)
      t.comment(`${name}: ${one.toFixed(2)} ms known, ${other.toFixed(2)} ms unknown; told apart ${told.toFixed(3)}`)
      // On a machine where the work takes about one beat the medians may be of two; then only the second says anything.
      t.ok(Math.abs(one - other) <= 0.1 * Math.min(one, other) || Math.abs(told - 0.5) <= 0.1, `${name}: medians within 10 %`)
      if (count >= 150) t.ok(Math.abs(told - 0.5) <= 0.1, `${name}: not told apart one by one`)
    }
  })
}

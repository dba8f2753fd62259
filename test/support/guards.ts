import { asOwner } from './cluster.ts'
import type { TestService } from './service.ts'

/**
 * Runs `work` with a function of the database that lacks one of its guards: what a test of a race must notice. `guard` is
 * a part of its text, which has to be there.
 */
export async function without<T> (service: Pick<TestService, 'database'>, name: string, guard: string, work: () => Promise<T>, instead = ''): Promise<T> {
  return asOwner(service.database.ownerUrl, async (client) => {
    const { rows: [found] } = await client.query<{ text: string }>('select pg_get_functiondef($1::regproc) as text', [name])
    const { text } = found!
    if (text.split(guard).length !== 2) throw new Error(`${name} does not have this guard once: ${guard}`)
    await client.query(text.replace(guard, instead))
    try {
      return await work()
    } finally {
      await client.query(text)
    }
  })
}

/** Holds locks while `work` runs: what needs them waits in the order in which it came, until `release` is called. `like` tells those waiters from workers that wait for each other. */
export async function holding<T> (service: Pick<TestService, 'database'>, lock: string, values: unknown[], work: (held: { waiting: (count: number, like?: string) => Promise<void>, release: () => Promise<unknown> }) => Promise<T>): Promise<T> {
  return asOwner(service.database.ownerUrl, async (holder) => asOwner(service.database.ownerUrl, async (watcher) => {
    await holder.query('begin')
    await holder.query(lock, values)
    return work({
      async waiting (count, like = '%') {
        for (const until = performance.now() + 10_000; ;) {
          const { rowCount } = await watcher.query('select 1 from pg_stat_activity where datname = current_database() and wait_event_type = \'Lock\' and query like $1', [like])
          if (rowCount! >= count) return
          if (performance.now() > until) throw new Error(`${rowCount} wait for the lock`)
        }
      },
      release: () => holder.query('commit'),
    })
  }))
}

/** How many deadlocks there were. A connection's count is written when it ends, so this ends them all. */
export const deadlocksOf = (service: Pick<TestService, 'database'>) => asOwner(service.database.ownerUrl, async (client) => {
  const others = 'from pg_stat_activity where datname = current_database() and usename <> current_user'
  await client.query(`select pg_terminate_backend(pid) ${others}`)
  while ((await client.query(`select 1 ${others} and backend_start < now()`)).rowCount! > 0) { /* until they are gone; the service opens new ones */ }
  const { rows: [counted] } = await client.query<{ deadlocks: string }>('select deadlocks from pg_stat_database where datname = current_database()')
  return Number(counted!.deadlocks)
})

import { setTimeout as sleep } from 'node:timers/promises'

export interface Supervised {
  isUp: () => boolean
  restart: () => Promise<void>
  log: (message: string) => void
}

const pollMilliseconds = 250
const longestWaitSeconds = 30
/** One that starts and dies again at once is started no more often than this. */
const betweenStartsMilliseconds = 1_000

/**
 * Restarts the server whenever it is down: at once, and while it cannot be started after 1, 2, 4 … seconds. `restart`
 * answers once the server does. Answers how to end this.
 */
export function supervise ({ isUp, restart, log }: Supervised): () => Promise<void> {
  const ending = new AbortController()
  const pause = (milliseconds: number) => sleep(milliseconds, undefined, { ref: false, signal: ending.signal })

  async function watch (): Promise<void> {
    let failures = 0
    let startedAt = 0
    while (!ending.signal.aborted) {
      await pause(pollMilliseconds)
      if (isUp()) continue
      const waitSeconds = failures === 0 ? 0 : Math.min(2 ** (failures - 1), longestWaitSeconds)
      log(`Postgres is down; starting it again${waitSeconds > 0 ? ` in ${waitSeconds} s` : ''}`)
      await pause(Math.max(waitSeconds * 1_000, startedAt + betweenStartsMilliseconds - Date.now()))
      startedAt = Date.now()
      try {
        await restart()
        failures = 0
      } catch (error) {
        failures++
        log(error instanceof Error ? error.message : String(error))
      }
    }
  }

  const watching = watch().catch((error: unknown) => {
    if (!ending.signal.aborted) log(`Postgres is no longer supervised: ${String(error)}`)
  })
  return async () => {
    ending.abort()
    await watching
  }
}

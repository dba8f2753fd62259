import { setTimeout as sleep } from 'node:timers/promises'

export interface Supervised {
  isUp: () => boolean
  restart: () => Promise<void>
  log: (message: string) => void
}

const pollMilliseconds = 250
const longestWaitSeconds = 30
/** A server that stayed up this long has recovered: its next death is a new one. */
const steadyMilliseconds = 1_000

/** Restarts the server whenever it is down: at once, then after 1, 2, 4 … seconds. Answers how to end this. */
export function supervise ({ isUp, restart, log }: Supervised): () => Promise<void> {
  const ending = new AbortController()
  const pause = (milliseconds: number) => sleep(milliseconds, undefined, { ref: false, signal: ending.signal })

  async function watch (): Promise<void> {
    let failures = 0
    let upSince = Date.now()
    while (!ending.signal.aborted) {
      await pause(pollMilliseconds)
      if (isUp()) {
        if (Date.now() - upSince > steadyMilliseconds) failures = 0
        continue
      }
      const waitSeconds = failures === 0 ? 0 : Math.min(2 ** (failures - 1), longestWaitSeconds)
      log(`Postgres is down; starting it again${waitSeconds > 0 ? ` in ${waitSeconds} s` : ''}`)
      failures++
      await pause(waitSeconds * 1_000)
      try {
        await restart()
      } catch (error) {
        log(error instanceof Error ? error.message : String(error))
      }
      upSince = Date.now()
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

import type { Logger } from 'pino'
import { errorFields } from '../log.ts'

export interface Loop { wake: () => void, stop: () => Promise<void> }

/**
 * Runs `work` again and again: at once when woken, and at the latest after `everyMs`. Never twice at a time; what it
 * throws is logged and tried again at the next turn, more slowly while it goes on failing.
 */
export function startLoop (name: string, everyMs: number, work: () => Promise<unknown>, log: Logger): Loop {
  const stopping = new AbortController()
  let woken = false
  let failures = 0
  let rouse: (() => void) | undefined

  const rest = (ms: number) => new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms)
    rouse = () => { clearTimeout(timer); resolve() }
  })

  const running = (async () => {
    while (!stopping.signal.aborted) {
      woken = false
      try {
        await work()
        failures = 0
      } catch (error) {
        failures++
        if (failures === 1 || failures % 60 === 0) log.error({ job: name, failures, ...errorFields(error) }, 'a job failed and will be tried again')
      }
      if (!woken && !stopping.signal.aborted) await rest(failures === 0 ? everyMs : Math.min(5_000, everyMs * 2 ** Math.min(failures, 4)))
    }
  })()

  return {
    wake () { woken = true; rouse?.() },
    async stop () { stopping.abort(); rouse?.(); await running },
  }
}

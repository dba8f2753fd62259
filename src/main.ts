import { setTimeout as pause } from 'node:timers/promises'
import closeWithGrace from 'close-with-grace'
import { ConfigurationError, readConfig, type Config } from './config.ts'
import { errorFields, reasonOf } from './platform/log.ts'
import { startProcess } from './start.ts'

/** The process: everything it starts is ended in the opposite order when it is told to stop. */
const stopWithinMs = 24_000
/** A load balancer reads `/health/ready` meanwhile and sends nothing new; whoever presses Ctrl-C does not want to wait. */
const noticeMs = { production: 5_000, development: 300 }
/** Under npm one Ctrl-C arrives twice: from the terminal, and passed on by npm. */
const sameSignalMs = 1_000
const signals = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const

const complain = (text: string) => { process.stderr.write(`${text}\n`) }

async function run (config: Config): Promise<void> {
  const starting = startProcess(config)
  const grace = closeWithGrace({
    delay: stopWithinMs, logger: false, skip: [...signals],
    onTimeout: () => complain('Stopping took too long; what is not done is left.'),
    onSecondError: () => complain('Another error while stopping.'),
  }, async ({ err }) => {
    const running = await starting
    if (err) running.log.fatal(errorFields(err), 'stopping after an error that nobody handled')
    running.drain()
    await pause(config.production ? noticeMs.production : noticeMs.development)
    await running.stop().catch((error: unknown) => {
      running.log.error(errorFields(error), 'stopping failed')
      throw error // the exit code tells it
    })
  })

  let stoppingSince: number | undefined
  for (const signal of signals) {
    process.on(signal, () => {
      if (stoppingSince === undefined) {
        stoppingSince = performance.now()
        grace.close() // ends the process
      } else if (performance.now() - stoppingSince > sameSignalMs) {
        complain(`A second ${signal}: stopping at once.`)
        process.exit(1)
      }
    })
  }
  await starting
}

try {
  await run(readConfig())
} catch (error) {
  complain(error instanceof ConfigurationError ? error.message : `The service could not start: ${reasonOf(error)}`)
  process.exit(1)
}

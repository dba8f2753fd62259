import closeWithGrace from 'close-with-grace'
import { ConfigurationError, readConfig } from './config.ts'
import { errorFields } from './platform/log.ts'
import { startProcess } from './start.ts'

/** The process: everything it starts is ended in the opposite order when it is told to stop. */
const stopWithinMs = 25_000
const noticeMs = 300 // a load balancer reads `/health/ready` meanwhile and sends nothing new

try {
  const running = await startProcess(readConfig(process.env))
  closeWithGrace({ delay: stopWithinMs, logger: false }, async ({ err }) => {
    if (err) running.log.fatal(errorFields(err), 'stopping after an error that nobody handled')
    running.drain()
    await new Promise((resolve) => { setTimeout(resolve, noticeMs) })
    await running.stop()
  })
} catch (error) {
  process.stderr.write(error instanceof ConfigurationError ? `${error.message}\n` : `The service could not start: ${(error as Error).message}\n`)
  process.exit(1)
}

import { randomBytes } from 'node:crypto'
import { callCast } from './cast.ts'
import { organization } from './chapters/1-organization.ts'
import { registration } from './chapters/2-registration.ts'
import { signIn } from './chapters/3-sign-in.ts'
import { change } from './chapters/4-change.ts'
import { lostPhone } from './chapters/5-lost-phone.ts'
import { recovery } from './chapters/6-recovery.ts'
import { privileged } from './chapters/7-privileged.ts'
import { notMe } from './chapters/8-not-me.ts'
import { offBoarding } from './chapters/9-off-boarding.ts'
import { records } from './chapters/10-records.ts'
import { findOrStart, type Running } from './service.ts'
import { NotTheContract, startTour } from './tour.ts'

/**
 * The whole story over real HTTP, against the service that runs or one of its own, in a new sandbox tenant. Every answer
 * is compared with the contract; the first that differs ends the tour with exit code 1.
 */
const print = (line: string) => process.stdout.write(`${line}\n`)

async function walk (service: Running): Promise<void> {
  const tour = startTour(service, `tour-${randomBytes(5).toString('hex')}`, print)
  print(`A tour of the service at ${service.origin}, in the new sandbox tenant ${tour.tenant}. Ids are shown by their last letters, tokens by their first.`)
  const cast = await callCast(tour)
  await organization(tour, cast)
  const ann = await registration(tour, cast)
  await signIn(tour, cast, ann)
  await change(tour, cast, ann)
  await recovery(tour, cast, await lostPhone(tour, cast, ann))
  await privileged(tour, cast)
  await notMe(tour, cast)
  await offBoarding(tour, cast)
  await records(tour, cast)
  print(`\n\n${tour.checks()} answers, all as the contract says.`)
}

let service: Running | undefined
let stopping: Promise<void> | undefined
const stop = () => stopping ??= service?.stop() ?? Promise.resolve()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => { void stop().finally(() => process.exit(1)) })

try {
  service = await findOrStart()
  await walk(service)
} catch (error) {
  process.exitCode = 1
  print(`\n${error instanceof NotTheContract ? error.message : `The tour broke off: ${error instanceof Error ? error.message : String(error)}`}`)
} finally {
  await stop()
  if (process.exitCode === 1) for (const line of service?.errors().slice(-3) ?? []) print(line)
}

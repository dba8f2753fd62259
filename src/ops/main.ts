import { parseArgs } from 'node:util'
import { ConfigurationError, readConfig } from '../config.ts'
import { reasonOf } from '../platform/log.ts'
import { check } from './check.ts'
import type { Command } from './command.ts'
import { keyRingNew } from './key-ring.ts'
import { migrateDatabase } from './migrate.ts'
import { pass } from './pass.ts'
import { serviceUrl } from './service-url.ts'
import { tenantCreate } from './tenant.ts'

const commands: Command[] = [migrateDatabase, tenantCreate, pass, check, serviceUrl, keyRingNew]

/** Someone named no command, or named it wrongly. */
class UsageError extends Error {}

const usage = ['Usage: npm run ops -- <command>', '', ...commands.flatMap((command) => [`  ${command.usage}`, `      ${command.does}`])].join('\n')

const say = (line: string) => { process.stdout.write(`${line}\n`) }
const remark = (line: string) => { process.stderr.write(`${line}\n`) }

/** Finds the command that the words name, and reads what is for it. */
function read (args: string[]) {
  const command = commands.find(({ words }) => words.split(' ').every((word, index) => args[index] === word))
  if (!command) throw new UsageError(args.length === 0 ? 'Which command?' : `There is no command "${args.slice(0, 2).join(' ')}".`)
  const { words, parameters = [], options = {} } = command
  try {
    const { values, positionals } = parseArgs({ args: args.slice(words.split(' ').length), options, allowPositionals: true })
    const [missing, extra] = [parameters[positionals.length], positionals[parameters.length]]
    if (missing !== undefined) throw new Error(`<${missing}> is missing`)
    if (extra !== undefined) throw new Error(`"${extra}" is too much`)
    return { command, words: positionals, options: values }
  } catch (error) {
    throw new UsageError(`${words}: ${(error as Error).message}`)
  }
}

try {
  const args = process.argv.slice(2)
  if (['help', '--help', '-h'].includes(args[0]!)) say(usage)
  else {
    const { command, words, options } = read(args)
    process.exitCode = await command.run({ config: readConfig(), words, options, say, remark })
  }
} catch (error) {
  if (error instanceof UsageError) remark(`${error.message}\n\n${usage}`)
  else remark(error instanceof ConfigurationError ? error.message : `It did not work: ${reasonOf(error)}`)
  process.exitCode = error instanceof UsageError ? 2 : 1
}

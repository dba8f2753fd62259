import type { ParseArgsOptionsConfig } from 'node:util'
import type { Config } from '../config.ts'

/** What a command is handed. `say` writes a line of its answer, `remark` one that is not part of it (standard error). */
export interface Call {
  config: Config
  words: string[]
  options: Record<string, unknown>
  say: (line: string) => void
  remark: (line: string) => void
}

/** An operator's command. It gives the exit code: 0 done, 1 not. */
export interface Command {
  words: string
  parameters?: string[]
  options?: ParseArgsOptionsConfig
  usage: string
  does: string
  run: (call: Call) => Promise<0 | 1>
}

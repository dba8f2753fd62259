import { ConfigurationError } from '../config.ts'
import { newKeyRingText } from '../platform/keys.ts'
import type { Command } from './command.ts'

export const keyRingNew: Command = {
  words: 'key-ring new',
  options: { version: { type: 'string' } },
  usage: 'key-ring new [--version <n>]',
  does: 'Prints a new key ring of one SECRET (version 1), or the entry of a further version to append to the ring after a comma, at first with a + before it.',
  async run ({ options, say, remark }) {
    const { version = '1' } = options as { version?: string }
    if (!/^[1-9]\d{0,4}$/.test(version) || Number(version) > 65_535) throw new ConfigurationError('A version is a whole number from 1 to 65535.')
    remark('Secret: whoever has it and the database can read everything. Without it the data is lost.')
    if (Number(version) > 1) remark('Append it to KEY_RING of every replica with a + before it; take the + away 15 minutes after the last of them has it (docs/operations.md).')
    say(newKeyRingText(Number(version)))
    return 0
  },
}

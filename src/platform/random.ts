import { randomInt, randomUUIDv7 } from 'node:crypto'
import type { Random } from './deps.ts'

/** The real chance. `randomInt` has no modulo bias; its range ends below 2^48, so 10 digits are fine. */
export const systemRandom: Random = {
  uuid: () => randomUUIDv7(),
  digits: (length) => String(randomInt(10 ** length)).padStart(length, '0'),
}

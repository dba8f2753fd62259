import { randomInt, randomUUID } from 'node:crypto'
import type { Random } from './deps.ts'

/** The real chance. `randomInt` has no modulo bias; its range ends below 2^48, so 10 digits are fine. */
export const systemRandom: Random = {
  uuid: uuids(),
  digits: (length) => String(randomInt(10 ** length)).padStart(length, '0'),
  text: (alphabet, length) => Array.from({ length }, () => alphabet[randomInt(alphabet.length)]).join(''),
}

/**
 * UUIDv7 in the order in which they are made (RFC 9562 section 6.2, method 1): two audit rows of one transaction get
 * their numbers in the order of what happened. 62 bits stay random.
 */
function uuids (): () => string {
  let ms = 0
  let count = 0
  let time = ''
  const begin = (beginMs: number, first: number) => {
    [ms, count] = [beginMs, first]
    const text = ms.toString(16).padStart(12, '0')
    time = `${text.slice(0, 8)}-${text.slice(8)}-7`
  }
  return () => {
    const nowMs = Date.now()
    if (nowMs > ms) begin(nowMs, randomInt(1024))
    else if (++count === 4096) begin(ms + 1, 0)
    return time + count.toString(16).padStart(3, '0') + randomUUID().slice(18) // variant and 62 random bits of another one
  }
}

import { randomInt, randomUUIDv7 } from 'node:crypto'
import type { Random } from './deps.ts'

/** The real chance. `randomInt` has no modulo bias; its range ends below 2^48, so 10 digits are fine. */
export const systemRandom: Random = {
  uuid: uuids(),
  digits: (length) => String(randomInt(10 ** length)).padStart(length, '0'),
}

/**
 * UUIDv7 in the order in which they are made (RFC 9562 section 6.2, method 1): two audit rows of one transaction get
 * their numbers in the order of what happened. 62 bits stay random.
 */
function uuids (): () => string {
  let ms = 0
  let count = 0
  return () => {
    const id = randomUUIDv7()
    const nowMs = Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)
    if (nowMs > ms) [ms, count] = [nowMs, randomInt(1024)]
    else if (++count === 4096) [ms, count] = [ms + 1, 0]
    const time = ms.toString(16).padStart(12, '0')
    return `${time.slice(0, 8)}-${time.slice(8)}-7${count.toString(16).padStart(3, '0')}${id.slice(18)}`
  }
}

/** Bytes to look for, and what each would give away. */
export type Needles = ReadonlyMap<string, Buffer>

const shortest = 8

/** Base64 of a value in the middle of something else: it starts at one of three places in a group, and its ends depend on the neighbours. */
const base64Within = (value: Buffer) => [0, 1, 2].map((offset) => {
  const whole = Buffer.concat([Buffer.alloc(offset), value])
  return whole.toString('base64').slice(Math.ceil(offset * 8 / 6), Math.floor(whole.length * 8 / 6))
})

/** A value as it may turn up: as it is, in other letters' case, in hex (as `bytea` is printed), base64, percent-encoded, and with its digits apart. */
export function needlesFor (canaries: Readonly<Record<string, string>>): Needles {
  const needles = new Map<string, Buffer>()
  for (const [name, value] of Object.entries(canaries)) {
    const bytes = Buffer.from(value)
    const spellings = {
      plain: [value, value.toLowerCase()],
      hex: [bytes.toString('hex'), bytes.toString('hex').toUpperCase()],
      base64: base64Within(bytes).flatMap((text) => [text, text.replaceAll('+', '-').replaceAll('/', '_')]),
      percent: [encodeURIComponent(value), [...bytes].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('')],
      spaced: [[...value].join(' ')],
      ...(/^\d{10}$/.test(value) && { grouped: [' ', '-', '.'].map((gap) => [value.slice(0, 3), value.slice(3, 6), value.slice(6)].join(gap)).concat(`(${value.slice(0, 3)}) ${value.slice(3, 6)}-${value.slice(6)}`) }),
    }
    for (const [spelling, texts] of Object.entries(spellings)) {
      for (const [index, text] of [...new Set(texts)].entries()) {
        if (text.length < shortest) throw new Error(`${name} is too short to be told from chance`)
        needles.set(`${name} (${spelling}${index})`, Buffer.from(text))
      }
    }
  }
  return needles
}

/** Looks for all needles at once in one pass. Answers the names of those found. */
export function finder (needles: Needles): (haystack: Buffer | string) => string[] {
  const byStart = new Map<number, Array<[string, Buffer]>>()
  const maybe = new Uint8Array(65_536)
  for (const [name, needle] of needles) {
    const start = needle.readUInt16BE(0)
    maybe[start] = 1
    byStart.set(start, [...byStart.get(start) ?? [], [name, needle]])
  }
  return (haystack) => {
    const bytes = typeof haystack === 'string' ? Buffer.from(haystack) : haystack
    const found = new Set<string>()
    let start = bytes[0] ?? 0
    for (let at = 1; at < bytes.length; at++) {
      start = (start << 8 | bytes[at]!) & 0xffff
      if (maybe[start] === 0) continue
      for (const [name, needle] of byStart.get(start)!) {
        if (!found.has(name) && needle.compare(bytes, at - 1, Math.min(bytes.length, at - 1 + needle.length)) === 0) found.add(name)
      }
    }
    return [...found]
  }
}

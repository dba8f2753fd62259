/**
 * What a part of an answer must be: a value, a regular expression for a text, `String`, `Number` or `Boolean` for any of
 * that type, `undefined` for what must not be there, or an object or a list of these. Of an object only what is named is
 * looked at; a list must have exactly these items, or `some` of them.
 */
export type Expected = string | number | boolean | null | undefined | RegExp | StringConstructor | NumberConstructor | BooleanConstructor | Some | readonly Expected[] | { readonly [name: string]: Expected }

/** A list in which each of these is found, whatever else is in it. */
export class Some {
  readonly items: readonly Expected[]
  constructor (items: readonly Expected[]) { this.items = items }
}
export const some = (...items: Expected[]): Some => new Some(items)

const types = new Map<unknown, string>([[String, 'string'], [Number, 'number'], [Boolean, 'boolean']])

/** Everything in which an answer is not what was expected, one line each; none where it is. */
export function faultsIn (given: unknown, expected: Expected, place = ''): string[] {
  const fault = (wanted: string) => [`${place || 'the answer'} is ${JSON.stringify(given)}, not ${wanted}`]
  if (types.has(expected)) return typeof given === types.get(expected) ? [] : fault(`a ${types.get(expected)}`)
  if (expected instanceof RegExp) return typeof given === 'string' && expected.test(given) ? [] : fault(String(expected))
  if (expected instanceof Some) return someFaults(given, expected, place)
  if (Array.isArray(expected)) {
    if (!Array.isArray(given) || given.length !== expected.length) return fault(`a list of ${expected.length}`)
    return expected.flatMap((item: Expected, index) => faultsIn(given[index], item, `${place}/${index}`))
  }
  if (typeof expected === 'object' && expected !== null) {
    if (typeof given !== 'object' || given === null) return fault('an object')
    return Object.entries(expected).flatMap(([name, part]) => faultsIn((given as Record<string, unknown>)[name], part, `${place}/${name}`))
  }
  return given === expected ? [] : fault(expected === undefined ? 'absent' : JSON.stringify(expected))
}

function someFaults (given: unknown, { items }: Some, place: string): string[] {
  if (!Array.isArray(given)) return [`${place || 'the answer'} is ${JSON.stringify(given)}, not a list`]
  return items.filter((item) => !given.some((one) => faultsIn(one, item).length === 0))
    .map((item) => `${place || 'the answer'} has no ${JSON.stringify(item)} in it: ${JSON.stringify(given)}`)
}

/** What of an answer was looked at, and nothing else: that is what a reader wants to see of it. */
export function lookedAt (given: unknown, expected: Expected): unknown {
  if (expected instanceof Some) return Array.isArray(given) ? expected.items.map((item) => lookedAt(given.find((one) => faultsIn(one, item).length === 0), item)) : given
  if (typeof expected !== 'object' || expected === null || expected instanceof RegExp || typeof given !== 'object' || given === null) return given
  if (Array.isArray(expected)) return Array.isArray(given) ? given.map((one, index) => lookedAt(one, expected[index])) : given
  return Object.fromEntries(Object.entries(expected).map(([name, part]) => [name, lookedAt((given as Record<string, unknown>)[name], part)]))
}

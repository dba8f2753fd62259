import type { Answer } from './service.ts'

export const v7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
const phoneMask = /^\+1 ••• ••• ••\d\d$/
const emailMask = /^[a-z]•••@[a-z]+(\.[a-z]+)+$/
const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

/** What an id tells: when it was made, and the counter after that. */
export const timeOf = (id: string) => Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16)
export const counterOf = (id: string) => Number.parseInt(id.slice(15, 18), 16)

/** What a caller can compare with what they are told of another user. `seconds` are those times that go on while a test runs. */
export interface View { plain: unknown, seconds: number[] }

/**
 * Turns the answers about one user into views: ids and masks by their form and by which of them are the same, times by
 * how long after the start they are; all else, the order of fields and headers among it, as it is.
 */
export function viewer (): (answer: Answer) => View {
  const seen = new Map<string, string>()
  const named = (sort: string, value: string) => {
    if (!seen.has(value)) seen.set(value, `${sort} ${[...seen.values()].filter((name) => name.startsWith(sort)).length + 1}`)
    return seen.get(value)!
  }
  return ({ status, headers, body = {} }) => {
    const seconds: number[] = []
    const about = (value: number) => { seconds.push(value); return 'seconds' }
    const form = (key: string, value: unknown): unknown => {
      if (key === 'retryAfterSeconds') return about(Number(value))
      if (typeof value !== 'string') return value
      if (key === 'instance') return 'request'
      if (v7.test(value)) return named(key === 'methodId' ? 'method' : 'challenge', value)
      // Two may have the same two digits, so each method has its own.
      if (phoneMask.test(value)) return named(`${named('method', String(body.methodId))} phone`, `${String(body.methodId)} ${value}`)
      if (emailMask.test(value)) return named(`${named('method', String(body.methodId))} email`, `${String(body.methodId)} ${value}`)
      if (!time.test(value) || key === 'createdAt') return value.replace(time, 'time')
      const afterSeconds = (Date.parse(value) - Date.parse(String(body.createdAt))) / 1000
      return status === 201 && afterSeconds <= 600 ? afterSeconds : about(afterSeconds)
    }
    const plain = {
      status,
      headers: Object.entries(headers).map(([name, value]) => {
        if (name === 'location') return [name, String(value).replace(/[^/]+$/, (id) => named('challenge', id))]
        if (name === 'retry-after') return [name, about(Number(value))]
        return [name, ['x-request-id', 'date', 'content-length'].includes(name) ? 'its own' : value]
      }),
      body: Object.entries(body as Record<string, unknown>).map(([key, value]) => [key, form(key, value)]),
    }
    return { plain, seconds }
  }
}

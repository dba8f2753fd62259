import type { Answer } from './service.ts'

export const v7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
const phoneMask = /^\+1 ••• ••• ••\d\d$/
const emailMask = /^[a-z]•••@[a-z]+(\.[a-z]+)+$/

/** What an id tells: when it was made, and the counter after that. */
export const timeOf = (id: string) => Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16)
export const counterOf = (id: string) => Number.parseInt(id.slice(15, 18), 16)

/**
 * Turns the answers about one user into what a caller can compare with those about another: ids, masks and times by
 * their form and by which of them are the same; all else, the order of fields and headers among it, as it is.
 */
export function comparable (): (answer: Answer) => unknown {
  const seen = new Map<string, string>()
  const named = (sort: string, value: string) => {
    if (!seen.has(value)) seen.set(value, `${sort} ${[...seen.values()].filter((name) => name.startsWith(sort)).length + 1}`)
    return seen.get(value)!
  }
  const text = (key: string, value: string, body: Record<string, unknown>): unknown => {
    if (key === 'instance') return 'request'
    if (key === 'methodId' && v7.test(value)) return named('method', value)
    if (v7.test(value)) return named('challenge', value)
    if (phoneMask.test(value)) return named('phone', value)
    if (emailMask.test(value)) return named('email', value)
    if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(value)) return value
    if (key === 'createdAt') return 'time'
    const afterMs = Date.parse(value) - Date.parse(String(body.createdAt))
    return `${afterMs % 1000 === 0 ? 'exactly' : 'about'} ${Math.round(afterMs / 10_000)}0 s later`
  }
  return ({ status, headers, body }) => ({
    status,
    headers: Object.entries(headers).map(([name, value]) => {
      if (name === 'location') return `location ${String(value).replace(/[^/]+$/, (id) => named('challenge', id))}`
      if (name === 'retry-after') return `retry-after about ${Math.round(Number(value) / 10)}0`
      return ['x-request-id', 'date', 'content-length'].includes(name) ? name : `${name} ${String(value)}`
    }),
    body: Object.entries((body ?? {}) as Record<string, unknown>).map(([key, value]) => {
      if (key === 'retryAfterSeconds') return [key, `about ${Math.round(Number(value) / 10)}0`]
      return [key, typeof value === 'string' ? text(key, value, body) : value]
    }),
  })
}

import type { FastifyRequest } from 'fastify'

/**
 * Every value of a header as it was sent; `name` in lower case. Of several `Authorization`, `Host` or `Content-Type`
 * headers Node keeps the first; which one another reader of the request keeps is anyone's guess.
 */
export function valuesOf ({ raw: { rawHeaders } }: FastifyRequest, name: string): string[] {
  const values: string[] = []
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const sent = rawHeaders[index]!
    if (sent.length === name.length && sent.toLowerCase() === name) values.push(rawHeaders[index + 1]!)
  }
  return values
}

/** A request that has not been sent yet. */
export interface Request { who: string, method: string, path: string, headers: Record<string, string>, body?: unknown }

type Ask = (path: string, headers?: Record<string, string>) => Request
type Send = (path: string, body?: unknown, headers?: Record<string, string>) => Request

/** Someone who asks: a person or an app, with a token. */
export interface Caller { name: string, get: Ask, delete: Ask, post: Send, put: Send, patch: Send }

/** `token` is undefined for whoever has none: a person who opens a link. */
export function callerOf (name: string, token?: string): Caller {
  const request = (method: string, path: string, headers: Record<string, string> = {}, body?: unknown): Request => ({
    who: name, method, path, ...(body !== undefined && { body }),
    headers: { ...(token !== undefined && { authorization: `Bearer ${token}` }), ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
  })
  const ask = (method: string): Ask => (path, headers) => request(method, path, headers)
  const send = (method: string): Send => (path, body, headers) => request(method, path, headers, body)
  return { name, get: ask('GET'), delete: ask('DELETE'), post: send('POST'), put: send('PUT'), patch: send('PATCH') }
}

export const withProof = (proof: string) => ({ 'latchkey-proof': proof })
export const withKey = (key: string) => ({ 'idempotency-key': key })

import { callerOf, type Caller, type Request } from './caller.ts'
import { faultsIn, lookedAt, type Expected } from './expect.ts'
import type { Running } from './service.ts'

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- an answer is looked at field by field as it is checked
type Body = any

/** What must come back. `headers` are by their names in small letters. */
export interface Answer { status: number, body?: Expected, headers?: Record<string, string | RegExp> }

/** The answer to a request: its status, the fields that matter, and headers. */
export const answers = (status: number, body?: Expected, headers?: Record<string, string | RegExp>): Answer =>
  ({ status, ...(body !== undefined && { body }), ...(headers && { headers }) })

/** A refusal with its code. */
export const refuses = (status: number, code: string, more: Record<string, Expected> = {}): Answer =>
  answers(status, { code, ...more }, { 'content-type': /^application\/problem\+json/ })

interface Message { to: string, channel: string, kind: string, subject?: string, body: string, code?: string, createdAt: string }

interface TokenRequest { kind?: 'person' | 'app', roles?: string[], scopes?: string[], amr?: string[], signedInSecondsAgo?: number }

/** Of a page its words. */
const textOf = (body: unknown) => typeof body === 'string' ? body.replace(/<title>.*<\/title>|<[^>]*>/g, ' ').replace(/\s+/g, ' ').trim() : body

/** An answer that is not what the contract says. The tour ends there. */
export class NotTheContract extends Error {}

export type Tour = ReturnType<typeof startTour>

/** A tour of a running service, in a sandbox tenant of its own. */
export function startTour (service: Running, tenant: string, print: (line: string) => void) {
  let [chapters, steps, checks] = [0, 0, 0]
  const secrets = new Map<string, string>()

  /** Ids, tokens and secrets are told apart by a few letters. */
  function short (value: unknown): string {
    let text = typeof value === 'string' ? value : JSON.stringify(value) ?? ''
    for (const [secret, name] of secrets) text = text.replaceAll(secret, name)
    return text.replace(/[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,}/g, (token) => `${token.slice(0, 6)}…`)
      .replace(/[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{6}([0-9a-f]{6})/g, '…$1').replace(/(\/not-me\/)[\w-]+/g, '$1…')
  }

  function fail (faults: string[], given: unknown): never {
    for (const fault of faults) print(`       ✗ ${short(fault)}`)
    print(`       ${short(given).slice(0, 2_000)}`)
    throw new NotTheContract(`Step ${chapters}.${steps} is not what the contract says.`)
  }

  async function send ({ method, path, headers, body }: Request): Promise<{ status: number, headers: Headers, body: Body }> {
    const reply = await fetch(service.origin + path, { method, headers, redirect: 'manual', signal: AbortSignal.timeout(30_000), ...(body !== undefined && { body: JSON.stringify(body) }) })
    const text = await reply.text()
    return { status: reply.status, headers: reply.headers, body: /\bjson\b/.test(reply.headers.get('content-type') ?? '') && text !== '' ? JSON.parse(text) : text }
  }

  /** One step: what happens, the request, and what must come back. Gives the body. */
  async function ask (what: string, request: Request, expected: Answer): Promise<Body> {
    steps += 1
    print(`\n  ${`${chapters}.${steps}`.padEnd(4)} ${what}`)
    const { authorization: _token, 'content-type': _type, ...headers } = request.headers
    const shown = Object.entries(headers).map(([name, value]) => ` ${name}: ${short(value)}`).join('')
    print(`       ${request.who}: ${request.method} ${short(request.path)}${shown}${request.body === undefined ? '' : ` ${short(request.body)}`}`)
    const answer = await send(request)
    const faults = [
      ...answer.status === expected.status ? [] : [`the status is ${answer.status}, not ${expected.status}`],
      ...expected.body === undefined ? [] : faultsIn(answer.body, expected.body),
      ...Object.entries(expected.headers ?? {}).flatMap(([name, wanted]) => faultsIn(answer.headers.get(name), wanted, name)),
    ]
    if (faults.length > 0) fail(faults, answer.body)
    checks += 1
    const told = Object.keys(expected.headers ?? {}).filter((name) => name !== 'content-type').map((name) => ` ${name}: ${short(answer.headers.get(name))}`).join('')
    print(`     → ${answer.status}${told}${expected.body === undefined ? '' : ` ${short(textOf(lookedAt(answer.body, expected.body)))}`}`)
    return answer.body
  }

  /** One more thing that must hold of what has come back. */
  function holds (what: string, given: unknown, expected: Expected): void {
    const faults = faultsIn(given, expected)
    if (faults.length > 0) fail(faults, given)
    checks += 1
    print(`     ✓ ${what}`)
  }

  async function inbox (caller: Caller, query: string): Promise<Message[]> {
    const { status, body } = await send(caller.get(`/v1/sandbox/messages?${query}`))
    if (status !== 200) fail([`the inbox answered ${status}, not 200`], body)
    return body.items as Message[]
  }

  function chapter (title: string): void {
    chapters += 1
    steps = 0
    print(`\n\n${chapters}. ${title}`)
  }

  /** Whoever asks for a token at the development issuer. A person has just signed in, with a password and a second factor unless told. */
  async function as (subject: string, { kind = 'person', signedInSecondsAgo = 0, ...more }: TokenRequest = {}): Promise<Caller> {
    const time = kind === 'person' ? { authTime: Math.floor(Date.now() / 1000) - signedInSecondsAgo } : {}
    const reply = await fetch(`${service.issuerOrigin}/dev/tokens`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ tenant, subject, kind, ...time, ...more }) })
    if (reply.status !== 200) fail([`the development issuer answered ${reply.status}, not 200`], await reply.text())
    return callerOf(subject, (await reply.json() as { accessToken: string }).accessToken)
  }

  /** From now on it is printed as this name. */
  function hide (secret: string, name: string): string {
    secrets.set(secret, name)
    return secret
  }

  /** The code of a challenge, which in a sandbox lands in the inbox. */
  async function codeOf (caller: Caller, challengeId: string): Promise<string> {
    const [message] = await inbox(caller, `challengeId=${challengeId}&waitSeconds=10`)
    if (message?.code === undefined) fail(['no code came within 10 seconds'], message ?? null)
    print(`       inbox: ${message.channel} to ${message.to}: ${message.body}`)
    return message.code
  }

  /** The newest notice to an address that says this, once all that waits is sent. */
  async function noticeTo (caller: Caller, to: string, says: RegExp): Promise<string> {
    const { body: clock } = await send(caller.get('/v1/sandbox/clock'))
    await send(caller.put('/v1/sandbox/clock', { offsetSeconds: clock.offsetSeconds })) // answers once what is due is sent
    const found = (await inbox(caller, `to=${encodeURIComponent(to)}&limit=50`)).find(({ kind, body }) => kind === 'notice' && says.test(body))
    if (!found) fail([`nothing that says ${String(says)} came to ${to}`], null)
    checks += 1
    print(`     ✓ told, ${found.channel} to ${to}: ${short(found.body.split('\n')[0])}`)
    return found.body
  }

  return { tenant, service, chapter, ask, holds, as, hide, codeOf, noticeTo, /** How many answers were what they must be. */ checks: () => checks }
}

import { Client as Database } from 'pg'
import { call, eventually, type ServiceProcess } from './process.ts'
import { exchange, requestText } from './socket.ts'

/** What nobody but its owner may ever see. Digits are ten or more, so that none is found by chance. */
export const secrets = {
  mobile: '2125550151', alternate: '2125550162', office: '2125550173', next: '2125550184', withdrawn: '2125550175', refused: '9005550153', invalid: '2125550111999', searched: '2125550177',
  failing: '2125550198', silent: '2125550199', vouched: '2125550156', inReason: '2125550157', inUrl: '2125550158', inBroken: '2125550159', inFault: '2125550161', extension: '904617283945',
  signIn: 'Zq7.Signin.Canary', email: 'Zq7.Alternate.Canary', otherEmail: 'Zq7.Second.Canary', orgEmail: 'zq7.security.canary', orgPhone: '2125550163', orgStreet: 'Zq7 Canary Street',
  wrongCode: '7305918264', malformedCode: '６７３０５９１８２６', idempotencyKey: 'zq7-idempotency-canary', badToken: 'zq7badtokencanary',
}
export type Canaries = Record<string, string>

export interface Story {
  canaries: Canaries
  /** What callers were told who may not see any of it, by caller. */
  told: Record<string, string>
}

interface Reply { status: number, body: any, text: string }
type Send = (method: string, path: string, body?: unknown, headers?: Record<string, string>) => Promise<Reply>

const tenant = 'canary'

/** Everything that people do with numbers, addresses and codes, right and wrong, against the real process. */
export async function tellStory (service: ServiceProcess, ownerUrl: string): Promise<Story> {
  const canaries: Canaries = { ...secrets }
  const told: Record<string, string> = {}
  const issuer = /Tokens +(http\S+)/.exec(service.output())![1]!
  const caller = async (name: string, claims: Record<string, unknown>, listens = false): Promise<Send> => {
    const { body: { accessToken } } = await call(issuer, { body: { tenant, subject: name, kind: 'person', ...claims } })
    const [, payload, signature] = accessToken.split('.') as [string, string, string]
    Object.assign(canaries, { [`token of ${name}`]: signature, [`claims of ${name}`]: payload })
    return async (method, path, body, headers = {}) => {
      const reply = await fetch(service.origin + path, {
        method, headers: { authorization: `Bearer ${accessToken}`, ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
        ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      })
      const text = await reply.text()
      if (listens) told[name] = `${told[name] ?? ''}\n${reply.status} ${JSON.stringify([...reply.headers])} ${text}`
      return { status: reply.status, text, body: text.startsWith('{') ? JSON.parse(text) : undefined }
    }
  }
  const expect = async (status: number, sent: Promise<Reply>): Promise<Reply> => {
    const reply = await sent
    if (reply.status !== status) throw new Error(`the story expected ${status} and heard ${reply.status} ${reply.text}`)
    return reply
  }

  const ann = await caller('ann', {})
  const [admin, helpdesk, policyAdmin, writer] = [
    await caller('petra', { roles: ['privilegedAdmin'] }), await caller('hans', { roles: ['helpdesk'] }), await caller('paul', { roles: ['policyAdmin'] }),
    await caller('writer', { kind: 'app', scopes: ['contact-methods:write', 'challenges:write'] }),
  ]
  const approver = await caller('piet', { roles: ['privilegedAdmin'] })
  const approved = async (asked: Promise<Reply>) => expect(200, approver('POST', `/v1/approvals/${(await expect(202, asked)).body.approvalId}/approve`))
  await approved(policyAdmin('PATCH', '/v1/policy', { codes: { length: 10 }, preVerified: true, alternateEmails: 2 }))
  await approved(policyAdmin('PATCH', '/v1/organization', { phone: `+1${secrets.orgPhone}`, address: { street: secrets.orgStreet }, securityContact: { name: 'Eve', email: `${secrets.orgEmail}@example.net` } }))
  await expect(201, admin('PUT', '/v1/users/ann', { displayName: 'Ann', signInEmail: `${secrets.signIn}@Example.com` }))

  // Every kind of method: added, challenged, tried wrongly, verified.
  const me = '/v1/users/me/contact-methods'
  let keys = 0
  const once = () => ({ 'idempotency-key': `${secrets.idempotencyKey}-${++keys}` })
  const verify = async (methodId: string, channel?: string) => {
    const challenge = (await expect(201, ann('POST', '/v1/challenges', { userId: 'me', purpose: 'verifyContact', methodId, ...(channel !== undefined && { channel }) }, once()))).body
    const { body: { items: [message] } } = await ann('GET', `/v1/sandbox/messages?challengeId=${challenge.id}&waitSeconds=10`)
    canaries[`code of ${challenge.id}`] = message.code
    canaries[`body of ${challenge.id}`] = message.body.slice(0, 40)
    await expect(422, ann('POST', `/v1/challenges/${challenge.id}/verify`, { code: secrets.wrongCode }))
    await expect(400, ann('POST', `/v1/challenges/${challenge.id}/verify`, { code: secrets.malformedCode }))
    await expect(200, ann('POST', `/v1/challenges/${challenge.id}/verify`, { code: message.code }, once()))
    await expect(409, ann('POST', `/v1/challenges/${challenge.id}/verify`, { code: message.code }))
  }
  const add = async (method: Record<string, unknown>) => (await expect(201, ann('POST', me, method, once()))).body.id as string
  const mobile = await add({ kind: 'mobilePhone', value: `+1 (${secrets.mobile.slice(0, 3)}) ${secrets.mobile.slice(3, 6)}-${secrets.mobile.slice(6)}` })
  await verify(mobile)
  const alternate = await add({ kind: 'alternatePhone', value: secrets.alternate })
  await verify(alternate, 'voice')
  await verify(await add({ kind: 'officePhone', value: `tel:+1-${secrets.office};ext=${secrets.extension}` }))
  await verify(await add({ kind: 'alternateEmail', value: `${secrets.email}@Example.org` }))
  await expect(201, ann('POST', me, { kind: 'alternateEmail', value: `${secrets.otherEmail}@example.org` }))

  // Changes, reveals, searches.
  await expect(200, ann('PATCH', `${me}/${mobile}`, { value: secrets.next }))
  await verify(mobile)
  await expect(200, ann('PATCH', `${me}/${alternate}`, { value: secrets.withdrawn }))
  await expect(200, ann('PATCH', `${me}/${alternate}`, { pendingChange: null }))
  await expect(200, admin('GET', '/v1/users/ann/contact-methods?reveal=true'))
  await expect(200, admin('GET', '/v1/users/ann?reveal=true'))
  for (const search of [{ phone: secrets.searched, country: 'US' }, { phone: `+1${secrets.next}` }, { email: `${secrets.email}@example.org` }]) await expect(200, admin('POST', '/v1/users/search', search))
  for (const name of ['bob', 'carl', 'dora']) await expect(201, admin('PUT', `/v1/users/${name}`, { displayName: name }))
  await expect(201, admin('POST', '/v1/users/bob/contact-methods', { kind: 'mobilePhone', value: secrets.vouched, preVerified: true, reason: `Rang from +1 ${secrets.inReason}, wrote from ${secrets.otherEmail}@example.org` }))

  // A carrier that refuses, and one that never answers.
  for (const [subject, number] of [['carl', secrets.failing], ['dora', secrets.silent]] as const) {
    const person = await caller(subject, {})
    const { body: { id } } = await expect(201, person('POST', me, { kind: 'mobilePhone', value: number }))
    await expect(201, person('POST', '/v1/challenges', { userId: 'me', purpose: 'verifyContact', methodId: id }))
  }

  // A pass: issued with a note, tried wrongly, used.
  const pass = (await expect(201, helpdesk('POST', '/v1/users/carl/authenticators/temporary-access-pass', { oneTime: false, note: `Rang from +1 ${secrets.inReason}` }, once()))).body
  canaries['value of the pass'] = pass.value
  const carl = await caller('carl', { amr: ['pwd'] })
  const recovery = (await expect(201, carl('POST', '/v1/challenges', { userId: 'me', purpose: 'recovery', channel: 'temporaryAccessPass' }, once()))).body
  await expect(422, carl('POST', `/v1/challenges/${recovery.id}/verify`, { code: secrets.malformedCode }))
  const { proof } = (await expect(200, carl('POST', `/v1/challenges/${recovery.id}/verify`, { code: pass.value.toLowerCase() }, once()))).body
  canaries['proof by pass'] = proof.split('.')[2]
  await expect(204, helpdesk('DELETE', `/v1/users/carl/authenticators/${pass.authenticatorId}`))

  await beRefused()
  await sendBrokenRequests()
  await breakInside()
  await useLink()
  await letOthersLook()
  return { canaries, told }

  async function beRefused () {
    const methods: Array<[number, Record<string, unknown>]> = [
      [422, { kind: 'mobilePhone', value: secrets.refused }], [422, { kind: 'mobilePhone', value: `+1${secrets.invalid}` }], [409, { kind: 'mobilePhone', value: secrets.next }],
      [422, { kind: 'alternateEmail', value: `${secrets.signIn}+x@example.com` }], [400, { kind: 'mobilePhone', value: secrets.next, [secrets.inFault]: secrets.inFault }],
      [400, { kind: 'mobilePhone', value: [secrets.inFault] }], [400, { kind: secrets.inFault, value: 'x' }], [400, { kind: 'mobilePhone', value: 'x', country: secrets.inFault }],
    ]
    for (const [status, body] of methods) await expect(status, ann('POST', me, body))
    const bob = await caller('bob', {})
    await expect(404, bob('POST', '/v1/users/ann/contact-methods', { kind: 'mobilePhone', value: secrets.inFault }))
    await expect(403, bob('PATCH', '/v1/organization', { phone: secrets.inFault }))
    await expect(404, helpdesk('POST', '/v1/users/nobody/contact-methods', { kind: 'mobilePhone', value: secrets.inFault }))
    await expect(403, writer('PATCH', `/v1/users/ann/contact-methods/${mobile}`, { value: secrets.inFault }))
    await expect(422, ann('POST', me, { kind: 'mobilePhone', value: secrets.inFault }, { 'idempotency-key': `${secrets.idempotencyKey}-1` }))
    for (const authorization of [`Bearer ${secrets.badToken}`, `Bearer eyJhbGciOiJub25lIn0.${Buffer.from(JSON.stringify({ sub: secrets.badToken })).toString('base64url')}.`, `Basic ${secrets.badToken}`]) {
      await expect(401, ann('GET', me, undefined, { authorization }))
    }
  }

  async function sendBrokenRequests () {
    const number = secrets.inBroken
    for (const body of [`{"kind":"mobilePhone","value":"+1${number}"`, `{"value":"${number}","value":"${number}"}`, `{"value":"${number}\\u0000"}`, `${'['.repeat(40)}"${number}"${']'.repeat(40)}`, `"${number}`, `{"__proto__":"${number}"}`]) {
      await expect(400, ann('POST', me, body))
    }
    await expect(413, ann('POST', me, JSON.stringify({ value: number.repeat(3_000) })))
    await expect(415, ann('POST', me, number, { 'content-type': 'text/plain' }))
    await expect(415, ann('POST', me, JSON.stringify({ value: number }), { 'content-type': `application/json; charset=x${number}` }))
    for (const path of [`/v1/nothing/${secrets.inUrl}`, `/v1/users?search=%2B1${secrets.inUrl}&phone=${secrets.inUrl}`, `/v1/users/me?email=${secrets.email}%40example.org`, `/${secrets.inUrl}`, `/v1/users/%ff${secrets.inUrl}`]) await ann('GET', path)
    await ann('GET', `/v1/sandbox/messages?to=%2B1${secrets.inUrl}`)
    await ann('GET', '/v1/users/me', undefined, { 'user-agent': secrets.inUrl, cookie: `x=${secrets.inUrl}`, referer: `http://x/${secrets.inUrl}`, 'latchkey-proof': secrets.badToken, traceparent: secrets.inUrl })
    await exchange(service.port, `GET /v1/users/me?x=${number} HTTP/9.9\r\n${number}: ${number}\r\n\r\n`)
    await exchange(service.port, requestText('POST', me, { 'content-length': '5000', 'content-type': 'application/json' }, `{"value":"${number}`), { hangUp: true })
    await exchange(service.port, requestText('GET', `/v1/users/me`, { 'x-filler': number.repeat(2_000) }))
  }

  /** Faults of ours, while numbers are under way: a constraint that fails, a sealed field that does not open, connections that are cut. */
  async function breakInside () {
    const owner = new Database({ connectionString: ownerUrl })
    await owner.connect()
    try {
      await owner.query('alter table contact_methods add constraint broken check (label is distinct from \'broken\')')
      await expect(500, admin('POST', '/v1/users/bob/contact-methods', { kind: 'alternatePhone', value: secrets.inFault, label: 'broken' }))
      await owner.query('alter table contact_methods drop constraint broken')
      const flip = () => owner.query('update contact_methods set value = set_byte(value, 20, get_byte(value, 20) # 1) where user_id = \'bob\' and value is not null')
      await flip()
      await expect(500, admin('GET', '/v1/users/bob/contact-methods'))
      await flip()
      await owner.query('select pg_terminate_backend(pid) from pg_stat_activity where application_name like \'latchkey%\' and pid <> pg_backend_pid()')
      await eventually(async () => (await ann('PATCH', `${me}/${alternate}`, { value: secrets.withdrawn })).status === 200)
      // The number that is never answered for keeps its message open for 5 s.
      await eventually(async () => (await owner.query('select 1 from messages where recipient is not null')).rowCount === 0)
    } finally {
      await owner.end()
    }
  }

  /** The "this was not me" link of a notice: opened, used, and used again. */
  async function useLink () {
    const { body: { items } } = await ann('GET', `/v1/sandbox/messages?to=%2B1${secrets.vouched}&waitSeconds=10`)
    const [path, token] = /\/not-me\/([\w-]+)/.exec(items.at(-1).body)!
    canaries['token of a link'] = token!
    for (const [method, status] of [['GET', 200], ['POST', 200], ['POST', 410]] as const) {
      const reply = await fetch(service.origin + path, { method, headers: { accept: 'text/html' } })
      told.page = `${told.page ?? ''}\n${await reply.text()}`
      if (reply.status !== status) throw new Error(`the link answered ${reply.status}`)
    }
  }

  async function letOthersLook () {
    const others: Array<[Send, boolean]> = [
      [await caller('rita', { roles: ['reader'] }, true), true], [await caller('helga', { roles: ['helpdesk'] }, true), true],
      [await caller('peter', { roles: ['privilegedAdmin'] }, true), true],
      [await caller('portal', { kind: 'app', scopes: ['users:read', 'contact-methods:read', 'challenges:write'] }, true), false],
      [await caller('audrey', { roles: ['auditor'] }, true), false], [await caller('someone', {}, true), false],
      [await caller('stranger', { tenant: 'canary-other', roles: ['privilegedAdmin', 'auditor', 'policyAdmin'] }, true), false],
    ]
    for (const [look, mayReadOrganization] of others) {
      const paths = [
        '/v1/users', '/v1/users?search=ann', '/v1/users/ann', '/v1/users/bob', '/v1/users/ann/contact-methods', `/v1/users/ann/contact-methods/${mobile}`, `/v1/users/ann/contact-methods/${alternate}`,
        '/v1/users/bob/contact-methods', '/v1/users/carl/contact-methods', '/v1/policy', '/v1/audit-events?limit=200', '/v1/audit-events?limit=200&userId=ann', '/v1/audit-events/verification',
        ...(mayReadOrganization ? [] : ['/v1/organization']), '/openapi.json', '/health/ready',
      ]
      for (const path of paths) await look('GET', path)
      await look('POST', '/v1/users/search', { phone: `+1${secrets.next}` })
      await look('PATCH', `/v1/users/ann/contact-methods/${mobile}`, { label: 'mine' })
    }
    const inbox = await (await caller('neighbour', { tenant: 'canary-other' }, true))('GET', `/v1/sandbox/messages?to=%2B1${secrets.mobile}`)
    if (inbox.body.items.length > 0) throw new Error('another tenant reads the inbox')
  }
}

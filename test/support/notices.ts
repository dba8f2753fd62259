import type { LightMyRequestResponse } from 'fastify'
import { moveClock, verifiedMethod, type Client, type TestService } from './service.ts'
import { startVerification } from './answers.ts'
import { nthCodeOf } from './challenges.ts'

export interface Received { to: string, channel: string, subject?: string, body: string, extension?: string }

/** The notices in the tenant's inbox, oldest first, once everything that waits is sent. */
export async function noticesIn (client: Client): Promise<Received[]> {
  await moveClock(client, (await client.get('/v1/sandbox/clock')).body.offsetSeconds)
  const { body } = await client.get('/v1/sandbox/messages?limit=200')
  return (body.items as Array<Received & { kind: string }>).filter(({ kind }) => kind === 'notice').toReversed()
}

/** What `work` had told, and to whom. */
export async function toldBy (client: Client, work: () => Promise<unknown>): Promise<Received[]> {
  const before = await noticesIn(client)
  await work()
  return (await noticesIn(client)).slice(before.length)
}

/** The path of the link in a message. */
export function pathIn ({ body }: Pick<Received, 'body'>): string {
  const [path] = /\/not-me\/[\w-]+/.exec(body) ?? []
  if (path === undefined) throw new Error('there is no link in the message')
  return path
}

/** The path of the link that went to this address. */
export function pathTo (notices: Received[], to: string): string {
  const found = notices.find((one) => one.to === to)
  if (!found) throw new Error('nothing was sent there')
  return pathIn(found)
}

/** As a browser does. */
export const open = ({ app }: Pick<TestService, 'app'>, path: string): Promise<LightMyRequestResponse> =>
  app.inject({ method: 'GET', url: path, headers: { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' } })

/** The button of the page, as a browser sends its form. */
export const press = ({ app }: Pick<TestService, 'app'>, path: string): Promise<LightMyRequestResponse> =>
  app.inject({ method: 'POST', url: path, headers: { accept: 'text/html', 'content-type': 'application/x-www-form-urlencoded' }, payload: '' })

/** As a program does, which hears problems. */
export async function act ({ app }: Pick<TestService, 'app'>, path: string): Promise<{ status: number, code: string | undefined }> {
  const reply = await app.inject({ method: 'POST', url: path })
  const type = String(reply.headers['content-type'])
  return { status: reply.statusCode, code: type.startsWith('application/problem+json') ? (JSON.parse(reply.body) as { code: string }).code : undefined }
}

export const at = { mobile: '+14155550132', alternate: '+14155550143', next: '+14155550154', third: '+14155550165', signIn: 'ann.signs.in@example.com', email: 'ann.at.home@example.org', security: 'security.desk@example.net' }

/** Ann with a mobile phone, an alternate e-mail and a sign-in e-mail, and those around her. Nothing of that waits in the inbox. */
export async function registeredAnn (service: TestService): Promise<{ tenant: string, ann: Client, petra: Client, hans: Client, phone: string, email: string }> {
  const tenant = await service.tenant({ name: 'Acme Ltd' })
  const [ann, petra, hans] = await Promise.all([
    service.as({ tenant, subject: 'ann' }), service.as({ tenant, subject: 'petra', roles: ['privilegedAdmin'] }), service.as({ tenant, subject: 'hans', roles: ['helpdesk'] }),
  ])
  await petra.put('/v1/users/ann', { signInEmail: at.signIn })
  const { id: phone } = await verifiedMethod(ann, { kind: 'mobilePhone', value: at.mobile })
  const { id: email } = await verifiedMethod(ann, { kind: 'alternateEmail', value: at.email })
  await noticesIn(ann)
  return { tenant, ann, petra, hans, phone, email }
}

/** Changes the value of an active method, with its code; `nth` counts the messages of the challenge. */
export async function changeValue (client: Client, methodId: string, value: string): Promise<void> {
  const changed = await client.patch(`/v1/users/me/contact-methods/${methodId}`, { value })
  if (changed.status !== 200) throw new Error(`changing answered ${changed.status} ${changed.text}`)
  const challenge = await startVerification(client, methodId)
  const { status, text } = await client.post(`/v1/challenges/${challenge}/verify`, { code: await nthCodeOf(client, challenge, 1) })
  if (status !== 200) throw new Error(`verifying answered ${status} ${text}`)
}

export const setSecurityContact = async (service: TestService, tenant: string): Promise<void> => {
  const asked = await (await service.as({ tenant, subject: 'pia', roles: ['policyAdmin'] })).patch('/v1/organization', { securityContact: { name: 'Desk', email: at.security } })
  if (asked.status !== 202) throw new Error(`setting the contact answered ${asked.status} ${asked.text}`)
  const { status, text } = await (await service.as({ tenant, subject: 'paula', roles: ['privilegedAdmin'] })).post(`/v1/approvals/${asked.body.approvalId}/approve`)
  if (status !== 200) throw new Error(`approving the contact answered ${status} ${text}`)
}

/** The value of a method as the person sees it. */
export const valueOf = async (client: Client, methodId: string): Promise<string> => (await client.get(`/v1/users/me/contact-methods/${methodId}`)).body.value

import type { Answer, Client, TestService } from './service.ts'
import { verifiedMethod } from './service.ts'

/** A tenant with Boss, who is privileged and has a phone, an e-mail and an office phone, and three who administer. */
export async function withBoss (service: TestService) {
  const tenant = await service.tenant()
  const as = (subject: string, ...roles: ('privilegedAdmin' | 'policyAdmin' | 'helpdesk' | 'reader' | 'auditor')[]) => service.as({ tenant, subject, roles })
  const boss = await as('boss')
  const phone = await verifiedMethod(boss, { kind: 'mobilePhone', value: '+14155550132' })
  const email = await verifiedMethod(boss, { kind: 'alternateEmail', value: 'boss@example.org' })
  const [petra, paul, pia] = [await as('petra', 'privilegedAdmin'), await as('paul', 'privilegedAdmin'), await as('pia', 'policyAdmin')]
  const marked = await petra.put('/v1/users/boss', { privileged: true })
  if (marked.status !== 200) throw new Error(`marking answered ${marked.status} ${marked.text}`)
  return { tenant, as, boss, petra, paul, pia, phone: phone.id, email: email.id, methods: '/v1/users/boss/contact-methods' }
}

export type Scene = Awaited<ReturnType<typeof withBoss>>

/** The id of what waits now. */
export function waitingIn ({ status, body, text, headers }: Answer): string {
  if (status !== 202 || body.status !== 'pendingApproval' || headers.location !== `/v1/approvals/${body.approvalId}`) throw new Error(`it does not wait: ${status} ${text}`)
  return body.approvalId
}

export const approve = (client: Client, approvalId: string, headers?: Record<string, string>) => client.post(`/v1/approvals/${approvalId}/approve`, {}, headers)
export const reject = (client: Client, approvalId: string) => client.post(`/v1/approvals/${approvalId}/reject`)
export const read = (client: Client, approvalId: string) => client.get(`/v1/approvals/${approvalId}`)

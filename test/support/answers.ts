import { sql } from 'kysely'
import type { Test } from 'tap'
import { statusOf, titleOf, type RefusalCode } from '../../src/platform/refusal.ts'
import type { Answer, Client, TestService } from './service.ts'

/** The refusal that callers rely on: exactly this code with its status, and the rule or the place where one applies. */
export function isRefused (t: Test, { status, headers, body }: Answer, code: RefusalCode, about: { rule?: string, pointer?: string, parameter?: string } = {}, message: string = code): void {
  const { rule = null, pointer, parameter } = about
  const place = pointer ?? parameter
  const [fault] = body?.errors ?? []
  t.match({ status, contentType: headers['content-type'], ...body, rule: body?.rule ?? null, place: fault?.pointer ?? fault?.parameter }, {
    status: statusOf(code), contentType: /^application\/problem\+json/, type: `/problems/${code}`, title: titleOf(code), code, rule, ...(place !== undefined && { place }),
  }, message)
}

/** Lets a second person approve what waits, if the answer says so. */
export async function approved (service: TestService, tenant: string, { status, body, text }: Answer): Promise<void> {
  if (status !== 200 && status !== 202) throw new Error(`asking answered ${status} ${text}`)
  if (status === 200) return
  const approval = await (await service.as({ tenant, subject: 'second-person', roles: ['privilegedAdmin'] })).post(`/v1/approvals/${body.approvalId}/approve`)
  if (approval.status !== 200) throw new Error(`approving answered ${approval.status} ${approval.text}`)
}

/** Sets the tenant's policy, with a second approver where it becomes weaker. */
export async function setPolicy (service: TestService, tenant: string, change: object): Promise<void> {
  await approved(service, tenant, await (await service.as({ tenant, subject: 'pia', roles: ['policyAdmin'] })).patch('/v1/policy', change))
}

/** Does to a method what no route does yet: disables it, as the count of wrong codes will. */
export async function disable (service: TestService, tenant: string, methodId: string): Promise<void> {
  await service.owner.inTenant(await service.tenantIdOf(tenant), (tx) => sql`
    update contact_methods set status = 'disabled', is_default = false, default_channel = null, disabled_at = now() where tenant_id = ${tx.tenantId} and id = ${methodId}`.execute(tx.db))
}

/** The audit rows of a tenant, newest first. */
export async function auditOf (service: TestService, tenant: string, query = ''): Promise<Array<Record<string, any>>> { // eslint-disable-line @typescript-eslint/no-explicit-any
  const { body } = await (await service.as({ tenant, subject: 'audrey', roles: ['auditor'] })).get(`/v1/audit-events?limit=200&${query}`)
  return body.items
}

/** Starts the verification of a method, and says its id. */
export async function startVerification (client: Client, methodId: string, userId = 'me'): Promise<string> {
  const { status, body, text } = await client.post('/v1/challenges', { userId, purpose: 'verifyContact', methodId })
  if (status !== 201) throw new Error(`starting answered ${status} ${text}`)
  return body.id
}

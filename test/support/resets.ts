import type { MethodKind } from '../../src/vocabulary.ts'
import { registered } from './proofs.ts'
import type { Answer, Client, TestService } from './service.ts'

/** A tenant with the help desk, two privileged administrators and a user who has these methods. */
export async function resetStage (service: TestService, having: readonly MethodKind[] = ['mobilePhone', 'alternateEmail'], userId = 'ann') {
  const tenant = await service.tenant()
  const ids = await registered(service, tenant, userId, having)
  const as = (subject: string, more: object = {}) => service.as({ tenant, subject, ...more })
  return {
    tenant, ids, userId, as,
    helen: await as('helen', { roles: ['helpdesk'] }),
    paul: await as('paul', { roles: ['privilegedAdmin'] }),
    petra: await as('petra', { roles: ['privilegedAdmin'] }),
    /** The user signs in anew, with nothing but the password. */
    signsIn: () => as(userId, { amr: ['pwd'] }),
    app: await as('shop', { kind: 'app', scopes: ['sign-in:read', 'users:read', 'challenges:write', 'contact-methods:read'] }),
  }
}

export const reset = (client: Client, userId: string, body: object = {}, headers?: Record<string, string>): Promise<Answer> =>
  client.post(`/v1/users/${userId}/mfa-resets`, { scope: 'all', reason: 'lostDevice', ...body }, headers)

/** A reset that was done; anything but 201 is an error. */
export async function resetDone (client: Client, userId: string, body: object = {}): Promise<Record<string, any>> {
  const { status, body: answer, text } = await reset(client, userId, body)
  if (status !== 201) throw new Error(`resetting answered ${status} ${text}`)
  return answer as Record<string, any>
}

/** A reset that takes nothing away and ends no session. */
export const resetHarmlessly = (client: Client, userId: string): Promise<Record<string, any>> =>
  resetDone(client, userId, { scope: 'kinds', kinds: ['officePhone'], reason: 'other', revokeSessions: false, forgetDevices: false })

/** Makes a user privileged, as the owner of the database. */
export async function makePrivileged (service: TestService, tenant: string, userId: string): Promise<void> {
  await service.owner.inTenant(await service.tenantIdOf(tenant), async ({ db, tenantId }) => {
    await db.updateTable('users').set({ privileged: true }).where('tenant_id', '=', tenantId).where('user_id', '=', userId).execute()
  })
}

/** A proof from a pass: a `recovery` challenge of the person's own, approved. */
export async function proofByPass (client: Client, value: string): Promise<string> {
  const started = await client.post('/v1/challenges', { userId: 'me', purpose: 'recovery', channel: 'temporaryAccessPass' })
  if (started.status !== 201) throw new Error(`starting answered ${started.status} ${started.text}`)
  const approved = await client.post(`/v1/challenges/${started.body.id}/verify`, { code: value })
  if (approved.status !== 200) throw new Error(`verifying answered ${approved.status} ${approved.text}`)
  return approved.body.proof as string
}

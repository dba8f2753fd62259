import t from 'tap'
import type { Role } from '../../../src/vocabulary.ts'
import { moveClock, testService } from '../../support/service.ts'
import { asSuperuser } from '../../support/superuser.ts'

const service = await testService(t)
const usesOf = async (tenant: string) => asSuperuser<{ user_id: string, role: Role, last_used_at: Date, version: string }>(service,
  `select user_id, role, last_used_at, xmin::text as version from role_uses where tenant_id = '${await service.tenantIdOf(tenant)}' order by user_id, role`)

t.test('the use of each administrator\'s role is written down, on every route, and of no other role', async (t) => {
  const tenant = await service.tenant()
  for (const role of ['helpdesk', 'privilegedAdmin', 'policyAdmin', 'auditor', 'reader'] as const) {
    await (await service.as({ tenant, subject: `a-${role}`, roles: [role] })).get('/v1/users/me/contact-methods') // a hot read
  }
  await (await service.as({ tenant, subject: 'both', roles: ['helpdesk', 'auditor'] })).get('/v1/users/me')
  await (await service.as({ tenant, subject: 'ann' })).get('/v1/users/me')
  await (await service.as({ tenant, subject: 'robot', kind: 'app', scopes: ['users:read'] })).get('/v1/users/ann')
  t.same((await usesOf(tenant)).map(({ user_id: userId, role }) => `${userId} ${role}`),
    ['a-auditor auditor', 'a-helpdesk helpdesk', 'a-policyAdmin policyAdmin', 'a-privilegedAdmin privilegedAdmin', 'both auditor', 'both helpdesk'])
})

t.test('it is written at most once an hour, by the tenant\'s clock', async (t) => {
  const tenant = await service.tenant()
  const hans = await service.as({ tenant, subject: 'hans', roles: ['helpdesk'] })
  const use = async () => { await hans.get('/v1/users'); return (await usesOf(tenant))[0]! }
  const first = await use()
  t.same(await use(), first, 'not again within the hour')
  await moveClock(hans, 3_500)
  t.same(await use(), first)
  await moveClock(hans, 3_700)
  const later = await use()
  t.ok(later.last_used_at.getTime() - first.last_used_at.getTime() > 3_600_000)
  await moveClock(hans, 0)
  t.ok((await use()).last_used_at < later.last_used_at, 'a clock that was moved back leaves no use of the future')
})

t.test('whoever is not let in has used nothing', async (t) => {
  const tenant = await service.tenant()
  const petra = await service.as({ tenant, subject: 'petra', roles: ['privilegedAdmin'] })
  await petra.put('/v1/users/gone', { status: 'disabled' })
  t.equal((await (await service.as({ tenant, subject: 'gone', roles: ['privilegedAdmin'] })).get('/v1/users')).status, 401)
  t.same((await usesOf(tenant)).map(({ user_id: userId }) => userId), ['petra'])
})

import t from 'tap'
import { scopes } from '../../../src/vocabulary.ts'
import { callsOnTenants, callsOnUsers, heard, nextNumber, type Aim } from '../../support/authority/calls.ts'
import { callers, rowsOf, type CallerName, type Row, type TargetName } from '../../support/authority/rows.ts'
import { operations } from '../../support/document.ts'
import { blockFor12Hours } from '../../support/limits.ts'
import { issued } from '../../support/passes.ts'
import { someone } from '../../support/people.ts'
import { makePrivileged, resetDone } from '../../support/resets.ts'
import { systemRandom } from '../../../src/platform/random.ts'
import { testService, type Client } from '../../support/service.ts'
import type { Caller } from '../../support/tokens.ts'

/**
 * Every caller, every target, every route: over the front door, against the table that was written from the contract.
 * Who is refused, or only looks, shares one target, which is as before in the end; who may change it has one of their own.
 */
const service = await testService(t)
const here = await service.tenant()
const next = await service.tenant()

const kindOf: Record<CallerName, Partial<Caller>> = {
  user: {}, reader: { roles: ['reader'] }, helpdesk: { roles: ['helpdesk'] }, privilegedAdmin: { roles: ['privilegedAdmin'] }, policyAdmin: { roles: ['policyAdmin'] }, auditor: { roles: ['auditor'] },
  stale: { roles: ['helpdesk', 'privilegedAdmin', 'policyAdmin', 'auditor'], authSecondsAgo: 660 }, next: { roles: ['privilegedAdmin'], tenant: next },
}
const speak = (caller: CallerName, subject = `the-${caller}`) => service.as({ tenant: here, subject, ...kindOf[caller] }).then(noted)

/** Everything that the table had called. */
const called = new Set<string>()
function noted (client: Client): Client {
  const note = (method: string, url: string) => { called.add(`${method} ${url.replace(/\?.*/, '')}`) }
  return {
    ...client,
    get: (url, ...rest) => { note('GET', url); return client.get(url, ...rest) }, post: (url, ...rest) => { note('POST', url); return client.post(url, ...rest) },
    put: (url, ...rest) => { note('PUT', url); return client.put(url, ...rest) }, patch: (url, ...rest) => { note('PATCH', url); return client.patch(url, ...rest) },
    delete: (url, ...rest) => { note('DELETE', url); return client.delete(url, ...rest) },
  }
}
const persons = Object.fromEntries(await Promise.all(callers.map(async (caller) => [caller, await speak(caller)]))) as Record<CallerName, Client>
for (const client of Object.values(persons)) await client.get('/v1/users/me')
const apps = await Promise.all(scopes.map(async (scope) => ({ scope, client: await service.as({ tenant: here, subject: `app-${scope.replace(':', '-')}`, kind: 'app', scopes: [scope] }) })))
const helen = await service.as({ tenant: here, subject: 'helen', roles: ['helpdesk'] })
const petra = await service.as({ tenant: here, subject: 'petra', roles: ['privilegedAdmin'] })
const herNeighbour = await service.as({ tenant: next, subject: 'helen', roles: ['helpdesk'] })

let strangers = 0
const nobody = (): Aim => {
  const [phone, alternate, email, authenticatorId] = [systemRandom.uuid(), systemRandom.uuid(), systemRandom.uuid(), systemRandom.uuid()]
  return { userId: `stranger-${++strangers}`, phone, alternate, email, authenticatorId }
}

const tenantOf = (target: TargetName) => target === 'neighbours' ? next : here

/** Someone with two phones and an e-mail; for a route that needs it, and where no route is named, with a change that waits for its code, and with a pass. */
async function made (target: TargetName, route?: string): Promise<Aim> {
  if (target === 'unknown') return nobody()
  const { userId, ids } = await someone(service, tenantOf(target), ['mobilePhone', 'alternatePhone', 'alternateEmail'])
  const aim = { ...nobody(), userId, phone: ids.mobilePhone, alternate: ids.alternatePhone, email: ids.alternateEmail }
  if (route === undefined || route === 'start verifyContact') await (await service.as({ tenant: tenantOf(target), subject: userId })).patch(`/v1/users/me/contact-methods/${aim.alternate}`, { value: nextNumber() })
  if (route === undefined || route.endsWith('authenticator')) aim.authenticatorId = (await issued(target === 'neighbours' ? herNeighbour : helen, userId)).authenticatorId
  if (target === 'privileged') await makePrivileged(service, here, userId)
  if (target === 'offboarded') await petra.post(`/v1/users/${userId}/offboarding`)
  return aim
}

const changes = (route: string, cell: string) => /^20[014]$/.test(cell) && !route.startsWith('GET') && !route.includes('?dry')

/** Everything that is kept of a user and could have been changed. */
const stateOf = (tenantId: string, userId: string) => service.owner.inTenant(tenantId, async ({ db }) => JSON.stringify([
  await db.selectFrom('users').selectAll().where('tenant_id', '=', tenantId).where('user_id', '=', userId).execute(),
  await db.selectFrom('contact_methods').selectAll().where('tenant_id', '=', tenantId).where('user_id', '=', userId).orderBy('id').execute(),
  await db.selectFrom('passes').selectAll().where('tenant_id', '=', tenantId).where('user_id', '=', userId).orderBy('id').execute(),
]))

/** The cells of a row, for every person and every single scope. */
const cellsOf = ({ cells, apps: forApps }: Row): Array<{ who: string, caller: CallerName | null, client: Client, cell: string }> => [
  ...Object.entries(cells).filter(([, cell]) => cell !== '-').map(([caller, cell]) => ({ who: caller, caller: caller as CallerName, client: persons[caller as CallerName], cell })),
  ...(forApps ? apps.map(({ scope, client }) => ({ who: scope, caller: null, client, cell: scope === forApps.scope ? forApps.enough : forApps.others })) : []),
]

let counted = 0
const targets = ['ordinary', 'privileged', 'offboarded', 'unknown', 'neighbours'] as const

for (const target of targets) {
  t.test(`on a target that is ${target}, everyone hears exactly what the table says`, async (t) => {
    const shared = await made(target)
    const tenantId = await service.tenantIdOf(tenantOf(target))
    const before = await stateOf(tenantId, shared.userId)
    const wrong: string[] = []
    for (const row of rowsOf(target)) {
      await Promise.all(cellsOf(row).map(async ({ who, client, cell }) => {
        const aim = !changes(row.route, cell) ? shared : await made(target, row.route)
        const answer = heard(await callsOnUsers[row.route]!(client, aim))
        counted++
        if (answer !== cell) wrong.push(`${row.route}, ${who}: ${answer}, not ${cell}`)
      }))
    }
    t.strictSame(wrong, [])
    t.equal(await stateOf(tenantId, shared.userId), before, 'who was refused, looked or has to wait has changed nothing')
  })
}

t.test('on themself, everyone hears exactly what the table says', async (t) => {
  const shared = Object.fromEntries(await Promise.all(callers.slice(0, -1).map(async (caller) => [caller, await made('oneself')]))) as Record<CallerName, Aim>
  const wrong: string[] = []
  for (const row of rowsOf('oneself')) {
    await Promise.all(cellsOf(row).map(async ({ caller, cell }) => {
      const aim = !changes(row.route, cell) ? shared[caller!] : await made('oneself', row.route)
      const answer = heard(await callsOnUsers[row.route]!(await speak(caller!, aim.userId), aim))
      counted++
      if (answer !== cell) wrong.push(`${row.route}, ${caller}: ${answer}, not ${cell}`)
    }))
  }
  t.strictSame(wrong, [])
})

t.test('on what belongs to the tenant, everyone hears exactly what the table says', async (t) => {
  await blockFor12Hours(service, here, '1415557')
  const asked = async (userId: string) => (await petra.post(`/v1/users/${userId}/mfa-resets`, { scope: 'all', reason: 'other', temporaryAccessPass: {} })).body.approvalId as string
  const ownOf = async (caller: CallerName | null) => {
    if (caller !== 'privilegedAdmin' && caller !== 'stale' && caller !== 'policyAdmin') return systemRandom.uuid()
    const fresh = await service.as({ tenant: here, subject: `the-${caller}`, roles: [...kindOf[caller].roles!] })
    if (caller === 'policyAdmin') return (await fresh.patch('/v1/policy', { alternateEmails: 3 })).body.approvalId as string
    return (await fresh.post(`/v1/users/${(await made('privileged', '')).userId}/mfa-resets`, { scope: 'all', reason: 'other' })).body.approvalId as string
  }
  const shared = await asked((await made('privileged', '')).userId)
  const resetId = (await resetDone(petra, (await made('ordinary', '')).userId)).id as string
  const wrong: string[] = []
  for (const row of rowsOf('tenant')) {
    await Promise.all(cellsOf(row).map(async ({ who, caller, client, cell }) => {
      const decides = row.route.startsWith('POST approve') || row.route.startsWith('POST reject')
      const answer = heard(await callsOnTenants[row.route]!(client, {
        resetId,
        theirs: decides && changes(row.route, cell) ? await asked((await made('privileged', row.route)).userId) : shared,
        own: row.route.endsWith(':own') ? await ownOf(caller) : '',
        aboutMe: row.route.endsWith(':about me') && caller !== 'user' && caller !== 'reader' ? await asked(`the-${caller}`) : shared,
      }))
      counted++
      if (answer !== cell) wrong.push(`${row.route}, ${who}: ${answer}, not ${cell}`)
    }))
  }
  t.strictSame(wrong, [])
  t.ok(counted > 3_000, `${counted} cells`)
})

t.test('no operation of the document is left out, but those on a challenge of one\'s own and the sandbox, which is open to all', async (t) => {
  const left = operations.filter(({ method, path }) => {
    const pattern = new RegExp(`^${method} ${path.replace(/\{\w+\}/g, '[^/]+')}$`)
    return ![...called].some((one) => pattern.test(one))
  })
  t.same(left.map(({ path }) => path).filter((path) => !/^\/v1\/(challenges\/\{|sandbox\/)/.test(path)), [])
})

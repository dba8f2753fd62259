import t from 'tap'
import { auditOf, isRefused, setPolicy } from '../../support/answers.ts'
import { testService, verifiedMethod } from '../../support/service.ts'

const hour = 3600
const service = await testService(t)

/** Ann has an active office phone with an extension, a change that waits, and a pending e-mail. */
async function annsMethods () {
  const tenant = await service.tenant()
  const ann = await service.as({ tenant, subject: 'ann' })
  const phone = await verifiedMethod(ann, { kind: 'officePhone', value: '+14155550132', extension: '77' })
  await ann.patch(`/v1/users/me/contact-methods/${phone.id}`, { value: '+14155550144 x88' })
  const { body: email } = await ann.post('/v1/users/me/contact-methods', { kind: 'alternateEmail', value: 'ann@example.org' })
  return { tenant, ann, phone, email, list: '/v1/users/ann/contact-methods', one: `/v1/users/ann/contact-methods/${phone.id}` }
}

const masked = { value: null, display: '+1 ••• ••• ••32', extension: null, pendingChange: { display: '+1 ••• ••• ••44', extension: null } }
const full = { value: '+14155550132', display: '+1 ••• ••• ••32', extension: '77', pendingChange: { display: '+1 ••• ••• ••44', extension: '88' } }

t.test('display is masked for everyone; the value is there only for the person with a second factor at most 12 h old', async (t) => {
  const { tenant, list, one } = await annsMethods()
  const callers = [
    { name: 'a second factor 12 h old', subject: 'ann', authSecondsAgo: 12 * hour - 5, sees: full },
    { name: 'a second factor older than 12 h', subject: 'ann', authSecondsAgo: 12 * hour + 5, sees: masked },
    { name: 'a password only', subject: 'ann', amr: ['pwd'], sees: masked },
    { name: 'a second factor that is not known', subject: 'ann', amr: ['pwd', 'face'], sees: masked },
    { name: 'reader', subject: 'rita', roles: ['reader' as const], sees: masked },
    { name: 'help desk', subject: 'hans', roles: ['helpdesk' as const], sees: masked },
    { name: 'privileged administrator', subject: 'petra', roles: ['privilegedAdmin' as const], sees: masked },
    { name: 'an app', subject: 'payroll', kind: 'app' as const, scopes: ['contact-methods:read' as const, 'contact-methods:reveal' as const], sees: masked },
    { name: 'an app of the person\'s name', subject: 'ann', kind: 'app' as const, scopes: ['contact-methods:read' as const], sees: masked },
  ]
  for (const { name, sees, ...caller } of callers) {
    const client = await service.as({ tenant, ...caller })
    const answers = [await client.get(list), await client.get(one)]
    t.match(answers.map(({ body }) => body.items?.[0] ?? body), [sees, sees], name)
    if (sees === masked) for (const { text } of answers) t.notMatch(text, /4155550|ann@|"(?:77|88)"/, `${name} finds it nowhere`)
  }
})

t.test('the list is oldest first, in pages that neither repeat nor miss, also while methods are added', async (t) => {
  const tenant = await service.tenant()
  await setPolicy(service, tenant, { alternateEmails: 3 })
  const ann = await service.as({ tenant, subject: 'ann' })
  const path = '/v1/users/me/contact-methods'
  const add = async (name: string) => (await ann.post(path, { kind: 'alternateEmail', value: `${name}@example.org` })).body.id
  const ids = [await add('one'), await add('two')]
  const first = await ann.get(`${path}?limit=1`)
  t.same(first.body.items.map((method: { id: string }) => method.id), [ids[0]])
  ids.push(await add('three'))
  const second = await ann.get(`${path}?limit=1&cursor=${first.body.nextCursor}`)
  const third = await ann.get(`${path}?limit=1&cursor=${second.body.nextCursor}`)
  t.same([...second.body.items, ...third.body.items].map((method) => method.id), ids.slice(1))
  t.notOk(third.body.nextCursor)

  const ben = await service.as({ tenant, subject: 'ben' })
  const { nextCursor } = first.body
  isRefused(t, await ben.get(`${path}?cursor=${nextCursor}`), 'invalid_cursor', {}, 'a cursor of another list')
  isRefused(t, await ann.get(`${path}?cursor=${nextCursor}x`), 'invalid_cursor', {}, 'an altered cursor')
  isRefused(t, await ann.get(`${path}?cursor=${Buffer.from('["1","a","b"]').toString('base64url')}`), 'invalid_cursor', {}, 'a cursor made up')
  for (const query of ['limit=0', 'limit=201', 'limit=x', 'cursor=', 'reveal=1x', 'colour=red']) {
    isRefused(t, await ann.get(`${path}?${query}`), 'validation_failed', { parameter: query.split('=')[0]! }, query)
  }
})

t.test('a person without methods has an empty list; an unknown user or method is 404', async (t) => {
  const tenant = await service.tenant()
  const ann = await service.as({ tenant, subject: 'ann' })
  t.match(await ann.get('/v1/users/me/contact-methods'), { status: 200, body: { items: [] } }, 'their first call makes their row')
  const reader = await service.as({ tenant, subject: 'rita', roles: ['reader'] })
  t.match(await reader.get('/v1/users/ann/contact-methods'), { status: 200, body: { items: [] } })
  isRefused(t, await reader.get('/v1/users/nobody/contact-methods'), 'not_found')
  isRefused(t, await ann.get('/v1/users/me/contact-methods/0199c0de-0000-7000-8000-000000000002'), 'not_found')
  isRefused(t, await ann.get('/v1/users/me/contact-methods/7'), 'validation_failed', { parameter: 'methodId' })
})

t.test('a reveal shows full values to who may, and leaves an audit row that names the methods', async (t) => {
  const { tenant, phone, email, list, one } = await annsMethods()
  const petra = await service.as({ tenant, subject: 'petra', roles: ['privilegedAdmin'] })
  const app = await service.as({ tenant, subject: 'payroll', kind: 'app', scopes: ['contact-methods:read', 'contact-methods:reveal'] })
  t.match((await petra.get(`${list}?reveal=true`)).body.items, [full, { value: 'ann@example.org' }])
  t.match((await petra.get(`${one}?reveal=true`)).body, full)
  t.match((await app.get(`${list}?reveal=true`)).body.items, [full, { value: 'ann@example.org' }])
  t.match(await auditOf(service, tenant, 'action=contactMethods.revealed'), [
    { actor: { kind: 'app', id: 'payroll' }, userId: 'ann', details: { methodIds: [phone.id, email.id] } },
    { actor: { kind: 'person', id: 'petra' }, userId: 'ann', details: { methodIds: [phone.id] } },
    { actor: { kind: 'person', id: 'petra' }, userId: 'ann', details: { methodIds: [phone.id, email.id] } },
  ])
  t.match((await petra.get(`${list}?reveal=false`)).body.items[0], masked, 'only who asks sees it')
})

t.test('a reveal needs the permission (403 with the rule) and a fresh second factor (401), and is refused without a trace of the value', async (t) => {
  const { tenant, list, one } = await annsMethods()
  const refused = [
    { subject: 'rita', roles: ['reader' as const] }, { subject: 'hans', roles: ['helpdesk' as const] },
    { subject: 'payroll', kind: 'app' as const, scopes: ['contact-methods:read' as const] },
    { subject: 'petra', roles: ['privilegedAdmin' as const], scopes: ['contact-methods:read' as const] },
  ]
  for (const caller of refused) {
    const client = await service.as({ tenant, ...caller })
    for (const path of [list, one]) isRefused(t, await client.get(`${path}?reveal=true`), 'forbidden', { rule: 'reveal' }, `${caller.subject} ${path}`)
  }
  const stale = await service.as({ tenant, subject: 'petra', roles: ['privilegedAdmin'], authSecondsAgo: 601 })
  for (const path of [list, one]) {
    const answer = await stale.get(`${path}?reveal=true`)
    isRefused(t, answer, 'insufficient_user_authentication')
    t.match(answer.headers['www-authenticate'], /max_age="600"/)
  }
  const rows = await auditOf(service, tenant, 'action=contactMethods.reveal')
  t.same(rows.map(({ actor, outcome, details }) => `${actor.id} ${outcome} ${details.code} ${details.rule}`).toSorted(), [
    'hans refused forbidden reveal', 'payroll refused forbidden reveal', 'petra refused forbidden reveal', 'petra refused insufficient_user_authentication undefined', 'rita refused forbidden reveal',
  ])
})

t.test('the person themself may ask for a reveal: it shows what they may see, without an audit row', async (t) => {
  const { tenant, ann, one } = await annsMethods()
  t.match((await ann.get(`${one}?reveal=true`)).body, full)
  t.match((await (await service.as({ tenant, subject: 'ann', amr: ['pwd'] })).get(`${one}?reveal=true`)).body, masked)
  t.same(await auditOf(service, tenant, 'action=contactMethods.revealed'), [])
})

t.test('If-None-Match with the version that stands is 304, the same for every caller, but not for a reveal', async (t) => {
  const { tenant, ann, one } = await annsMethods()
  const { headers } = await ann.get(one)
  const reader = await service.as({ tenant, subject: 'rita', roles: ['reader'] })
  t.equal((await reader.get(one)).headers.etag, headers.etag)
  for (const tag of [headers.etag, `W/${headers.etag}`, '*', `"99", ${headers.etag}`] as string[]) {
    t.match(await reader.get(one, { 'if-none-match': tag }), { status: 304, text: '', headers: { etag: headers.etag } }, tag)
  }
  t.equal((await reader.get(one, { 'if-none-match': '"99"' })).status, 200)
  t.equal((await ann.get(`${one}?reveal=true`, { 'if-none-match': headers.etag as string })).status, 200)
  await ann.patch(one, { label: 'Mine' })
  t.equal((await reader.get(one, { 'if-none-match': headers.etag as string })).status, 200)
})

import t from 'tap'
import { act, at, changeValue, noticesIn, open, pathIn, pathTo, press, registeredAnn, toldBy, valueOf } from '../../support/notices.ts'
import { auditOf } from '../../support/answers.ts'
import { pendingMethod } from '../../support/challenges.ts'
import { moveClock, testService } from '../../support/service.ts'

const service = await testService(t)
const hours = 3_600

/** Ann, with the notices of one change of her phone. */
async function changed () {
  const around = await registeredAnn(service)
  const told = await toldBy(around.ann, () => changeValue(around.ann, around.phone, at.next))
  return { ...around, told, old: pathTo(told, at.mobile), other: pathTo(told, at.email) }
}

t.test('the page says what happened and what its button does, works without script, and opening it changes nothing, however often', async (t) => {
  const { ann, tenant, old, other } = await changed()
  const before = await auditOf(service, tenant)
  for (const [path, does] of [[old, /brings back what was there before/], [other, /stops every change for 24 hours/]] as const) {
    for (let scan = 0; scan < 3; scan++) {
      const page = await open(service, path)
      t.match(page, { statusCode: 200, headers: { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store', 'referrer-policy': 'no-referrer', 'x-content-type-options': 'nosniff' } })
      t.match(page.headers['content-security-policy'], /default-src 'none'.*form-action 'self'.*frame-ancestors 'none'/)
      t.match(page.body, /Acme Ltd, \d{4}-\d\d-\d\d \d\d:\d\d UTC: A contact method of your account was changed/)
      t.match(page.body, does)
      t.match(page.body, /<form method="post">/)
      t.notMatch(page.body, /<script|4155550|ann\./)
    }
    t.equal((await service.app.inject({ method: 'HEAD', url: path })).statusCode, 200)
  }
  t.equal(await valueOf(ann, (await ann.get('/v1/users/me/contact-methods')).body.items[0].id), at.next)
  t.match((await ann.get('/v1/users/me/lockout')).body, { frozenUntil: null })
  t.equal((await auditOf(service, tenant)).length, before.length)
  t.equal((await press(service, old)).statusCode, 200, 'and it can be used still')
})

t.test('an altered or unknown token is 404, to a browser as a page, to a program as a problem', async (t) => {
  const { old } = await changed()
  const [, token] = /\/not-me\/(.*)/.exec(old)!
  const flipped = (index: number) => `${token!.slice(0, index)}${token![index] === 'A' ? 'B' : 'A'}${token!.slice(index + 1)}`
  const elsewhere = Buffer.from(token!, 'base64url')
  elsewhere.set(Buffer.from((await service.tenantIdOf(await service.tenant())).replaceAll('-', ''), 'hex'), 2)
  for (const wrong of [0, 1, 2, 5, 20, 30, 45, 50, 66, 67].map(flipped).concat(elsewhere.toString('base64url'), token!.slice(0, -1), `${token}A`, `${token}=`, 'x', token!.toLowerCase(), 'A'.repeat(68))) {
    t.strictSame(await act(service, `/not-me/${wrong}`), { status: 404, code: 'not_found' }, wrong)
    t.match(await service.app.inject({ url: `/not-me/${wrong}`, headers: { accept: 'application/json' } }), { statusCode: 404, headers: { 'content-type': /problem\+json/ } })
  }
  t.match(await open(service, '/not-me/x'), { statusCode: 404, headers: { 'content-type': /^text\/html/ }, body: /leads nowhere/ })
  t.match(await service.app.inject({ method: 'PUT', url: old }), { statusCode: 405 })
  t.equal((await press(service, old)).statusCode, 200)
})

t.test('a link holds for 72 hours of the tenant\'s time', async (t) => {
  const { ann, old, other } = await changed()
  await moveClock(ann, 72 * hours - 60)
  t.equal((await open(service, old)).statusCode, 200)
  await moveClock(ann, 72 * hours + 5)
  for (const path of [old, other]) {
    t.match(await open(service, path), { statusCode: 410, body: /This link is over/ })
    t.strictSame(await act(service, path), { status: 410, code: 'link_expired' })
  }
  t.equal((await press(service, old)).statusCode, 410)
})

t.test('a link is used once; the page of a second tab says so', async (t) => {
  const { ann, phone, old } = await changed()
  t.match([(await open(service, old)).statusCode, (await open(service, old)).statusCode], [200, 200], 'two tabs')
  t.match(await press(service, old), { statusCode: 200, headers: { 'content-type': /^text\/html/ }, body: /in force again/ })
  t.match(await press(service, old), { statusCode: 410, body: /This link is over/ })
  t.strictSame(await act(service, old), { status: 410, code: 'link_expired' })
  t.equal(await valueOf(ann, phone), at.mobile)
})

t.test('every link of before is worthless once the user was frozen: they belong to an older epoch', async (t) => {
  const { old, other, told } = await changed()
  t.equal((await press(service, other)).statusCode, 200)
  for (const { body } of told) t.strictSame(await act(service, pathIn({ body })), { status: 410, code: 'link_expired' })
  t.equal((await open(service, old)).statusCode, 410)
})

t.test('the button takes no fields, and an empty JSON object as well as nothing', async (t) => {
  const { other, old } = await changed()
  const send = (headers: Record<string, string>, payload: string) => service.app.inject({ method: 'POST', url: other, headers, payload })
  t.match(await send({ 'content-type': 'application/x-www-form-urlencoded' }, 'userId=bob'), { statusCode: 400 })
  t.match(await send({ 'content-type': 'application/json' }, '{"userId":"bob"}'), { statusCode: 400 })
  t.match(await send({ 'content-type': 'text/plain' }, 'x'), { statusCode: 415 })
  t.match(await service.app.inject({ method: 'POST', url: old, headers: { 'content-type': 'application/json' }, payload: '{}' }), { statusCode: 200 })
})

t.test('the name of the organisation is text in the page, whatever it holds', async (t) => {
  const { ann, tenant, other } = await changed()
  t.equal((await (await service.as({ tenant, subject: 'pia', roles: ['policyAdmin'] })).patch('/v1/organization', { name: '<b>Acme</b> & "Sons"' })).status, 200)
  t.match((await open(service, other)).body, /&lt;b&gt;Acme&lt;\/b&gt; &amp; &quot;Sons&quot;/)
  t.ok(ann)
})

t.test('nothing in the tables or the log gives the token, and a link is forgotten after 30 days', async (t) => {
  const { ann, tenant, old } = await changed()
  const [, token] = /\/not-me\/(.*)/.exec(old)!
  await open(service, old)
  t.notMatch(service.logged().join(''), new RegExp(token!))
  const tenantId = await service.tenantIdOf(tenant)
  const signature = Buffer.from(token!, 'base64url').subarray(-17).toString('hex')
  const rows = await service.owner.inTenant(tenantId, async ({ db }) => [await db.selectFrom('notice_links').selectAll().execute(), await db.selectFrom('messages').selectAll().execute(), await db.selectFrom('audit_events').selectAll().execute()])
  const hex = JSON.stringify(rows, (_key, value: unknown) => value !== null && typeof value === 'object' && 'type' in value && value.type === 'Buffer' ? Buffer.from((value as unknown as { data: number[] }).data).toString('hex') : value)
  t.notMatch(hex, new RegExp(`${token}|${signature}`))
  await pendingMethod(ann, { kind: 'alternatePhone', value: at.alternate })
  await noticesIn(ann)
  await moveClock(ann, 31 * 24 * hours)
  const left = await service.owner.inTenant(tenantId, async ({ db }) => [(await db.selectFrom('notice_links').select('id').where('tenant_id', '=', tenantId).execute()).length, (await db.selectFrom('messages').select('id').where('tenant_id', '=', tenantId).where('kind', '=', 'notice').execute()).length])
  t.strictSame(left, [0, 0])
})

import t from 'tap'
import { sql } from 'kysely'
import { auditOf } from '../../support/answers.ts'
import { pendingMethod, started, verify } from '../../support/challenges.ts'
import { countWrongCodes } from '../../support/limits.ts'
import { at, changeValue, registeredAnn, setSecurityContact, toldBy } from '../../support/notices.ts'
import { eventually } from '../../support/process.ts'
import { codeOf, moveClock, otherCode, testService, verifiedMethod } from '../../support/service.ts'

const service = await testService(t)
const methods = '/v1/users/me/contact-methods'
const addresses = (notices: Array<{ to: string }>) => notices.map(({ to }) => to).toSorted()
const all = [at.mobile, at.email, at.signIn].toSorted()

t.test('a method that is added is told to every verified address and never to itself; once it is verified, to itself too', async (t) => {
  const { ann } = await registeredAnn(service)
  let id = ''
  const added = await toldBy(ann, async () => { id = await pendingMethod(ann, { kind: 'alternatePhone', value: at.alternate }) })
  t.strictSame(addresses(added), all)
  for (const { body } of added) t.match(body, /Acme Ltd: An alternate phone was added to your account/)
  const verified = await toldBy(ann, async () => {
    const challenge = await started(ann, id)
    await verify(ann, challenge.id, await codeOf(ann, challenge.id))
  })
  t.strictSame(addresses(verified), [...all, at.alternate].toSorted())
  for (const { body } of verified) t.match(body, /was verified and can now be used for your account/)
  const office = await toldBy(ann, () => pendingMethod(ann, { kind: 'officePhone', value: at.next }))
  t.strictSame(addresses(office), [...all, at.alternate].toSorted())
  t.strictSame(await toldBy(ann, async () => { await ann.delete(`${methods}/${id}x`); await ann.get(methods) }), [], 'what is refused or read is not told')
})

t.test('a change is told to the old and the new contact once it is verified; asking for it and the label are not', async (t) => {
  const { ann, phone } = await registeredAnn(service)
  t.strictSame(await toldBy(ann, async () => { await ann.patch(`${methods}/${phone}`, { value: at.next, label: 'new' }) }), [])
  const told = await toldBy(ann, () => changeValue(ann, phone, at.next))
  t.strictSame(addresses(told), [...all, at.next].toSorted())
  t.match(told.find(({ to }) => to === at.mobile)!.body, /The mobile phone of your account was changed.*Undo it within 72 hours/)
  t.match(told.find(({ to }) => to === at.next)!.body, /Stop it within 72 hours/)
})

t.test('a removal is told to the removed contact and all others; that of a pending one to nobody', async (t) => {
  const { ann, email } = await registeredAnn(service)
  const pending = await pendingMethod(ann, { kind: 'alternatePhone', value: at.alternate })
  t.strictSame(await toldBy(ann, async () => { await ann.delete(`${methods}/${pending}`) }), [])
  const told = await toldBy(ann, async () => { t.equal((await ann.delete(`${methods}/${email}`)).status, 204) })
  t.strictSame(addresses(told), all)
  t.match(told[0]!.body, /The alternate e-mail of your account was removed/)
})

t.test('a new sign-in e-mail is told to the old one, the new one and the methods', async (t) => {
  const { petra, ann } = await registeredAnn(service)
  const next = 'ann.new@example.com'
  const told = await toldBy(ann, async () => { t.equal((await petra.put('/v1/users/ann', { signInEmail: next, displayName: 'Ann' })).status, 200) })
  t.strictSame(addresses(told), [...all, next].toSorted())
  t.match(told[0]!.body, /The sign-in e-mail of your account was changed/)
  t.strictSame(await toldBy(ann, async () => { await petra.put('/v1/users/ann', { displayName: 'Anne', signInEmail: next }) }), [], 'other fields are not')
})

t.test('a lock is told, at most once a day', async (t) => {
  const { ann, tenant, phone } = await registeredAnn(service)
  const lock = async (inARow: number) => {
    await countWrongCodes(service, tenant, 'ann', { inARow })
    const challenge = await started(ann, phone, { purpose: 'stepUp' })
    t.match((await verify(ann, challenge.id, otherCode(await codeOf(ann, challenge.id)))).body, { code: 'wrong_code' })
  }
  const first = await toldBy(ann, () => lock(9))
  t.strictSame(addresses(first), all)
  t.match(first[0]!.body, /Too many wrong codes were entered for your account/)
  await moveClock(ann, 3_600)
  t.strictSame(await toldBy(ann, () => lock(14)), [])
  await moveClock(ann, 90_000)
  t.equal((await toldBy(ann, () => lock(19))).length, 3)
})

t.test('a method that is disabled after 50 wrong codes is told to itself and the others', async (t) => {
  const { ann, tenant, phone } = await registeredAnn(service)
  await verifiedMethod(ann, { kind: 'alternatePhone', value: at.alternate })
  await countWrongCodes(service, tenant, 'ann', { inARow: 2, byMethod: { [phone]: 49 } })
  const told = await toldBy(ann, async () => {
    const challenge = await started(ann, phone, { purpose: 'stepUp' })
    await verify(ann, challenge.id, otherCode(await codeOf(ann, challenge.id)))
  })
  t.strictSame(addresses(told), [...all, at.alternate].toSorted())
  t.match(told[0]!.body, /The mobile phone of your account was disabled/)
})

t.test('someone without a verified address: the security contact is told, naming the user; with none, nobody', async (t) => {
  const tenant = await service.tenant({ name: 'Acme Ltd' })
  const bob = await service.as({ tenant, subject: 'bob' })
  t.strictSame(await toldBy(bob, () => pendingMethod(bob, { value: at.mobile })), [])
  await setSecurityContact(service, tenant)
  const told = await toldBy(bob, () => pendingMethod(bob, { kind: 'alternatePhone', value: at.alternate }))
  t.strictSame(addresses(told), [at.security])
  t.match(told[0], { channel: 'email', subject: 'Acme Ltd: a contact method was added', body: /was added to the account of user bob/ })
})

t.test('phones get an SMS, an office phone a call with its extension and without a link, e-mails a subject; none has a number, an address or a code in it', async (t) => {
  const { ann } = await registeredAnn(service)
  await verifiedMethod(ann, { kind: 'officePhone', value: at.next, extension: '904617' })
  const told = await toldBy(ann, () => verifiedMethod(ann, { kind: 'alternatePhone', value: at.alternate }))
  const by = (to: string) => told.filter((one) => one.to === to).at(-1)!
  t.match(by(at.mobile), { channel: 'sms', subject: undefined, body: /^Acme Ltd: .* \d{4}-\d\d-\d\d \d\d:\d\d UTC\. Not you\? Stop it within 72 hours: \S*\/not-me\/[\w-]{68}$/ })
  t.match(by(at.next), { channel: 'voice', extension: '904617', body: /tell the help desk of Acme Ltd at once/ })
  t.notMatch(by(at.next).body, /not-me/)
  t.match(by(at.email), { channel: 'email', subject: 'Acme Ltd: a contact method was verified', body: /72 hours[\s\S]*\/not-me\// })
  for (const { body, subject = '' } of told) t.notMatch(body.replace(/\/not-me\/\S+/, '') + subject, /\d{6}|4155550|ann\.|@|904617/)
})

t.test('notices have their own budget: codes do not use it up, and when it is used up the security contact is told once', async (t) => {
  const { ann, tenant, email } = await registeredAnn(service)
  await setSecurityContact(service, tenant)
  const tenantId = await service.tenantIdOf(tenant)
  const asOwner = (statement: ReturnType<typeof sql>) => service.owner.inTenant(tenantId, ({ db }) => statement.execute(db))
  await asOwner(sql`update send_budgets set sent = 10000 where tenant_id = ${tenantId}`)
  t.equal((await toldBy(ann, () => pendingMethod(ann, { kind: 'alternatePhone', value: at.alternate }))).length, 3)
  await asOwner(sql`update notice_budgets set sent = 100000 where tenant_id = ${tenantId}`)
  const told = await toldBy(ann, async () => {
    await pendingMethod(ann, { kind: 'officePhone', value: at.next })
    await ann.delete(`${methods}/${email}`)
  })
  t.strictSame(addresses(told), [at.security])
  t.match(told[0]!.body, /no more go out until midnight UTC/)
  t.match(await auditOf(service, tenant, 'action=notices.usedUp'), [{ actor: { kind: 'system', id: 'notices' }, details: { perDay: 100_000 } }])
  await moveClock(ann, 86_400)
  t.strictSame(addresses(await toldBy(ann, () => pendingMethod(ann, { kind: 'alternatePhone', value: at.third }))), [at.mobile, at.signIn].toSorted(), 'the next day has its own')
})

t.test('a notice whose worker died is sent again by another, under the same id; a code is not', async (t) => {
  const { tenant } = await registeredAnn(service)
  const tenantId = await service.tenantIdOf(tenant)
  const lost = crypto.randomUUID()
  const row = (kind: string, id: string, tries: number) => sql`
    insert into messages (tenant_id, id, user_id, channel, kind, recipient, content, state, tries, lease_until, created_at, send_before)
    values (${tenantId}, ${id}, 'ann', 'sms', ${kind}, 'x', 'x', 'sending', ${tries}, clock_timestamp() - interval '1 s', now(), now() + interval '1 h')`
  const [code, often] = [crypto.randomUUID(), crypto.randomUUID()]
  await service.owner.inTenant(tenantId, async ({ db }) => { for (const [kind, id, tries] of [['notice', lost, 1], ['code', code, 1], ['notice', often, 3]] as const) await row(kind, id, tries).execute(db) })
  const read = async () => (await service.owner.inTenant(tenantId, ({ db }) => sql<{ id: string, tries: number, state: string }>`
    select id, tries, state from messages where id in (${lost}, ${code}, ${often})`.execute(db))).rows
  let rows = await read()
  await eventually(async () => (rows = await read()).every(({ state }) => state === 'failed' || state === 'unknown'))
  const of = (wanted: string) => rows.find(({ id }) => id === wanted)
  t.match(of(lost), { tries: 2, state: 'failed' }, 'it was taken up again; what is in it here does not open')
  t.match(of(code), { tries: 1, state: 'unknown' })
  t.match(of(often), { tries: 3, state: 'unknown' }, 'not for ever')
})

import t from 'tap'
import { cursorOf, positionOf } from '../../../src/platform/http/paging.ts'
import { keysOf, parseKeyRing } from '../../../src/platform/keys.ts'
import { testKeyRingText } from '../../support/keys.ts'
import { testService, type Client } from '../../support/service.ts'

const service = await testService(t)

/** A tenant with 12 users, and what its lists are. */
async function scene () {
  const tenant = await service.tenant()
  const boss = await service.as({ tenant, subject: 'boss', roles: ['privilegedAdmin', 'auditor'] })
  const names = Array.from({ length: 12 }, (_none, index) => `user-${String(index).padStart(2, '0')}`)
  for (const name of names) await boss.put(`/v1/users/${name}`, { displayName: `Name of ${name}` })
  return { tenant, boss, names }
}

/** Reads a list to its end; `between` runs after each page. */
async function readAll (client: Client, path: string, limit: number, between: (page: number) => Promise<unknown> = async () => undefined): Promise<any[]> {
  const items: any[] = []
  for (let cursor: string | undefined, page = 1; page < 100; page++) {
    const { status, body, text } = await client.get(`${path}${path.includes('?') ? '&' : '?'}limit=${limit}${cursor ? `&cursor=${cursor}` : ''}`)
    if (status !== 200) throw new Error(text)
    items.push(...body.items)
    if (body.nextCursor === undefined) return items
    if (body.items.length !== limit) throw new Error('a page that is not the last must be full')
    cursor = body.nextCursor
    await between(page)
  }
  throw new Error('the list has no end')
}

t.test('a list read in pages of any size is the list, each row once and in order', async (t) => {
  const { boss, names } = await scene()
  for (const limit of [1, 2, 3, 5, 11, 12, 13, 14, 200]) {
    const users = await readAll(boss, '/v1/users', limit)
    t.strictSame(users.map(({ userId }) => userId), ['boss', ...names], `users, ${limit} at a time`)
  }
  const audit = await readAll(boss, '/v1/audit-events', 200)
  const sequences = audit.map(({ sequence }) => sequence)
  t.strictSame(sequences, sequences.toSorted((a, b) => b - a), 'newest first')
  for (const limit of [1, 4, 7]) t.strictSame((await readAll(boss, '/v1/audit-events', limit)).map(({ sequence }) => sequence), sequences, `audit, ${limit} at a time`)

  await Promise.all([['mobilePhone', '+14155550132'], ['alternatePhone', '+14155550133'], ['officePhone', '+14155550134'], ['alternateEmail', 'a@example.org']].map(async ([kind, value]) => {
    const { status, text } = await boss.post('/v1/users/user-00/contact-methods', { kind, value })
    t.equal(status, 201, text)
  }))
  const methods = (await readAll(boss, '/v1/users/user-00/contact-methods', 50)).map(({ id }) => id)
  t.equal(methods.length, 4)
  for (const limit of [1, 2, 3, 4]) t.strictSame((await readAll(boss, '/v1/users/user-00/contact-methods', limit)).map(({ id }) => id), methods, `methods, ${limit} at a time`)
})

t.test('no row comes twice or is missed while rows are added', async (t) => {
  const { tenant, boss, names } = await scene()
  const users = await readAll(boss, '/v1/users', 3, async (page) => {
    await Promise.all([`aaa-${page}`, `user-05-${page}`, `zzz-${page}`].map((name) => boss.put(`/v1/users/${name}`, {})))
  })
  const seen = users.map(({ userId }) => userId)
  t.equal(new Set(seen).size, seen.length, 'none twice')
  t.ok(names.every((name) => seen.includes(name)), 'none missed')
  t.strictSame(seen, seen.toSorted((a, b) => a < b ? -1 : 1), 'in order')

  const auditor = await service.as({ tenant, subject: 'auditor', roles: ['auditor'] })
  const stood = (await readAll(auditor, '/v1/audit-events', 200)).map(({ sequence }) => sequence)
  const events = await readAll(auditor, '/v1/audit-events', 5, async (page) => {
    await Promise.all(Array.from({ length: 7 }, (_none, index) => boss.put(`/v1/users/new-${page}-${index}`, {})))
    await auditor.get('/v1/audit-events?limit=1') // what was written is numbered by now
  })
  t.strictSame(events.map(({ sequence }) => sequence), stood, 'exactly what stood there when the reading began')
})

t.test('a cursor that is altered in any place is 400 invalid_cursor', async (t) => {
  const { boss } = await scene()
  const { body: { nextCursor } } = await boss.get('/v1/users?limit=2')
  const refused = async (cursor: string, name = cursor) => t.match(await boss.get(`/v1/users?limit=2&cursor=${encodeURIComponent(cursor)}`), { status: 400, body: { code: 'invalid_cursor' } }, name)
  t.equal((await boss.get(`/v1/users?limit=3&cursor=${nextCursor}`)).status, 200, 'the size of the page may change')
  for (let at = 0; at < nextCursor.length; at++) {
    const other = nextCursor[at] === 'A' ? 'B' : 'A'
    await refused(`${nextCursor.slice(0, at)}${other}${nextCursor.slice(at + 1)}`, `character ${at}`)
    const near = String.fromCharCode(nextCursor.charCodeAt(at) + 1)
    await refused(`${nextCursor.slice(0, at)}${near}${nextCursor.slice(at + 1)}`, `character ${at}, by one`)
  }
  const [version, , mac] = JSON.parse(Buffer.from(nextCursor, 'base64url').toString()) as [number, string, string]
  const forged = (...parts: unknown[]) => Buffer.from(JSON.stringify(parts)).toString('base64url')
  for (const cursor of [
    'x', '=', ' ', '-', 'null', 'e30', 'W10', nextCursor.slice(1), nextCursor.slice(0, -1), `${nextCursor}A`, `${nextCursor}=`, `${nextCursor} `, ` ${nextCursor}`, `${nextCursor}\n`, nextCursor.repeat(2), 'user-05',
    forged(version, 'user-09', mac), forged(version + 1, 'user-00', mac), forged(1, 'user-00', mac), forged(99, 'user-00', mac), forged('2', 'user-00', mac), forged(version, 'user-00', ''), forged(version, 'user-00'), forged(version, { toString: 1 }, mac), forged(version, 'user-00', `${mac}=`), forged(version, 'user-00', ` ${mac}`), forged(null, null, null), forged(1e308, '', ''),
    Buffer.from('{"0":1}').toString('base64url'), Buffer.from('[['.repeat(300)).toString('base64url'),
  ]) await refused(cursor)
  for (const cursor of ['', 'x'.repeat(1_025)]) t.match(await boss.get(`/v1/users?cursor=${cursor}`), { status: 400, body: { code: 'validation_failed' } })
})

t.test('a cursor of another tenant, list or filter is 400 invalid_cursor', async (t) => {
  const [one, other] = [await scene(), await scene()]
  const cursorAt = async (path: string): Promise<string> => (await one.boss.get(path)).body.nextCursor
  const users = await cursorAt('/v1/users?limit=2')
  const found = await cursorAt('/v1/users?limit=2&search=user')
  const audit = await cursorAt('/v1/audit-events?limit=2')
  const ofBoss = await cursorAt('/v1/audit-events?limit=2&actor=boss')
  for (const [client, path] of [
    [other.boss, `/v1/users?cursor=${users}`], [one.boss, `/v1/users?search=user&cursor=${users}`], [one.boss, `/v1/users?cursor=${found}`], [one.boss, `/v1/users?search=user-0&cursor=${found}`],
    [one.boss, `/v1/audit-events?cursor=${users}`], [one.boss, `/v1/users?cursor=${audit}`], [other.boss, `/v1/audit-events?cursor=${audit}`],
    [one.boss, `/v1/audit-events?actor=boss&cursor=${audit}`], [one.boss, `/v1/audit-events?cursor=${ofBoss}`], [one.boss, `/v1/audit-events?userId=boss&cursor=${ofBoss}`], [one.boss, `/v1/audit-events?actor=boss&from=2020-01-01T00:00:00Z&cursor=${ofBoss}`],
    [one.boss, `/v1/users/user-00/contact-methods?cursor=${users}`],
  ] as const) t.match(await client.get(path), { status: 400, body: { code: 'invalid_cursor' } }, path.replace(/cursor=.*/, ''))
  for (const path of [`/v1/users?cursor=${users}`, `/v1/users?search=user&cursor=${found}`, `/v1/audit-events?cursor=${audit}`, `/v1/audit-events?actor=boss&cursor=${ofBoss}`]) t.equal((await one.boss.get(path)).status, 200, path)
})

t.test('a cursor outlives a change of keys, and no two lists of filters look alike', async (t) => {
  const [, second] = testKeyRingText.split(',') as [string, string]
  const [older, both, newer] = [keysOf(parseKeyRing(testKeyRingText.split(',')[0]!)), keysOf(parseKeyRing(testKeyRingText)), keysOf(parseKeyRing(second))]
  const tenantId = crypto.randomUUID()
  const cursor = cursorOf(older, tenantId, ['users', 'a'], 'ann')
  t.equal(positionOf(both, tenantId, ['users', 'a'], cursor), 'ann')
  t.throws(() => positionOf(newer, tenantId, ['users', 'a'], cursor), { code: 'invalid_cursor' }, 'a key that is gone')
  for (const scope of [['users'], ['users', undefined], ['users', ''], ['users', '-'], ['users', '=a'], ['users', 'a', undefined], ['usersa'], ['users', 'a', 'ann']]) t.throws(() => positionOf(both, tenantId, scope, cursor), { code: 'invalid_cursor' }, JSON.stringify(scope))
})

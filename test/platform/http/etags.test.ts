import t from 'tap'
import { testService, type Client } from '../../support/service.ts'

const service = await testService(t)
const tenant = await service.tenant()
const ann = await service.as({ tenant, subject: 'ann' })
const helpdesk = await service.as({ tenant, subject: 'hans', roles: ['helpdesk'] })
const boss = await service.as({ tenant, subject: 'boss', roles: ['privilegedAdmin'] })
const politician = await service.as({ tenant, subject: 'pol', roles: ['policyAdmin'] })
await boss.put('/v1/users/bob', { displayName: 'Bob' })
const { body: { id: methodId } } = await ann.post('/v1/users/me/contact-methods', { kind: 'mobilePhone', value: '+14155550132' })

interface Resource { path: string, readers: Client[], change: (headers: Record<string, string>, value: string) => ReturnType<Client['get']>, valueIn: (body: any) => string }
const resources: Record<string, Resource> = {
  user: { path: '/v1/users/bob', readers: [boss, helpdesk], change: (headers, value) => boss.put('/v1/users/bob', { displayName: value }, headers), valueIn: (body) => body.displayName },
  method: {
    path: `/v1/users/ann/contact-methods/${methodId}`, readers: [ann, helpdesk],
    change: (headers, value) => ann.patch(`/v1/users/me/contact-methods/${methodId}`, { label: value }, headers), valueIn: (body) => body.label,
  },
  organization: { path: '/v1/organization', readers: [politician, helpdesk], change: (headers, value) => politician.patch('/v1/organization', { name: value }, headers), valueIn: (body) => body.name },
  policy: {
    path: '/v1/policy', readers: [politician, helpdesk],
    change: (headers, value) => politician.patch('/v1/policy', { sendsPerDay: 10_000 - Number(value.slice(1)) }, headers), valueIn: (body) => `v${10_000 - body.sendsPerDay}`,
  },
}
let values = 0
const newValue = () => `v${++values}`

for (const [kind, { path, readers, change, valueIn }] of Object.entries(resources)) {
  const reader = readers[0]!
  const versionNow = async (): Promise<number> => (await reader.get(path)).body.version

  t.test(`${kind}: the ETag is the version, the same for every caller, and moves with each change`, async (t) => {
    for (const who of readers) {
      const { headers, body } = await who.get(path)
      t.equal(headers.etag, `"${body.version}"`)
      t.equal(headers['cache-control'], 'no-store')
    }
    const before = await versionNow()
    const value = newValue()
    const changed = await change({}, value)
    t.match(changed, { status: 200, headers: { etag: `"${before + 1}"` }, body: { version: before + 1 } })
    const same = await change({}, value)
    t.match(same, { status: 200, headers: { etag: `"${before + 1}"` } }, 'what changes nothing moves nothing')
  })

  t.test(`${kind}: If-None-Match answers 304 for the version at hand, and the resource for any other`, async (t) => {
    const version = await versionNow()
    for (const tag of [`"${version}"`, `W/"${version}"`, '*', `"0", "${version}"`, `"x",W/"${version}"`, ` "${version}" `]) {
      for (const method of ['GET', 'HEAD'] as const) {
        const reply = await service.app.inject({ method, url: path, headers: { authorization: `Bearer ${reader.token}`, 'if-none-match': tag } })
        t.match({ status: reply.statusCode, body: reply.body, etag: reply.headers.etag, store: reply.headers['cache-control'] }, { status: 304, body: '', etag: `"${version}"`, store: 'no-store' }, `${method} ${tag}`)
      }
    }
    for (const tag of [`"${version + 1}"`, `"${version - 1}"`, `${version}`, '""', '', `w/"${version}"`, `"${version}`, `"${version}"x`, `"0${version}"`, '"*"']) {
      t.match(await reader.get(path, { 'if-none-match': tag }), { status: 200, body: { version }, headers: { etag: `"${version}"` } }, tag)
    }
    t.match(await reader.get(path, { 'if-none-match': 'x'.repeat(201) }), { status: 400, body: { code: 'validation_failed', errors: [{ parameter: 'if-none-match' }] } })
  })

  t.test(`${kind}: If-Match lets a change through for the version at hand only`, async (t) => {
    const version = await versionNow()
    const kept = valueIn((await reader.get(path)).body)
    for (const tag of [`"${version + 1}"`, `"${version - 1}"`, `W/"${version}"`, `${version}`, '""', '', '"0"', `"${version}`, `"${version - 1}", "${version + 1}"`]) {
      t.match(await change({ 'if-match': tag }, newValue()), { status: 412, body: { code: 'version_mismatch' } }, tag)
    }
    t.match((await reader.get(path)).body, { version })
    t.equal(valueIn((await reader.get(path)).body), kept, 'refused changes changed nothing')
    for (const tagOf of [(now: number) => `"${now}"`, (now: number) => `"x", "${now}"`, () => '*']) {
      const now = await versionNow()
      t.match(await change({ 'if-match': tagOf(now) }, newValue()), { status: 200, body: { version: now + 1 } }, tagOf(now))
    }
    t.match(await change({ 'if-match': 'x'.repeat(201) }, newValue()), { status: 400, body: { code: 'validation_failed' } })
  })

  t.test(`${kind}: of simultaneous changes of one version exactly one wins`, async (t) => {
    const version = await versionNow()
    const answers = await Promise.all(Array.from({ length: 6 }, () => change({ 'if-match': `"${version}"` }, newValue())))
    t.strictSame(answers.map(({ status }) => status).toSorted((a, b) => a - b), [200, 412, 412, 412, 412, 412])
    t.equal(valueIn((await reader.get(path)).body), valueIn(answers.find(({ status }) => status === 200)!.body))
  })
}

t.test('a reveal is never answered with 304: it is written down, so it must be given', async (t) => {
  for (const path of ['/v1/users/ann', `/v1/users/ann/contact-methods/${methodId}`]) {
    const { headers } = await boss.get(path)
    t.match(await boss.get(`${path}?reveal=true`, { 'if-none-match': headers.etag as string }), { status: 200, headers: { etag: headers.etag } }, path)
    t.match(await boss.get(path, { 'if-none-match': headers.etag as string }), { status: 304 })
  }
})

t.test('If-Match on a user who is not there is 412 and makes nobody', async (t) => {
  for (const tag of ['*', '"0"', '"1"', '']) {
    t.match(await boss.put('/v1/users/nobody', {}, { 'if-match': tag }), { status: 412, body: { code: 'version_mismatch' } }, tag)
    t.equal((await boss.get('/v1/users/nobody')).status, 404)
  }
})

t.test('a removal honours If-Match', async (t) => {
  const { body: email } = await ann.post('/v1/users/me/contact-methods', { kind: 'alternateEmail', value: 'ann@example.org' })
  const path = `/v1/users/me/contact-methods/${email.id}`
  for (const tag of ['"0"', '"2"', 'W/"1"', '1']) t.match(await ann.delete(path, { 'if-match': tag }), { status: 412, body: { code: 'version_mismatch' } }, tag)
  t.equal((await ann.get(path)).status, 200)
  t.equal((await ann.delete(path, { 'if-match': '"1"' })).status, 204)
  t.match(await ann.delete(path, { 'if-match': '"1"' }), { status: 404 }, 'gone is gone, whatever its version was')
})

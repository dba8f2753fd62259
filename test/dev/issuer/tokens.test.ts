import t from 'tap'
import { apiOrigin, audience, basic, now, testIssuer } from '../../support/development-issuer.ts'

const appScopes = 'users:read users:write sign-in:read challenges:write contact-methods:read contact-methods:write ' +
  'contact-methods:reveal mfa-resets:write events:read audit:read imports:write'

t.test('client credentials', async (t) => {
  const { post, verify, browser, authorization } = await testIssuer(t)
  const body = { grant_type: 'client_credentials' }

  t.test('give the demo app a token of tenant demo with all scopes', async (t) => {
    const response = await post(body, basic('demo-app', 'demo-app-secret'))
    t.equal(response.status, 200)
    const answer = await response.json() as { access_token: string, scope: string }
    const claims = await verify(answer.access_token)
    t.match(claims, { sub: 'demo-app', client_id: 'demo-app', tenant: 'demo', scope: appScopes, aud: audience })
    t.equal(answer.scope, appScopes)
    for (const ofPeople of ['roles', 'auth_time', 'amr']) t.notOk(ofPeople in claims, `an app has no ${ofPeople}`)
  })

  t.test('give only the scopes that were asked for, where some were', async (t) => {
    const { access_token: token } = await (await post({ ...body, scope: 'users:read' }, basic('demo-app', 'demo-app-secret'))).json() as { access_token: string }
    t.equal((await verify(token))['scope'], 'users:read')
  })

  t.test('are refused with a wrong secret, without one, and to Swagger UI', async (t) => {
    t.equal((await post(body, basic('demo-app', 'wrong'))).status, 401)
    t.equal((await post({ ...body, client_id: 'demo-app' })).status, 401)
    const swagger = await post({ ...body, client_id: 'latchkey-swagger-ui' })
    t.match({ status: swagger.status, ...await swagger.json() as object }, { status: 400, error: 'invalid_request' })
  })

  t.test('do not let the demo app sign people in', async (t) => {
    const { response, url } = await browser().follow(authorization({ client_id: 'demo-app' }).url)
    t.ok(response?.status === 400 || url.searchParams.has('error'))
  })
})

t.test('POST /dev/tokens', async (t) => {
  const { issuer, devToken, devClaims, tenants, verify } = await testIssuer(t)
  const person = { tenant: 'acme', subject: 'alice', kind: 'person' }
  const app = { tenant: 'acme', subject: 'payroll', kind: 'app' }

  t.test('gives a person who has just signed in with a second factor an hour', async (t) => {
    const before = now()
    const response = await devToken(person)
    t.equal(response.status, 200)
    t.equal(response.headers.get('cache-control'), 'no-store')
    t.equal(response.headers.get('access-control-allow-origin'), '*')
    const answer = await response.json() as { accessToken: string, expiresIn: number }
    t.same(Object.keys(answer), ['accessToken', 'expiresIn'])
    t.equal(answer.expiresIn, 3600)
    const claims = await verify(answer.accessToken)
    t.match(claims, { iss: issuer, sub: 'alice', aud: audience, tenant: 'acme', roles: ['user'], amr: ['pwd', 'mfa'], client_id: 'latchkey-dev' })
    t.ok(Number(claims['auth_time']) >= before && Number(claims['auth_time']) <= now())
    t.equal(claims.exp! - claims.iat!, 3600)
    t.notOk('scope' in claims)
    t.not(claims.jti, (await devClaims(person)).jti)
  })

  t.test('gives an app a token whose subject is its client', async (t) => {
    const claims = await devClaims(app)
    t.match(claims, { sub: 'payroll', client_id: 'payroll', tenant: 'acme', aud: audience })
    for (const absent of ['roles', 'scope', 'auth_time', 'amr']) t.notOk(absent in claims, `no ${absent}`)
    const asked = await devClaims({ ...app, scopes: ['users:read', 'sign-in:read'], roles: ['auditor'], amr: ['pwd'], authTime: 1 })
    t.equal(asked['scope'], 'users:read sign-in:read')
    for (const absent of ['roles', 'auth_time', 'amr']) t.notOk(absent in asked, `no ${absent}, even if asked for`)
  })

  t.test('does as it is told in every field', async (t) => {
    t.same((await devClaims({ ...person, roles: ['helpdesk', 'auditor'] }))['roles'], ['helpdesk', 'auditor'])
    t.same((await devClaims({ ...person, roles: [] }))['roles'], [])
    t.equal((await devClaims({ ...person, scopes: ['users:read', 'users:read'] }))['scope'], 'users:read')
    t.equal((await devClaims({ ...person, authTime: '2026-01-02T03:04:05.678+01:00' }))['auth_time'], Date.UTC(2026, 0, 2, 2, 4, 5) / 1000)
    t.equal((await devClaims({ ...person, authTime: 1_700_000_000 }))['auth_time'], 1_700_000_000)
    t.same((await devClaims({ ...person, amr: ['pwd'] }))['amr'], ['pwd'])
    t.same((await devClaims({ ...person, amr: [] }))['amr'], [])
    t.equal((await devClaims({ ...person, audience: 'other' }, 'other')).aud, 'other')
    t.same((await devClaims({ ...person, audience: ['other', audience] })).aud, ['other', audience])
    for (const expiresIn of [1, 86_400]) {
      const claims = await devClaims({ ...person, expiresIn })
      t.equal(claims.exp! - claims.iat!, expiresIn)
    }
    t.equal((await (await devToken({ ...person, expiresIn: 60 })).json() as { expiresIn: number }).expiresIn, 60)
  })

  t.test('never makes an app of a person', async (t) => {
    for (const subject of ['latchkey-dev', 'latchkey-dev-client', 'a', '...', 'A.z_0@|:+=-', 'x'.repeat(128)]) {
      const claims = await devClaims({ ...person, subject })
      t.equal(claims.sub, subject)
      t.not(claims['client_id'], claims.sub)
    }
  })

  t.test('makes the tenant before it gives the token, and none for a request it refuses', async (t) => {
    tenants.length = 0
    await devClaims({ ...person, tenant: 'new-one' })
    await devToken({ ...person, tenant: 'refused', roles: ['root'] })
    t.same(tenants, ['new-one'])
  })

  for (const [what, change, pointer, code] of [
    ['an unknown field', { role: 'user' }, '/role', 'unknown_field'],
    ['a field whose name needs escaping', { 'a/b~c': 1 }, '/a~1b~0c', 'unknown_field'],
    ['no tenant', { tenant: undefined }, '/tenant', 'required'],
    ['no subject', { subject: undefined }, '/subject', 'required'],
    ['no kind', { kind: undefined }, '/kind', 'required'],
    ['null', { tenant: null }, '/tenant', 'wrong_type'],
    ['a number for a tenant', { tenant: 1 }, '/tenant', 'wrong_type'],
    ['a tenant in capitals', { tenant: 'Acme' }, '/tenant', 'invalid_format'],
    ['a tenant that starts with a dash', { tenant: '-acme' }, '/tenant', 'invalid_format'],
    ['a tenant of 64 characters', { tenant: 'a'.repeat(64) }, '/tenant', 'invalid_format'],
    ['a tenant with a line break', { tenant: 'acme\n' }, '/tenant', 'invalid_format'],
    ['the subject me', { subject: 'me' }, '/subject', 'invalid_format'],
    ['the subject .', { subject: '.' }, '/subject', 'invalid_format'],
    ['the subject ..', { subject: '..' }, '/subject', 'invalid_format'],
    ['an empty subject', { subject: '' }, '/subject', 'invalid_format'],
    ['a subject of 129 characters', { subject: 'x'.repeat(129) }, '/subject', 'invalid_format'],
    ['a subject with a slash', { subject: 'a/b' }, '/subject', 'invalid_format'],
    ['an unknown kind', { kind: 'robot' }, '/kind', 'unknown_value'],
    ['an unknown role', { roles: ['user', 'root'] }, '/roles/1', 'unknown_value'],
    ['a role alone', { roles: 'user' }, '/roles', 'wrong_type'],
    ['an unknown scope', { scopes: ['users:delete'] }, '/scopes/0', 'unknown_value'],
    ['a time without its zone', { authTime: '2026-01-02T03:04:05' }, '/authTime', 'invalid_format'],
    ['a leap second', { authTime: '2016-12-31T23:59:60Z' }, '/authTime', 'invalid_format'],
    ['a time in milliseconds', { authTime: Date.now() }, '/authTime', 'out_of_range'],
    ['a time before 1970', { authTime: -1 }, '/authTime', 'out_of_range'],
    ['a time that is neither', { authTime: true }, '/authTime', 'wrong_type'],
    ['a method that is no string', { amr: [1] }, '/amr/0', 'wrong_type'],
    ['a method with a space', { amr: ['p w d'] }, '/amr/0', 'invalid_format'],
    ['an empty audience', { audience: '' }, '/audience', 'out_of_range'],
    ['no audience in a list', { audience: [] }, '/audience', 'out_of_range'],
    ['an audience that is no string', { audience: [1] }, '/audience/0', 'wrong_type'],
    ['a life of 0 s', { expiresIn: 0 }, '/expiresIn', 'out_of_range'],
    ['a life over a day', { expiresIn: 86_401 }, '/expiresIn', 'out_of_range'],
    ['half a second', { expiresIn: 1.5 }, '/expiresIn', 'wrong_type'],
    ['a life in words', { expiresIn: '60' }, '/expiresIn', 'wrong_type'],
  ] as const) {
    t.test(`refuses ${what}`, async (t) => {
      const response = await devToken({ ...person, ...change })
      t.equal(response.status, 400)
      t.equal(response.headers.get('content-type'), 'application/problem+json; charset=utf-8')
      const { errors } = await response.json() as { errors: object[] }
      t.match(errors, [{ pointer, code, message: String }])
      t.equal(errors.length, 1)
    })
  }

  t.test('names everything that is wrong at once, as a problem', async (t) => {
    t.match(await (await devToken({ kind: 'robot' })).json(), {
      type: '/problems/validation_failed', title: String, status: 400, detail: String, code: 'validation_failed',
      errors: [{ pointer: '/tenant', message: String }, { pointer: '/subject' }, { pointer: '/kind', message: 'must be one of person, app' }],
    })
  })

  for (const [what, body] of [['nothing', ''], ['half a document', '{"tenant":'], ['a byte order mark', '\ufeff{}']] as const) {
    t.test(`refuses ${what} as malformed`, async (t) => {
      const response = await devToken(body)
      t.match({ ...await response.json() as object, status: response.status }, { status: 400, code: 'malformed_body' })
    })
  }

  t.test('refuses bytes that are not UTF-8', async (t) => {
    const response = await fetch(`${issuer}/dev/tokens`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: Buffer.from([0x22, 0xff, 0x22]) })
    t.match(await response.json(), { code: 'malformed_body' })
  })

  for (const body of ['[]', '"text"', 'null', '1']) {
    t.test(`refuses ${body}, which is no object`, async (t) => {
      t.match(await (await devToken(body)).json(), { status: 400, code: 'validation_failed', errors: [{ pointer: '', code: 'wrong_type' }] })
    })
  }

  t.test('takes 16 KiB and not one byte more', async (t) => {
    const fill = (bytes: number) => JSON.stringify(person).padEnd(bytes, ' ')
    t.equal((await devToken(fill(16_384))).status, 200)
    for (const bytes of [16_385, 900_000]) {
      const response = await devToken(fill(bytes))
      t.match({ ...await response.json() as object, status: response.status }, { status: 413, code: 'body_too_large' })
    }
  })

  t.test('takes JSON only', async (t) => {
    const response = await devToken(person, { 'content-type': 'text/plain' })
    t.match({ ...await response.json() as object, status: response.status }, { status: 415, code: 'unsupported_media_type' })
    t.equal((await devToken(person, { 'content-type': 'application/json; charset=utf-8' })).status, 200)
  })

  for (const method of ['GET', 'PUT', 'DELETE', 'PATCH']) {
    t.test(`answers ${method} with what it allows`, async (t) => {
      const response = await fetch(`${issuer}/dev/tokens`, { method })
      t.equal(response.headers.get('allow'), 'POST, OPTIONS')
      t.match({ ...await response.json() as object, status: response.status }, { status: 405, code: 'method_not_allowed' })
    })
  }

  t.test('may be called by a page of any origin', async (t) => {
    const response = await fetch(`${issuer}/dev/tokens`, { method: 'OPTIONS', headers: { origin: apiOrigin, 'access-control-request-method': 'POST' } })
    t.equal(response.status, 204)
    t.equal(response.headers.get('access-control-allow-origin'), '*')
    t.equal(response.headers.get('access-control-allow-headers'), 'content-type')
  })

  t.test('is fast enough to be asked for every test', async (t) => {
    const batches: number[] = []
    for (let batch = 0; batch < 10; batch++) {
      const began = performance.now()
      for (let count = 0; count < 20; count++) await (await devToken(person)).json()
      batches.push((performance.now() - began) / 20)
    }
    const each = Math.min(...batches) // in the others the machine was busy with something else as well
    t.comment(`${each.toFixed(2)} ms each`)
    t.ok(each < 10)
  })
})

t.test('a tenant that cannot be made is 503, and the log says why without the token', async (t) => {
  const { devToken, logged } = await testIssuer(t, { ensureTenant: async () => { throw new Error('database away') } })
  const response = await devToken({ tenant: 'acme', subject: 'alice', kind: 'person' })
  t.match({ ...await response.json() as object, status: response.status }, { status: 503, code: 'unavailable' })
  t.match(logged.at(-1), /tenant acme.*database away/)
})

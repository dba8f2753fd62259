import t from 'tap'
import { contentsOf, fitsEveryProblem } from '../../support/edge.ts'
import { testService } from '../../support/service.ts'
import { exchange, listen, requestText, type Reply } from '../../support/socket.ts'

const service = await testService(t)
const tenant = await service.tenant()
const port = await listen(service.app)
const { token } = await service.as({ tenant, subject: 'boss', roles: ['privilegedAdmin', 'policyAdmin', 'auditor'] })
const authorization = `Bearer ${token}`
const json = { authorization, 'content-type': 'application/json' }
const ask = async (method: string, target: string, headers: Record<string, string> = { authorization }, body = ''): Promise<Reply> =>
  (await exchange(port, requestText(method, target, headers, body)))[0]!
await ask('GET', '/v1/users/me')
const before = await contentsOf(service)

const id = crypto.randomUUID()
interface Documented { requestBody?: { content: { 'application/json': { example: unknown } } } }
const templates = Object.entries(service.app.swagger().paths as Record<string, Record<string, Documented>>).map(([path, item]) => ({
  path, methods: Object.keys(item).map((method) => method.toUpperCase()),
  bodies: Object.fromEntries(Object.entries(item).map(([method, { requestBody }]) => [method, requestBody && JSON.stringify(requestBody.content['application/json'].example)])),
}))
const documented = templates.map(({ path, ...rest }) => ({ path: path.replace('{userId}', 'bob').replace('{prefix}', '1415555').replace(/\{\w+\}/g, id), ...rest }))
/** A fixed path may fit a template as well: someone may be called "search". */
const methodsOf = (path: string, own: string[]) => [...new Set([...own, ...templates.filter((one) => new RegExp(`^${one.path.replace(/\{\w+\}/g, '[^/]+')}$`).test(path)).flatMap((one) => one.methods)])]
const undocumented = ['/health/live', '/health/ready', '/openapi.json', '/problems', '/problems/not_found', '/problems/style.css'].map((path) => ({ path, methods: ['GET'] }))

t.test('a known path with another method is 405 and says exactly which it answers, whatever the body', async (t) => {
  t.ok(documented.length > 12)
  for (const { path, methods } of [...documented, ...undocumented]) {
    const all = methodsOf(path, methods)
    const allow = (all.includes('GET') ? [...all, 'HEAD'] : all).toSorted().join(', ')
    for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'QUERY', 'PROPFIND', 'PURGE', 'LOCK', 'MKCOL'].filter((one) => !allow.split(', ').includes(one))) {
      const reply = await ask(method, path, { 'content-type': 'text/plain' }, method === 'HEAD' || method === 'TRACE' ? '' : '{')
      t.equal(reply.status, 405, `${method} ${path}`)
      t.equal(reply.headers.get('allow'), allow, `${method} ${path}: Allow`)
      if (method === 'HEAD') continue
      t.equal(reply.body.code, 'method_not_allowed')
      fitsEveryProblem(t, reply, `${method} ${path}`)
    }
  }
  t.equal((await ask('POST', '/%761/policy')).headers.get('allow'), 'GET, HEAD, PATCH', 'however the path is spelled')
  t.equal((await ask('POST', 'http://elsewhere.test/v1/policy?a=b')).headers.get('allow'), 'GET, HEAD, PATCH', 'in absolute form')
})

t.test('an unknown path is 404, whatever the method and body, and with or without a token', async (t) => {
  for (const path of ['/', '/v1', '/v1/', '/v2/users/me', '/v1/user', '/v1/users/me/', '/v1//users/me', '//v1/users/me', '/v1/users/me/devices', '/V1/users/me', '/v1/users/../policy', '/v1/../../etc/passwd', '/v1%2fusers/me', '/health', '/.env', '/docs/../package.json', '/problems/nope', '/v1/contact-methods', '*']) {
    for (const [method, headers, body] of [['GET', {}, ''], ['GET', { authorization }, ''], ['POST', { ...json }, '{'], ['DELETE', {}, ''], ['OPTIONS', {}, ''], ['PUT', { 'content-type': 'text/plain' }, 'x'], ['PROPFIND', {}, '']] as const) {
      if (path === '/problems/nope' && method !== 'GET') continue
      const reply = await ask(method, path, headers, body)
      t.match(reply, { status: 404, body: { code: 'not_found' } }, `${method} ${path}`)
      fitsEveryProblem(t, reply, `${method} ${path}`)
    }
  }
  const head = await ask('HEAD', '/v1/nope')
  t.match(head, { status: 404, text: '' })
  t.match(head.headers.get('content-type'), 'application/problem+json')
})

t.test('HEAD answers like GET, without a body', async (t) => {
  for (const path of ['/v1/users/me', '/v1/users/bob', '/v1/policy', '/v1/users?limit=0', '/health/live', '/openapi.json']) {
    const [get, head] = [await ask('GET', path), await ask('HEAD', path)]
    t.equal(head.status, get.status, path)
    t.equal(head.text, '')
    for (const name of ['content-type', 'etag', 'cache-control']) t.equal(head.headers.get(name), get.headers.get(name), `${path}: ${name}`)
  }
  t.equal((await ask('HEAD', '/v1/users/me', {})).status, 401)
})

t.test('a path or query that cannot be read is 400 malformed_url', async (t) => {
  const broken = ['%zz', '%', '%f', '%ff', '%c0%80', '%ed%a0%80', '%00', 'a%00b', '%u0041', 'a%2', '%e2%82']
  const targets = [
    ...broken.flatMap((text) => [`/v1/users/${text}`, `/v1/users/${text}/contact-methods`, `/v1/users?search=${text}`, `/v1/users?${text}=1`, `/v1/nope/${text}`, `/${text}`]),
    `/v1/users/${'a'.repeat(513)}`, `/v1/users/${'a'.repeat(5_000)}`, `/v1/users/${'%41'.repeat(600)}`, `/v1/challenges/${'1'.repeat(600)}/verify`,
  ]
  for (const target of targets) {
    for (const [name, headers] of [['with', { authorization }], ['without', {}]] as const) {
      const reply = await ask('GET', target, headers)
      if (target.includes('/verify')) t.ok([400, 405].includes(reply.status))
      else t.match(reply, { status: 400, body: { code: 'malformed_url' } }, `${target.slice(0, 60)} ${name} a token`)
      fitsEveryProblem(t, reply, target.slice(0, 60))
    }
  }
})

t.test('a path or query that does not fit is 400 validation_failed, and names the parameter', async (t) => {
  const unfit: Record<string, string[]> = {
    userId: ['/v1/users/', ...['a'.repeat(129), 'a'.repeat(400), 'a'.repeat(512), '..', '.', '%2e%2e', 'a%2Fb', 'a%20b', 'a%0d%0ab', 'a%3Fb', '%F0%9F%98%80', '%27%20or%201=1--', 'a%25b', 'ann%23', 'ann;x', 'a,b', '~', '$', '*'].map((name) => `/v1/users/${name}`)],
    methodId: ['', '1', 'me', '%27', `${id}0`, id.replaceAll('-', ''), `%7B${id}%7D`, `urn:uuid:${id}`].map((name) => `/v1/users/bob/contact-methods/${name}`),
    challengeId: ['1', '0', id.slice(1), `g${id.slice(1)}`].map((name) => `/v1/challenges/${name}`),
    limit: ['0', '201', '-1', '1.5', 'x', '', '1,2', 'NaN', 'Infinity', '1e999', 'null', 'true', '1&limit=2', '%EF%BC%91', '99999999999999999999', '0x10', '1e1', '%205', '5%20', '+5', '05', '1_0', '-Infinity'].map((value) => `/v1/users?limit=${value}`),
    reveal: ['yes', '', 'TRUE', '1&reveal=0', 'null'].map((value) => `/v1/users/bob?reveal=${value}`),
    search: ['', 'a&search=b', 'a'.repeat(201)].map((value) => `/v1/users?search=${value}`),
    waitSeconds: ['Infinity', '1e999', '11', '-1', 'x', 'NaN'].map((value) => `/v1/sandbox/messages?waitSeconds=${value}`),
    from: ['yesterday', '2026', '2026-13-01T00:00:00Z', '2026-02-30T00:00:00Z', '2026-11-22%2009:30', ''].map((value) => `/v1/audit-events?from=${value}`),
  }
  for (const [parameter, targets] of Object.entries(unfit)) {
    for (const target of targets) {
      const reply = await ask('GET', target)
      t.match(reply, { status: 400, body: { code: 'validation_failed' } }, target)
      t.ok(reply.body.errors?.some((fault: { parameter?: string }) => fault.parameter?.startsWith(parameter)), `${target} names ${parameter}: ${JSON.stringify(reply.body.errors)}`)
      fitsEveryProblem(t, reply, target)
    }
  }
})

t.test('a query parameter that an operation does not know is refused, not dropped', async (t) => {
  for (const { path, methods, bodies } of documented) {
    for (const method of methods) {
      for (const [query, name] of [['surprise=1', 'surprise'], ['__proto__=1', '__proto__'], ['limit[]=1', 'limit[]'], ['constructor[prototype]=1', 'constructor[prototype]'], ['=1', '']] as const) {
        const reply = await ask(method, `${path}?${query}`, json, bodies[method.toLowerCase()])
        t.match(reply, { status: 400, body: { code: 'validation_failed', errors: [{ parameter: name, code: 'unknown_field' }] } }, `${method} ${path}?${query}`)
      }
    }
  }
})

t.test('names of every allowed character, and of 128, are found missing and not misread', async (t) => {
  for (const name of ['a', 'A.b_c@d|e:f+g=h-i', 'auth0%7C123', 'a'.repeat(128), '0', '-', '...', 'me.', 'ME', 'constructor', '__proto__', 'null', 'undefined', 'nan@example.org']) {
    const reply = await ask('GET', `/v1/users/${name}`)
    t.match(reply, { status: 404, body: { code: 'not_found' } }, name)
  }
})

t.test('all of this changed nothing, and every line of the log is one JSON object without a URL', async (t) => {
  t.equal(await contentsOf(service), before)
  for (const line of service.logged()) {
    t.ok(line.endsWith('\n') && line.indexOf('\n') === line.length - 1)
    t.type(JSON.parse(line), 'object')
    t.notMatch(line, /surprise|passwd|elsewhere|undeclared/)
  }
  t.notOk(service.logged().some((line) => /"level":"(warn|error|fatal)"/.test(line)))
})

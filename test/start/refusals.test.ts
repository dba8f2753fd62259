import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { ConfigurationError, readConfig } from '../../src/config.ts'
import { isPostmaster } from '../../src/platform/db/embedded/processes.ts'
import { dataDirectory, postmasterOf, run, startService, type Environment } from '../support/process.ts'

t.test('a value that is not valid is named, never shown', async (t) => {
  const cases: Array<[name: string, value: string, message: RegExp]> = [
    ['PORT', 'canary', /PORT must be integer/],
    ['PORT', '70123', /PORT must be <= 65535/],
    ['ADMIN_TOKEN_MAX_SECONDS', '7', /ADMIN_TOKEN_MAX_SECONDS must be >= 30/],
    ['SANDBOX', 'canary', /SANDBOX must be equal to one of the allowed values/],
    ['LATCHKEY_LEAK', 'canary', /LATCHKEY_LEAK must be equal to constant/],
    ['LOG_LEVEL', 'canary', /LOG_LEVEL must be equal to one of the allowed values/],
    ['ISSUERS', '[canary', /ISSUERS is not valid JSON/],
    ['ISSUERS', '[{"issuer":"canary"}]', /ISSUERS \[0\] needs/],
    ['DATABASE_URL', 'canary', /DATABASE_URL must be the address of a database/],
    ['SERVICE_DATABASE_URL', 'http://canary/x', /SERVICE_DATABASE_URL must be the address of a database/],
    ...['canary', 'ftp://canary.example', 'https://canary.example/path', 'https://canary.example?x', 'https://a:canary@host.example', 'https://host.example#canary']
      .map((value) => ['PUBLIC_URL', value, /PUBLIC_URL must be an origin/] satisfies [string, string, RegExp]),
    ['TRUSTED_PROXIES', '10.0.0.0/8,canary', /TRUSTED_PROXIES must name addresses or CIDR ranges/],
    ['TRUSTED_PROXIES', '10.0.0.0/99', /TRUSTED_PROXIES must name addresses or CIDR ranges/],
  ]
  for (const [name, value, message] of cases) {
    const error = caught(() => readConfig({ [name]: value }))
    t.ok(error instanceof ConfigurationError, name)
    t.match(error?.message, message)
    t.notMatch(error?.message, /canary|70123/)
  }

  const directory = dataDirectory(t)
  for (const [name, value, message] of [['PORT', 'canary', /PORT must be integer/], ['KEY_RING', '1:canary', /KEY_RING must be "version:base64" entries/]] as const) {
    const { code, output } = await run(t, ['src/main.ts'], { PORT: '0', DATA_DIR: directory, [name]: value })
    t.equal(code, 1)
    t.match(output, message)
    t.notMatch(output, /canary|\n\s+at /)
  }
})

t.test('PUBLIC_URL is an origin, without a slash at its end', async (t) => {
  for (const [given, read] of [['https://mfa.example.com', 'https://mfa.example.com'], ['https://mfa.example.com/', 'https://mfa.example.com'], ['http://localhost:3000', 'http://localhost:3000'], ['HTTPS://MFA.example.com:443', 'https://mfa.example.com']]) {
    t.equal(readConfig({ PUBLIC_URL: given }).publicUrl, read)
  }
  t.equal(readConfig({}).publicUrl, null)
})

function caught (work: () => unknown): Error | undefined {
  try {
    work()
  } catch (error) {
    return error as Error
  }
  return undefined
}

t.test('a port that is taken', async (t) => {
  const directory = dataDirectory(t)
  const { port } = await squatter(t)
  for (const env of [{ PORT: String(port), DEV_ISSUER_PORT: '0' }, { PORT: '0', DEV_ISSUER_PORT: String(port) }] satisfies Environment[]) {
    const { code, output } = await run(t, ['src/main.ts'], { ...env, DATA_DIR: directory })
    t.equal(code, 1)
    t.match(output, new RegExp(`The service could not start: listen EADDRINUSE: address already in use 127.0.0.1:${port}`))
    t.notMatch(output, /\n\s+at /)
    t.throws(() => postmasterOf(directory), { code: 'ENOENT' }, 'the database it had started is stopped again')
  }
})

t.test('a database that does not answer', async (t) => {
  const { code, output } = await run(t, ['src/main.ts'], { PORT: '0', DATA_DIR: dataDirectory(t), DATABASE_URL: 'postgres://owner:canary@localhost:1/latchkey' })
  t.equal(code, 1)
  t.match(output, /The service could not start: connect ECONNREFUSED/)
  t.notMatch(output, /canary|\n\s+at /)
})

t.test('told to stop before it is ready, it starts to the end and stops', async (t) => {
  const directory = dataDirectory(t)
  const service = await startService(t, { env: { DATA_DIR: directory }, until: /Postgres started/ })
  const postmaster = postmasterOf(directory)
  t.equal(await service.stop(), 0)
  t.notOk(isPostmaster(postmaster))
})

async function squatter (t: Test): Promise<AddressInfo> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => { server.close() })
  return server.address() as AddressInfo
}

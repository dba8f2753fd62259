import t, { type Test } from 'tap'
import { parseKeyRing } from '../../src/platform/keys.ts'
import { asOwner } from '../support/cluster.ts'
import { testKeyRingText } from '../support/keys.ts'
import { dataDirectory, run, type Environment } from '../support/process.ts'
import { makeContactMethod, ownDatabase, productionEnvironment } from '../support/production.ts'

const ops = (t: Test, words: string[], env: Environment = {}) => run(t, ['src/ops/main.ts', ...words], env)
const issuers = JSON.stringify([{ issuer: 'https://id.example.com', jwksUri: 'https://id.example.com/jwks', audience: 'latchkey' }])

t.test('a wrong word is answered with the usage and exit code 2', async (t) => {
  for (const [words, fault] of [
    [[], 'Which command?'],
    [['tenant', 'destroy'], 'There is no command "tenant destroy".'],
    [['tenant', 'create'], 'tenant create: <slug> is missing'],
    [['check', '--fast'], 'check: Unknown option \'--fast\''],
  ] as const) {
    const { code, output, answer } = await ops(t, [...words])
    t.equal(code, 2)
    t.match(output, fault)
    t.match(output, 'Usage: npm run ops -- <command>')
    t.equal(answer, '', 'nothing on standard output')
  }
  const help = await ops(t, ['--help'])
  t.equal(help.code, 0)
  for (const command of ['migrate', 'tenant create <slug>', 'pass <tenant> <userId>', 'check', 'service-url', 'key-ring new']) t.match(help.answer, command)
})

t.test('from an empty database to a tenant in production', async (t) => {
  const database = await ownDatabase(t)
  const owner = { NODE_ENV: 'production', DATABASE_URL: database.ownerUrl, KEY_RING: testKeyRingText }
  const service = productionEnvironment(database.serviceUrl, issuers)
  const check = async (env: Environment = service) => {
    const { code, answer } = await ops(t, ['check'], env)
    const failed = answer.split('\n').filter((line) => line.startsWith('FAIL'))
    t.equal(code, failed.length > 0 ? 1 : 0)
    return { failed, answer }
  }

  t.match((await ops(t, ['tenant', 'create', 'acme', '--country', 'US', '--name', 'Acme'], owner)).output, 'Migrations are pending: 0001_foundation')
  t.match((await check()).failed, [/service, login: password authentication failed.*npm run migrate/])
  for (const answer of [/0001_foundation: success\n(?:.*: success\n)*The database is up to date/, /^The database is up to date/]) {
    const migrated = await ops(t, ['migrate'], owner)
    t.equal(migrated.code, 0)
    t.match(migrated.answer, answer)
  }
  t.match((await check()).answer, /^ok {4}keys: nothing is stored yet$/m)

  const made = await ops(t, ['tenant', 'create', 'acme', '--country', 'US', '--name', 'Acme Ltd'], owner)
  t.same([made.code, made.answer], [0, 'The tenant acme is made.\n'])
  const again = await ops(t, ['tenant', 'create', 'acme', '--country', 'DE', '--name', 'Other'], owner)
  t.same([again.code, again.answer], [1, 'The tenant acme is there already. Nothing was changed.\n'])
  t.match(await rows(database.ownerUrl, 'select slug, country, sandbox, name, default_country from tenants join organizations using (tenant_id)'),
    [{ slug: 'acme', country: 'US', sandbox: false, name: 'Acme Ltd', default_country: 'US' }])
  t.match(await rows(database.ownerUrl, 'select actor_kind, actor, action from audit_events'), [{ actor_kind: 'operator', actor: 'ops', action: 'tenant.created' }])
  for (const [words, fault] of [
    [['Acme!', '--country', 'US', '--name', 'Acme'], 'is no slug'],
    [['other', '--country', 'US'], 'needs --country <cc> and --name <name>'],
    [['other', '--country', 'US', '--name', 'Acme', '--sandbox'], 'SANDBOX=allowed'],
  ] as const) {
    const refused = await ops(t, ['tenant', 'create', ...words], owner)
    t.equal(refused.code, 1)
    t.match(refused.output, fault)
  }
  t.equal((await rows(database.ownerUrl, 'select 1 from tenants')).length, 1)

  await t.test('check says what is right', async (t) => {
    await makeContactMethod(database.ownerUrl, 'acme')
    const { failed, answer } = await check()
    t.same(failed, [])
    for (const line of ['configuration: production', 'key ring: versions 1, 2; new data is sealed under 2', 'service, role:', 'service, row-level security:', 'service, migrations:', 'service, durability:', 'worker, role:', 'sandbox: no sandbox tenants', 'keys: 2 sealed values opened and 2 audit rows verified']) {
      t.match(answer, `ok    ${line}`)
    }
  })

  await t.test('check names each fault', async (t) => {
    const ring = (versions: number[]) => testKeyRingText.split(',').filter((entry) => versions.includes(Number.parseInt(entry))).join()
    t.match((await check({ ...service, KEY_RING: ring([1]) })).failed, [/keys: 4 of the oldest and newest rows of tenant acme do not fit the key ring/])
    t.match((await check({ ...service, KEY_RING: ring([2]) })).failed, [/worker, login: password authentication failed/])
    t.match((await check({ ...service, ISSUERS: '' })).failed, [/configuration: the development issuer is not for production/])
    t.match((await check({ ...service, SERVICE_DATABASE_URL: database.ownerUrl })).failed, [/service, role: the role \w+ is a superuser/])
    await database.sql('alter table users no force row level security')
    t.match((await check()).failed, [/service, row-level security: .* users/])
    await database.sql('alter table users force row level security; update tenants set sandbox = true')
    t.match((await check()).failed, [/sandbox: .*SANDBOX=allowed/])
  })
})

t.test('only commands that say so print a secret, on standard output alone', async (t) => {
  const database = await ownDatabase(t)
  const env = { DATABASE_URL: database.ownerUrl, KEY_RING: testKeyRingText }
  const urls = await ops(t, ['service-url'], env)
  t.equal(urls.code, 0)
  const [service, worker] = urls.answer.trim().split('\n')
  t.equal(service, database.serviceUrl)
  t.match(worker, `${database.name}_worker`)
  t.match(urls.output, /^Secret: /m)

  const [one, two] = [await ops(t, ['key-ring', 'new']), await ops(t, ['key-ring', 'new', '--version', '2'])]
  t.equal(parseKeyRing(one.answer.trim()).newest, 1)
  t.equal(parseKeyRing(`${one.answer.trim()},${two.answer.trim()}`).newest, 2)
  t.match(one.output, /^Secret: /m)
  t.equal((await ops(t, ['key-ring', 'new', '--version', '65536'])).code, 1)

  const passwords = [new URL(service!).password, new URL(worker!).password, new URL(database.ownerUrl).password, ...testKeyRingText.split(',')]
  for (const words of [['migrate'], ['tenant', 'create', 'acme', '--country', 'US', '--name', 'Acme'], ['check']]) {
    const { output } = await ops(t, words, env)
    for (const secret of passwords) t.notMatch(output, secret)
  }
})

t.test('in development the commands use the embedded server, and end it', async (t) => {
  const env = { DATA_DIR: dataDirectory(t) }
  t.equal((await ops(t, ['migrate'], env)).code, 0)
  t.equal((await ops(t, ['tenant', 'create', 'acme', '--country', 'US', '--name', 'Acme', '--sandbox'], env)).code, 0)
  const { code, answer } = await ops(t, ['check'], env)
  t.equal(code, 0, answer)
  t.match(answer, 'ok    configuration: development')
})

const rows = async (ownerUrl: string, query: string) => (await asOwner(ownerUrl, (client) => client.query(query))).rows

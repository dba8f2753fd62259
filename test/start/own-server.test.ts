import t from 'tap'
import { startEmbeddedPostgres } from '../../src/platform/db/embedded/index.ts'
import { loginUrl } from '../../src/platform/db/roles.ts'
import { asOwner } from '../support/cluster.ts'
import { testKeyRingText } from '../support/keys.ts'
import { call, dataDirectory, developmentToken, eventually, run, startService, type ServiceProcess } from '../support/process.ts'
import { makeTenant, migrateAs, ownDatabase, productionEnvironment, productionIssuer, ring } from '../support/production.ts'

/** The story as far as a start can break it: add, send, verify. */
async function verifiesAPhone (service: ServiceProcess): Promise<void> {
  const token = await developmentToken(service)
  const speak = async (path: string, body?: unknown) => (await call(`${service.origin}${path}`, { token, body })).body
  const { id } = await speak('/v1/users/me/contact-methods', { kind: 'mobilePhone', value: '+1 (415) 555-0132' })
  const challenge = await speak('/v1/challenges', { userId: 'me', purpose: 'verifyContact', methodId: id })
  const { items: [message] } = await speak(`/v1/sandbox/messages?challengeId=${challenge.id}&waitSeconds=10`)
  const { status } = await speak(`/v1/challenges/${challenge.id}/verify`, { code: message.code })
  if (status !== 'approved') throw new Error(`verifying answered ${status}`)
}

/** What is 400 days old in a sandbox is dropped, which takes the owner's rights. */
async function dropsOldAudit (service: ServiceProcess): Promise<number> {
  const token = await developmentToken(service, { subject: 'demo-auditor', roles: ['auditor'] })
  await call(`${service.origin}/v1/sandbox/clock`, { token, method: 'PUT', body: { offsetSeconds: 401 * 86_400 } })
  const { body } = await call(`${service.origin}/v1/audit-events/verification`, { token })
  if (!body.intact) throw new Error(JSON.stringify(body))
  return body.checkpoint.events
}

t.test('with DATABASE_URL the service migrates that server and works as with its own', async (t) => {
  const database = await ownDatabase(t)
  const directory = dataDirectory(t)
  const service = await startService(t, { env: { DATABASE_URL: database.ownerUrl, KEY_RING: testKeyRingText, DATA_DIR: directory } })
  await t.resolves(verifiesAPhone(service))
  t.notMatch(service.output(), 'postgres:', 'no server of its own is started')
  t.equal(await service.stop(), 0)
})

t.test('an owner who is no superuser but may create roles is enough', async (t) => {
  const server = await startEmbeddedPostgres({ directory: `${dataDirectory(t)}/postgres`, log: () => undefined, supervise: false, settings: { fsync: 'off' } })
  const ownerUrl = new URL(server.url)
  ownerUrl.username = 'plain_owner'
  ownerUrl.password = 'plain'
  ownerUrl.pathname = '/plain'
  await asOwner(server.url, async (client) => {
    await client.query('create role plain_owner login createrole password \'plain\'')
    await client.query('create database plain owner plain_owner')
  })

  await t.test('with everything that a start does', async (t) => {
    const service = await startService(t, { env: { DATABASE_URL: ownerUrl.href, KEY_RING: testKeyRingText, DATA_DIR: dataDirectory(t) } })
    await t.resolves(verifiesAPhone(service))
    t.ok(await dropsOldAudit(service) > 5)
    t.equal(await service.stop(), 0)
  })

  await t.test('and a second database of the same server gets its own logins', async (t) => {
    await asOwner(server.url, (client) => client.query('create database other owner plain_owner'))
    const other = new URL(ownerUrl)
    other.pathname = '/other'
    await t.resolves(migrateAs(other.href))
  })

  await t.test('production refuses the owner, and a server whose fsync is off', async (t) => {
    const { setting } = await productionIssuer(t)
    const asTheOwner = await run(t, ['src/main.ts'], productionEnvironment(ownerUrl.href, setting))
    t.equal(asTheOwner.code, 1)
    t.match(asTheOwner.output, /the role plain_owner owns tables/)
    const unsafe = await run(t, ['src/main.ts'], productionEnvironment(loginUrl(ownerUrl.href, ring, 'service'), setting))
    t.equal(unsafe.code, 1)
    t.match(unsafe.output, 'fsync is off: an acknowledged change could be lost')
    t.notMatch(unsafe.output, 'synchronous_commit')
  })

  await t.test('an owner who may not create roles is told what another must run, and then goes on', async (t) => {
    await asOwner(server.url, async (client) => {
      await client.query('create role poor_owner login password \'poor\'')
      await client.query('create database poor owner poor_owner')
    })
    const poor = new URL(ownerUrl)
    poor.username = 'poor_owner'
    poor.password = 'poor'
    poor.pathname = '/poor'
    const env = { DATABASE_URL: poor.href, KEY_RING: testKeyRingText }
    const told = await run(t, ['src/ops/main.ts', 'migrate'], env)
    t.equal(told.code, 1)
    const statements = told.output.split('\n').filter((line) => /^ +(create|grant)/.test(line))
    t.ok(statements.length > 0)
    const { answer } = await run(t, ['src/ops/main.ts', 'service-url'], env)
    const logins = answer.trim().split('\n').map((line) => new URL(line))
    await asOwner(server.url, async (client) => {
      for (const statement of statements) await client.query(statement)
      for (const { username, password } of logins) await client.query(`alter role ${username} password '${password}'`)
    })
    t.equal((await run(t, ['src/ops/main.ts', 'migrate'], env)).code, 0)
    const { setting } = await productionIssuer(t)
    const checked = await run(t, ['src/ops/main.ts', 'check'], productionEnvironment(logins[0]!.href, setting))
    t.match(checked.answer, /^ok {4}service, role:.*/m)
    t.match(checked.answer, /^FAIL {2}service, durability: fsync is off/m)
    t.equal(checked.code, 1)
  })
  await server.stop()
})

t.test('with SERVICE_DATABASE_URL only it migrates nothing: it refuses while migrations are pending, and starts when they are done', async (t) => {
  const database = await ownDatabase(t)
  const { issuer, setting } = await productionIssuer(t)
  const env = { SERVICE_DATABASE_URL: database.serviceUrl, KEY_RING: testKeyRingText, ISSUERS: setting, DATA_DIR: dataDirectory(t) }
  await migrateAs(database.ownerUrl)
  await database.sql('create table latchkey_internal.done as table latchkey_internal.kysely_migration; delete from latchkey_internal.kysely_migration')
  const refused = await run(t, ['src/main.ts'], { ...env, PORT: '0' })
  t.equal(refused.code, 1)
  t.match(refused.output, /migrations are pending.*0001_foundation.*npm run migrate/)

  await database.sql('insert into latchkey_internal.kysely_migration select * from latchkey_internal.done')
  await makeTenant(database.ownerUrl, 'acme')
  const service = await startService(t, { env })
  await eventually(async () => (await call(`${service.origin}/v1/users/me/contact-methods`, { token: await issuer.tokenOf({ tenant: 'acme', subject: 'ann' }) })).status === 200)
  t.equal(await service.stop(), 0)
})

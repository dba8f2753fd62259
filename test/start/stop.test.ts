import { Agent, request } from 'node:http'
import t from 'tap'
import { dataDirectory, developmentToken, eventually, startService, call } from '../support/process.ts'
import { makeTenant, migrateAs, ownDatabase, productionEnvironment, productionIssuer } from '../support/production.ts'

const stopWithinMs = 25_000

t.test('SIGTERM under load: every request is answered well, what was accepted is kept, and the process ends with 0', async (t) => {
  const database = await ownDatabase(t)
  await migrateAs(database.ownerUrl)
  await makeTenant(database.ownerUrl, 'acme', true)
  const { issuer, setting } = await productionIssuer(t)
  const env = { ...productionEnvironment(database.serviceUrl, setting), SANDBOX: 'allowed' }
  const service = await startService(t, { env })
  const token = await issuer.tokenOf({ tenant: 'acme', subject: 'ann' })
  const first = await call(`${service.origin}/v1/users/me/contact-methods`, { token, body: { kind: 'mobilePhone', value: '+1 415 555 0132' } })

  // A balancer in small: it sends on open connections to a replica that says it is ready, and to no other.
  const balancer = new Agent({ keepAlive: true, maxSockets: 20 })
  t.teardown(() => balancer.destroy())
  const send = (method: string, path: string, body?: object) => new Promise<{ status: number, text: string }>((resolve, reject) => {
    const sent = request(`${service.origin}${path}`, { method, agent: balancer, headers: { authorization: `Bearer ${token}`, ...(body && { 'content-type': 'application/json' }) } }, (answer) => {
      let text = ''
      answer.on('data', (chunk) => { text += String(chunk) })
      answer.on('end', () => resolve({ status: answer.statusCode!, text }))
      answer.on('error', reject)
    })
    sent.on('error', reject)
    sent.end(body && JSON.stringify(body))
  })
  const replica = { ready: true }
  const watch = async () => { while (replica.ready) replica.ready = (await send('GET', '/health/ready').catch(() => ({ status: 0 }))).status === 200 }

  const failed: string[] = []
  let answered = 0
  let label = ''
  const judge = async (what: string, sending: Promise<{ status: number, text: string }>) => {
    const { status, text } = await sending.catch((error: Error) => ({ status: 0, text: error.message }))
    if (status === 200) answered++
    else failed.push(`${what}: ${status} ${text}`)
    return status === 200
  }
  const reader = async () => { while (replica.ready) await judge('read', send('GET', '/v1/users/me/contact-methods')) }
  const writer = async () => {
    for (let turn = 0; replica.ready; turn++) {
      if (await judge('write', send('PATCH', `/v1/users/me/contact-methods/${first.body.id}`, { label: `turn ${turn}` }))) label = `turn ${turn}`
    }
  }
  const load = [watch(), writer(), ...Array.from({ length: 8 }, reader)]
  const slow = judge('wait', send('GET', '/v1/sandbox/messages?channel=voice&waitSeconds=6'))
  await eventually(() => answered > 200)

  const toldAt = performance.now()
  service.signal('SIGTERM')
  const answeredBefore = answered
  await Promise.all([...load, slow])
  t.same(failed, [])
  t.comment(`${answered - answeredBefore} of ${answered} answers came after the signal`)
  t.ok(answered > answeredBefore, 'requests were under way')
  t.equal(await service.ended, 0)
  const tookMs = performance.now() - toldAt
  t.comment(`ended after ${Math.round(tookMs)} ms`)
  t.ok(tookMs < stopWithinMs)

  const next = await startService(t, { env })
  const { body } = await call(`${next.origin}/v1/users/me/contact-methods/${first.body.id}`, { token })
  t.equal(body.label, label)
})

t.test('a second signal, given on purpose, ends it at once with 1', async (t) => {
  const service = await startService(t, { env: { DATA_DIR: dataDirectory(t) } })
  const token = await developmentToken(service)
  const waiting = call(`${service.origin}/v1/sandbox/messages?channel=voice&waitSeconds=10`, { token }).catch(() => undefined)
  await call(`${service.origin}/v1/users/me`, { token }) // what came after it is answered: it is under way
  service.signal('SIGTERM')
  // The first repetitions could be one keystroke that arrives twice.
  const repeat = setInterval(() => service.signal('SIGTERM'), 100)
  t.equal(await service.ended, 1)
  clearInterval(repeat)
  t.equal(await waiting, undefined, 'it did not wait for the request under way')
  t.match(service.output(), 'A second SIGTERM')
})

import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import type { Test } from 'tap'
import { openDb, type Db } from '../../src/platform/db/index.ts'
import { startService, type ServiceProcess } from './process.ts'
import { makeTenant, migrateAs, ownDatabase, productionEnvironment, productionIssuer } from './production.ts'

/** A database as in production, and what starts processes of the service on it. */
export interface Fleet {
  ownerUrl: string
  /** As its owner, who sees every row. */
  owner: Db
  tenant: string
  tenantIdOf: (slug: string) => Promise<string>
  /** The token of an app that may start challenges, and see what it starts. */
  token: string
  starter: string
  start: () => Promise<ServiceProcess>
}

export async function fleet (t: Test): Promise<Fleet> {
  const [tenant, starter] = ['acme', 'payroll']
  const database = await ownDatabase(t)
  await migrateAs(database.ownerUrl)
  await makeTenant(database.ownerUrl, tenant)
  const { issuer, setting } = await productionIssuer(t)
  const env = productionEnvironment(database.serviceUrl, setting)
  const owner = openDb({ url: database.ownerUrl, applicationName: 'latchkey-test-owner', connectionsMax: 3, onError: () => undefined })
  t.teardown(() => owner.close())
  return {
    ownerUrl: database.ownerUrl, owner, tenant, starter,
    tenantIdOf: async (slug) => (await owner.tenantBySlug(slug))!.tenant_id,
    token: await issuer.tokenOf({ tenant, subject: starter, kind: 'app', scopes: ['challenges:write', 'sign-in:read'] }),
    start: () => startService(t, { env }),
  }
}

/** A balancer: each connection goes to the next process in turn, or past one that does not listen. It does not look inside. */
export async function balancer (t: Test, ports: () => readonly number[]): Promise<{ origin: string, taken: (port: number) => number }> {
  let turn = 0
  const taken = new Map<number, number>()
  const sockets = new Set<Socket>()
  const lead = (client: Socket, tries: number): void => {
    const all = ports()
    const port = all[turn++ % all.length]!
    const backend = connect({ port, host: '127.0.0.1', noDelay: true })
    sockets.add(backend)
    let connected = false
    backend.once('connect', () => {
      connected = true
      taken.set(port, (taken.get(port) ?? 0) + 1)
      client.pipe(backend).pipe(client)
    })
    backend.once('error', () => { if (!connected && tries > 1) lead(client, tries - 1) })
    backend.once('close', () => { sockets.delete(backend); if (connected || tries <= 1) client.destroy() })
    client.once('close', () => backend.destroy())
  }
  const server = createServer({ noDelay: true }, (client) => {
    sockets.add(client)
    client.on('error', () => undefined).once('close', () => sockets.delete(client))
    lead(client, ports().length)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => { server.close(resolve) })
  })
  return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, taken: (port) => taken.get(port) ?? 0 }
}

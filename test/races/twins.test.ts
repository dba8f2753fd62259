import t from 'tap'
import { sql } from 'kysely'
import { openDb } from '../../src/platform/db/index.ts'
import { pendingMethod } from '../support/challenges.ts'
import { atOnce, replicasOf, tally } from '../support/replicas.ts'
import { gate } from '../support/seed.ts'
import { codeOf, testService } from '../support/service.ts'

const twins = 16
const service = await testService(t)
const tenant = await service.tenant()
const tenantId = await service.tenantIdOf(tenant)
const replicas = await replicasOf(t, service, 3)
const db = openDb({ url: service.database.serviceUrl, applicationName: 'latchkey-test', connectionsMax: twins, onError: () => undefined })
t.teardown(() => db.close())
const audited = async (action: string, userId: string) => (await service.owner.inTenant(tenantId, ({ db }) =>
  sql`select 1 from audit_events where tenant_id = ${tenantId} and action = ${action} and user_id = ${userId}`.execute(db))).rows.length

t.test(`${twins} parallel posts with one idempotency key have one effect`, async (t) => {
  for (let round = 0; round < 5; round++) {
    const subject = `person-${round}`
    const clients = replicas.of(await service.as({ tenant, subject }))
    const methodId = await pendingMethod(clients[0]!, { value: `+141555501${10 + round}` })
    const started = await atOnce(twins, (index) => clients[index % 3]!.post('/v1/challenges', { userId: 'me', purpose: 'verifyContact', methodId }, { 'idempotency-key': 'start' }))
    t.strictSame(tally(started), { 201: twins })
    t.equal(new Set(started.map(({ text }) => text)).size, 1)
    t.equal(await audited('challenge.started', subject), 1)
    const code = await codeOf(clients[0]!, started[0]!.body.id)
    const verified = await atOnce(twins, (index) => clients[index % 3]!.post(`/v1/challenges/${started[0]!.body.id}/verify`, { code }, { 'idempotency-key': 'verify' }))
    t.strictSame(tally(verified), { 200: twins })
    t.equal(await audited('contactMethod.verified', subject), 1)
  }
})

t.test('the control: looking the key up before it is written lets several act', async (t) => {
  /** Each twin either claims the key, and then acts, or finds it claimed. */
  const effects = async (name: string, guarded: boolean) => {
    const key = { tenant_id: tenantId, caller: 'person:control', key_mac: Buffer.from(name.padEnd(32)), fingerprint: Buffer.alloc(32), mac_key_version: 1, expires_at: sql<Date>`now() + interval '1 hour'` }
    const everyone = gate(twins)
    const acted = await atOnce(twins, () => db.inTenant(tenantId, async (tx) => {
      const known = await tx.db.selectFrom('idempotency_keys').select('caller').where('tenant_id', '=', tenantId).where('caller', '=', key.caller).where('key_mac', '=', key.key_mac).executeTakeFirst()
      await everyone()
      if (known) return false
      const { numInsertedOrUpdatedRows } = await tx.db.insertInto('idempotency_keys').values(key).onConflict((conflict) => conflict.doNothing()).executeTakeFirst()
      return guarded ? numInsertedOrUpdatedRows === 1n : true
    }))
    return acted.filter(Boolean).length
  }
  t.ok(await effects('unguarded', false) > 1)
  t.equal(await effects('guarded', true), 1)
})

t.test('the first calls of a new person make one row, and so do twins that put a new user', async (t) => {
  const admin = replicas.of(await service.as({ tenant, subject: 'petra', roles: ['privilegedAdmin'] }))
  t.equal((await admin[0]!.get('/v1/users/petra')).status, 200)
  for (let round = 0; round < 5; round++) {
    const newcomer = replicas.of(await service.as({ tenant, subject: `new-${round}`, ...(round === 4 && { roles: ['helpdesk'] as const }) }))
    const calls = ['/v1/users/me', '/v1/users/me/contact-methods']
    t.strictSame(tally(await atOnce(twins, (index) => newcomer[index % 3]!.get(calls[index % 2]!))), { 200: twins })
    t.equal(await audited('user.created', `new-${round}`), 1)
    t.equal(await audited('user.markedPrivileged', `new-${round}`), round === 4 ? 1 : 0)

    t.strictSame(tally(await atOnce(twins, (index) => admin[index % 3]!.put(`/v1/users/put-${round}`, { displayName: 'Someone' }))), { 200: twins - 1, 201: 1 })
    t.equal(await audited('user.created', `put-${round}`), 1)
    t.match((await admin[0]!.get(`/v1/users/put-${round}`)).body, { version: 1 }, 'and the others changed nothing')
  }
})

t.test('the control: looking the user up before the insert lets several believe that they made the row', async (t) => {
  const makers = async (userId: string, guarded: boolean) => {
    const everyone = gate(twins)
    const made = await atOnce(twins, () => db.inTenant(tenantId, async (tx) => {
      const known = await tx.db.selectFrom('users').select('user_id').where('tenant_id', '=', tenantId).where('user_id', '=', userId).executeTakeFirst()
      await everyone()
      if (known) return false
      const row = await tx.db.insertInto('users').values({ tenant_id: tenantId, user_id: userId, created_at: tx.now, updated_at: tx.now }).onConflict((conflict) => conflict.doNothing()).returning('user_id').executeTakeFirst()
      return guarded ? row !== undefined : true
    }))
    return made.filter(Boolean).length
  }
  t.ok(await makers('unguarded', false) > 1)
  t.equal(await makers('guarded', true), 1)
})

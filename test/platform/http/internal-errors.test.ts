import t, { type Test } from 'tap'
import { asOwner } from '../../support/cluster.ts'
import { fitsEveryProblem } from '../../support/edge.ts'
import { testService } from '../../support/service.ts'
import { exchange, listen, requestText } from '../../support/socket.ts'

const service = await testService(t)
const tenant = await service.tenant()
const port = await listen(service.app)
const boss = await service.as({ tenant, subject: 'boss', roles: ['privilegedAdmin', 'policyAdmin', 'auditor'] })
const ann = await service.as({ tenant, subject: 'ann' })
const owner = (statement: string) => asOwner(service.database.ownerUrl, (client) => client.query(statement))
await boss.get('/v1/users/me')
await ann.get('/v1/users/me')

const ask = async (method: string, path: string, token: string, body?: unknown) => (await exchange(port, requestText(method, path,
  { authorization: `Bearer ${token}`, ...(body !== undefined && { 'content-type': 'application/json' }) }, body === undefined ? '' : JSON.stringify(body))))[0]

/** A 500 in full, and the one line that the log has of its cause. */
async function saysNothing (t: Test, name: string, reply: Awaited<ReturnType<typeof ask>>, secrets: RegExp): Promise<void> {
  const id = reply?.headers.get('x-request-id')
  t.strictSame(reply?.body, { type: '/problems/internal_error', title: 'Internal error', status: 500, detail: 'Something went wrong on our side.', instance: id, code: 'internal_error' }, name)
  fitsEveryProblem(t, reply, name)
  const causes = service.logged().map((line) => JSON.parse(line)).filter(({ requestId, level }) => requestId === id && level === 'error')
  t.equal(causes.length, 1, `${name}: the log has the cause, once`)
  t.match(causes[0], { msg: 'internal error', error: String, at: Array }, `${name}: and where it happened`)
  t.notMatch(JSON.stringify(causes), secrets, `${name}: but no message and no value`)
}

t.test('a fault of the database\'s shape is a 500 that says nothing, and leaves nothing behind', async (t) => {
  await owner('alter table audit_events rename column details to elsewhere')
  t.teardown(() => owner('alter table audit_events rename column elsewhere to details'))
  await saysNothing(t, 'a change', await ask('PUT', '/v1/users/carol', boss.token, { displayName: 'Secret Name', signInEmail: 'secret@example.org' }), /elsewhere|Secret|secret@|insert/)
  await owner('alter table audit_events rename column elsewhere to details')
  t.equal((await boss.get('/v1/users/carol')).status, 404, 'the change is gone with its audit row')
  await owner('alter table audit_events rename column details to elsewhere')
  await saysNothing(t, 'a read', await ask('GET', '/v1/audit-events/verification', boss.token), /elsewhere|select/)
})

t.test('a value that cannot be opened is a 500 that says nothing', async (t) => {
  const { body: { id } } = await ann.post('/v1/users/me/contact-methods', { kind: 'mobilePhone', value: '+14155550132' })
  await owner(`update contact_methods set value = overlay(value placing '\\x00'::bytea from 20) where id = '${id}'`)
  for (const path of [`/v1/users/me/contact-methods/${id}`, '/v1/users/me/contact-methods']) await saysNothing(t, path, await ask('GET', path, ann.token), /4155550132|auth tag|decrypt|Unsupported state/i)
  t.equal((await boss.get('/v1/users/ann')).status, 200, 'everything else goes on')
})

import t from 'tap'
import { at, changeValue, pathTo, press, registeredAnn, toldBy, valueOf } from '../support/notices.ts'
import { without } from '../support/guards.ts'
import { auditOf } from '../support/answers.ts'
import { atOnce, replicaOf } from '../support/replicas.ts'
import { testService } from '../support/service.ts'

const service = await testService(t)
const replicas = [service, await replicaOf(t, service), await replicaOf(t, service)]
const tally = (statuses: number[]) => Object.fromEntries([...Map.groupBy(statuses, (status) => status)].map(([status, list]) => [status, list.length]))

/** The button of one link, pressed so often at once over all replicas; how each was answered. */
async function pressed (which: 'old' | 'other') {
  const around = await registeredAnn(service)
  const told = await toldBy(around.ann, () => changeValue(around.ann, around.phone, at.next))
  const path = pathTo(told, which === 'old' ? at.mobile : at.email)
  const statuses = await atOnce(12, async (index) => (await press(replicas[index % replicas.length]!, path)).statusCode)
  return { ...around, statuses: tally(statuses) }
}

t.test('of many uses of a link at once exactly one acts, the others hear 410', async (t) => {
  const { ann, tenant, phone, statuses } = await pressed('old')
  t.strictSame(statuses, { 200: 1, 410: 11 })
  t.equal(await valueOf(ann, phone), at.mobile)
  t.equal((await auditOf(service, tenant, 'action=contactMethod.reverted')).length, 1)
  const freezing = await pressed('other')
  t.strictSame(freezing.statuses, { 200: 1, 410: 11 })
  t.equal((await auditOf(service, freezing.tenant, 'action=user.frozen')).length, 1)
})

t.test('the control: without the guard of the use several act', async (t) => {
  await without(service, 'use_notice_link', 'and l.used_at is null', async () => {
    const { tenant, statuses } = await pressed('old')
    t.ok(statuses[200]! > 1, JSON.stringify(statuses))
    t.ok((await auditOf(service, tenant, 'action=contactMethod.reverted')).length > 1)
  })
})

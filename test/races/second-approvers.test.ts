import t from 'tap'
import { withBoss, waitingIn, type Scene } from '../support/approvals.ts'
import { auditOf } from '../support/answers.ts'
import { without } from '../support/guards.ts'
import { testService, type Answer } from '../support/service.ts'

const service = await testService(t)
const approvers = 6

/** Several decide the same request for a pass at once; their answers, and how often it was decided. */
async function race (scene: Scene, verdict: (index: number) => 'approve' | 'reject') {
  const { tenant, as, petra } = scene
  const approvalId = waitingIn(await petra.post('/v1/users/boss/authenticators/temporary-access-pass'))
  const clients = await Promise.all(Array.from({ length: approvers }, (_, index) => as(`approver-${index}`, 'privilegedAdmin')))
  for (const client of clients) await client.get('/v1/users/me')
  const answers = await Promise.all(clients.map((client, index) => client.post(`/v1/approvals/${approvalId}/${verdict(index)}`)))
  const rows = (await auditOf(service, tenant)).filter(({ details, action }) => details.approvalId === approvalId && ['approval.approved', 'approval.rejected'].includes(action))
  return { tally: answers.map(({ status, body }: Answer) => `${status} ${body.code ?? body.status}`).toSorted(), decided: rows.length, answers }
}

t.test('of those who approve at once exactly one does, and the others hear approval_closed', async (t) => {
  const scene = await withBoss(service)
  const { tally, decided } = await race(scene, () => 'approve')
  t.same(tally, ['200 completed', ...Array.from({ length: approvers - 1 }, () => '409 approval_closed')])
  t.equal(decided, 1)
})

t.test('of approving and rejecting at once exactly one holds', async (t) => {
  const scene = await withBoss(service)
  for (let round = 0; round < 3; round++) {
    const { tally, decided } = await race(scene, (index) => index % 2 === 0 ? 'approve' : 'reject')
    t.same([tally.filter((one) => one.startsWith('200')).length, decided], [1, 1])
  }
})

t.test('the control: without its guard it is approved several times', async (t) => {
  const scene = await withBoss(service)
  await without(service, 'decide_approval', ' and a.status = \'pending\'', async () => {
    const { decided } = await race(scene, () => 'approve')
    t.ok(decided > 1, `${decided} were let through`)
  })
})

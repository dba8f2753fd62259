import t from 'tap'
import { messagesOf, pendingMethod, started } from '../../support/challenges.ts'
import { testService } from '../../support/service.ts'

const people = 70
const silentMs = 5_000

t.test('a carrier that hangs for one tenant keeps no other tenant\'s codes waiting', async (t) => {
  const service = await testService(t)
  const [hanging, other] = [await service.tenant(), await service.tenant()]
  const app = await service.as({ tenant: hanging, subject: 'payroll', kind: 'app', scopes: ['challenges:write'] })
  await app.put('/v1/sandbox/faults', { channel: 'sms', mode: 'timeout' })
  const ids: string[] = []
  for (let index = 0; index < people; index++) {
    const person = await service.as({ tenant: hanging, subject: `person-${index}` })
    ids.push(await pendingMethod(person, { value: `+1415555${String(100 + index).padStart(4, '0')}` }))
  }
  for (const [index, id] of ids.entries()) await started(app, id, { userId: `person-${index}` })

  const ann = await service.as({ tenant: other, subject: 'ann' })
  const challenge = await started(ann, await pendingMethod(ann, { value: '+14155550132' }))
  const startedAt = performance.now()
  t.equal((await messagesOf(ann, challenge.id)).length, 1)
  t.ok(performance.now() - startedAt < silentMs / 2, 'it does not wait for the end of those that hang')
})

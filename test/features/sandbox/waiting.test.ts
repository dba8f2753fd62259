import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import { atOnce, tally } from '../../support/replicas.ts'
import { testService } from '../../support/service.ts'

const waiters = 500

t.test('however many wait for a message, the others are answered', async (t) => {
  const service = await testService(t)
  const ann = await service.as({ tenant: await service.tenant(), subject: 'ann' })
  await ann.get('/v1/users/me')

  const waits = atOnce(waiters, () => ann.get('/v1/sandbox/messages?waitSeconds=2'))
  await pause(500)
  for (let time = 0; time < 20; time++) t.equal((await ann.get('/v1/users/me')).status, 200)
  t.strictSame(tally(await waits), { 200: waiters }, 'and so are they')
})

import t from 'tap'
import { fork } from 'node:child_process'
import { atOnce, replicaOf, tally } from '../support/replicas.ts'
import { seedChallenges } from '../support/seed.ts'
import { clientOf, testService } from '../support/service.ts'
import { verify } from '../support/challenges.ts'

t.test('cold', async (t) => {
  const service = await testService(t)
  const tenant = await service.tenant()
  const app = await service.as({ tenant, subject: 'payroll', kind: 'app', scopes: ['challenges:write'] })
  const burners = Number(process.env.BURN ?? 0)
  const kids = Array.from({ length: burners }, () => fork('/tmp/burn.mjs'))
  for (let round = 0; round < 6; round++) {
    const seeded = await seedChallenges(service, tenant, 'payroll', 48)
    const replicas = await Promise.all([0, 1, 2].map(() => replicaOf(t, service)))
    const at = performance.now()
    const answers = await atOnce(48, async (i) => { const s = performance.now(); const a = await verify(clientOf(replicas[i % 3]!, app.token), seeded[i]!.challengeId, seeded[i]!.code); return { ...a, ms: performance.now() - s } })
    t.comment(`round ${round} ${JSON.stringify(tally(answers))} ${Math.round(performance.now() - at)} ms, max ${Math.round(Math.max(...answers.map((a) => a.ms)))}`)
    const warm = await seedChallenges(service, tenant, 'payroll', 48)
    const at2 = performance.now()
    const answers2 = await atOnce(48, async (i) => verify(clientOf(replicas[i % 3]!, app.token), warm[i]!.challengeId, warm[i]!.code))
    t.comment(`   warm ${JSON.stringify(tally(answers2))} ${Math.round(performance.now() - at2)} ms`)
    await Promise.all(replicas.map((r) => r.stop().catch(() => undefined)))
  }
  for (const kid of kids) kid.kill('SIGKILL')
})

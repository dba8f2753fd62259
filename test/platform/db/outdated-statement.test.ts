import t from 'tap'
import { asOwner } from '../../support/cluster.ts'
import { testService } from '../../support/service.ts'

t.test('a migration that changes what a hot statement answers does not break a service that runs', async (t) => {
  const service = await testService(t)
  const ann = await service.as({ tenant: await service.tenant(), subject: 'ann' })
  for (let time = 0; time < 4; time++) t.equal((await ann.get('/v1/users/me')).status, 200, 'prepared on every connection')

  await asOwner(service.database.ownerUrl, async (owner) => {
    const { rows: [definition] } = await owner.query<{ text: string }>('select pg_get_functiondef(\'admit_in_roles\'::regproc) as text')
    const more = definition!.text.replace('roles_to_note boolean', '$&, more integer').replace('statement_timestamp(), to_note', '$&, 1')
    await owner.query(`begin; drop function admit_in_roles; ${more}; grant execute on function admit_in_roles to latchkey_services; commit`)
  })

  const answers = await Promise.all(Array.from({ length: 20 }, () => ann.get('/v1/users/me')))
  t.same(new Set(answers.map(({ status }) => status)), new Set([200]))
})

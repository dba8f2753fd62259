import t from 'tap'
import type { Db } from '../../../src/platform/db/index.ts'
import { isRefused } from '../../support/answers.ts'
import { registered } from '../../support/proofs.ts'
import { testService } from '../../support/service.ts'
import { apps, person, signInUrl } from '../../support/sign-in.ts'

const service = await testService(t)

/** Which doors to the database were used, in order. */
async function doorsUsed (work: () => Promise<unknown>): Promise<string[]> {
  const { db } = service.deps
  const doors = ['inTenant', 'readInTenant', 'call', 'tenantBySlug'] as const
  const real = { ...db }
  const used: string[] = []
  for (const door of doors) {
    db[door] = ((...given: unknown[]) => {
      used.push(door === 'readInTenant' ? `${door} ${(given[1] as { name: string }).name}` : door)
      return (real[door] as (...args: unknown[]) => unknown)(...given)
    }) as Db[typeof door] as never
  }
  try {
    await work()
  } finally {
    Object.assign(db, real)
  }
  return used
}

t.test('each answer takes one statement and nothing else, for an app, the person and a reader, also where nobody is there', async (t) => {
  const { tenant, ann, read } = await person(service)
  await registered(service, tenant, 'ann', ['mobilePhone', 'alternateEmail'])
  const rita = await service.as({ tenant, subject: 'rita', roles: ['reader'] })
  await Promise.all([read(), ann.get(signInUrl), rita.get(signInUrl)]) // who they are, and the policy, is known from now on
  for (const [name, ask] of Object.entries({ app: read, ann: () => ann.get(signInUrl), rita: () => rita.get(signInUrl), nobody: () => rita.get('/v1/users/nobody/sign-in-requirements') })) {
    t.strictSame(await doorsUsed(ask), ['readInTenant read_sign_in'], name)
  }
})

t.test('callers who ask at once share statements, and each gets their own answer', async (t) => {
  const [here, there] = [await person(service), await person(service)]
  const users = Array.from({ length: 12 }, (_, index) => `user-${index}`)
  for (const [index, userId] of users.entries()) await registered(service, here.tenant, userId, ['mobilePhone'], 48, { mobilePhone: `+141555501${String(10 + index)}` })
  await registered(service, there.tenant, 'user-3', ['mobilePhone'], 48, { mobilePhone: '+14155550199' })
  const [app, stranger, rita] = [await service.as(apps(here.tenant)), await service.as(apps(there.tenant)), await service.as({ tenant: here.tenant, subject: 'rita', roles: ['reader'] })]
  await Promise.all([app.get(signInUrl), stranger.get(signInUrl), rita.get(signInUrl)])

  const urlOf = (userId: string) => `/v1/users/${userId}/sign-in-requirements`
  const shownOf = ({ body }: { body: any }) => [body.userId, body.methods?.[0]?.display]
  const used = await doorsUsed(async () => {
    const [own, read, nobody, foreign] = await Promise.all([
      Promise.all(users.map((userId) => app.get(urlOf(userId)))), Promise.all(users.map((userId) => rita.get(urlOf(userId)))),
      app.get(urlOf('nobody')), Promise.all([stranger.get(urlOf('user-3')), stranger.get(urlOf('user-4'))]),
    ])
    const expected = users.map((userId, index) => [userId, `+1 ••• ••• ••${10 + index}`])
    t.strictSame(own.map(shownOf), expected)
    t.strictSame(read.map(shownOf), expected)
    isRefused(t, nobody, 'not_found', {}, 'who is not there is nobody to those who asked with others')
    t.strictSame(shownOf(foreign[0]), ['user-3', '+1 ••• ••• ••99'], 'the one of the other tenant')
    isRefused(t, foreign[1], 'not_found')
  })
  t.ok(used.every((door) => door === 'readInTenant read_sign_in') && used.length >= 2 && used.length < 13, `27 answers took ${used.length} statements`)
})

t.test('what was committed before the question is in the answer, however many ask', async (t) => {
  const { tenant, read, asOwner } = await person(service)
  await registered(service, tenant, 'ann', ['mobilePhone'])
  for (const state of ['disabled', 'active', 'offboarded', 'active']) {
    const earlier = Array.from({ length: 5 }, read)
    await asOwner('status', state)
    t.match((await read()).body, { state: state === 'active' ? 'registered' : state })
    await Promise.all(earlier)
  }
})

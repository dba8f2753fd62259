import t from 'tap'
import { isPostmaster } from '../../src/platform/db/embedded/processes.ts'
import { findPort } from '../../src/platform/db/embedded/ports.ts'
import { call, dataDirectory, developmentToken, isReady, postmasterOf, readyAfterKill, startService, type ServiceProcess } from '../support/process.ts'

t.test('`npm start` on a machine without a database', async (t) => {
  const directory = dataDirectory(t)
  // The issuer's port is part of its name, and so of every token.
  const env = { DATA_DIR: directory, PORT: String(await findPort()), DEV_ISSUER_PORT: String(await findPort()) }
  const start = () => startService(t, { env, npm: true })
  const methods = async ({ origin }: ServiceProcess, token: string) => {
    const { body } = await call(`${origin}/v1/users/me/contact-methods`, { token })
    return (body.items as Array<{ value: string }>).map(({ value }) => value)
  }
  const add = async ({ origin }: ServiceProcess, token: string, kind: string, value: string) => {
    const { status, body } = await call(`${origin}/v1/users/me/contact-methods`, { token, body: { kind, value } })
    if (status !== 201) throw new Error(`adding answered ${status} ${JSON.stringify(body)}`)
  }
  let token: string

  await t.test('serves, prints where and what to try, and nothing untidy', async (t) => {
    const service = await start()
    for (const line of ['Latchkey is ready.', `${service.origin}/v1`, `${service.origin}/docs`, `${service.origin}/v1/sandbox/messages`, '/dev/tokens', 'Try:']) t.match(service.output(), line)
    t.notMatch(service.output(), /warning|deprecat|error/i)
    token = await developmentToken(service)
    await add(service, token, 'mobilePhone', '+1 (415) 555-0132')

    t.test('stops on SIGTERM, with the database', async (t) => {
      const postmaster = postmasterOf(directory)
      t.equal(await service.stop(), 0)
      t.notOk(isPostmaster(postmaster))
      t.notOk(await isReady(service.origin), 'npm leaves no process behind')
    })
  })

  await t.test('has its rows after a restart, and knows the tokens that it gave out', async (t) => {
    const service = await start()
    t.same(await methods(service, token), ['+14155550132'])
    await add(service, token, 'alternatePhone', '+1 415 555 0133')
    // A terminal sends Ctrl-C to npm and to the service, and npm passes it on once more.
    process.kill(-service.pid, 'SIGINT')
    t.equal(await service.ended, 0, 'Ctrl-C is one signal')
  })

  await t.test('has its rows after a kill -9 of the service, and adopts the database that runs on', async (t) => {
    const service = await start()
    await add(service, token, 'officePhone', '+1 415 555 0134')
    const postmaster = postmasterOf(directory)
    process.kill(-service.pid, 'SIGKILL')
    await service.ended
    t.ok(isPostmaster(postmaster))
    const next = await start()
    t.equal(postmasterOf(directory), postmaster)
    t.same(await methods(next, token), ['+14155550132', '+14155550133', '+14155550134'])

    await t.test('and after a kill -9 of the database, without being started again', async (t) => {
      await add(next, token, 'alternateEmail', 'someone@example.org')
      process.kill(postmaster, 'SIGKILL')
      await readyAfterKill(next, directory, postmaster)
      t.equal((await methods(next, token)).length, 4)
    })

    await t.test('and after a kill -9 of both', async (t) => {
      const current = postmasterOf(directory)
      process.kill(-next.pid, 'SIGKILL')
      process.kill(current, 'SIGKILL')
      await next.ended
      const last = await start()
      t.equal((await methods(last, token)).length, 4)
      t.equal(await last.stop(), 0)
    })
  })
})

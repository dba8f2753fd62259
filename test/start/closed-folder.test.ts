import { lstatSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { call, dataDirectory, developmentToken, startService } from '../support/process.ts'

const isRoot = process.geteuid?.() === 0

t.test('starts as root with umask 077 below a folder that only root may enter, twice', { skip: !isRoot && 'needs root' }, async (t) => {
  const directory = dataDirectory(t, { closed: true })
  const env = { DATA_DIR: directory }

  const first = await startService(t, { env, umask: 0o077 })
  const token = await developmentToken(first)
  const { status } = await call(`${first.origin}/v1/users/me/contact-methods`, { token, body: { kind: 'mobilePhone', value: '+1 (415) 555-0132' } })
  t.equal(status, 201)
  t.ok(lstatSync(join(directory, 'postgres')).isSymbolicLink(), 'the database is where its own account can reach it')
  for (const secret of ['key-ring', 'issuer-keys.json']) t.equal(lstatSync(join(directory, secret)).mode & 0o077, 0, `${secret} is for its owner only`)
  t.equal(await first.stop(), 0)

  const second = await startService(t, { env, umask: 0o077 })
  const { body } = await call(`${second.origin}/v1/users/me/contact-methods`, { token: await developmentToken(second) })
  t.equal(body.items.length, 1)
  t.equal(await second.stop(), 0)
})

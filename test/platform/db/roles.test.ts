import { Client } from 'pg'
import t from 'tap'
import { ensureRoles, loginRoleOf, loginUrl } from '../../../src/platform/db/roles.ts'
import { databasePasswordOf, newKeyRingText, parseKeyRing } from '../../../src/platform/keys.ts'
import { cloneDatabase } from '../../support/cluster.ts'

t.test('the login roles sign in with the passwords of the key ring, which no statement ever held', async (t) => {
  const { name, ownerUrl, drop } = await cloneDatabase()
  const said: string[] = []
  class Watched extends Client {
    override query (...args: any[]): any {
      said.push(JSON.stringify(args))
      return super.query(...args as [string])
    }
  }
  const owner = new Watched({ connectionString: ownerUrl })
  await owner.connect()
  t.teardown(async () => {
    await owner.query(`drop role if exists ${loginRoleOf(name, 'service')}, ${loginRoleOf(name, 'worker')}`)
    await owner.end()
    await drop()
  })

  for (const keyRing of [parseKeyRing(newKeyRingText()), parseKeyRing(newKeyRingText())]) {
    await ensureRoles(owner, ownerUrl, keyRing)
    for (const kind of ['service', 'worker'] as const) {
      const client = new Client({ connectionString: loginUrl(ownerUrl, keyRing, kind) })
      await client.connect()
      t.match((await client.query('select current_user as role')).rows, [{ role: loginRoleOf(name, kind) }])
      await client.end()
      t.notOk(said.some((text) => text.includes(databasePasswordOf(keyRing, loginRoleOf(name, kind)))), kind)
    }
  }
  const stranger = new Client({ connectionString: loginUrl(ownerUrl, parseKeyRing(newKeyRingText()), 'service') })
  await t.rejects(stranger.connect(), { code: '28P01' }, 'another key ring gives another password')
})

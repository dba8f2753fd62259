import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import type { DevelopmentIssuer } from '../../../src/dev/issuer/issuer.ts'
import { apiOrigin, audience, basic, clientOf, demoUsers, testIssuer } from '../../support/development-issuer.ts'

t.test('discovery', async (t) => {
  const { issuer, jwksUri, tokenUrl, authorizationUrl, swaggerClientId, ...rest } = await testIssuer(t)

  t.test('tells what the issuer can do, and agrees with what it returned at its start', async (t) => {
    t.match(await (await fetch(`${issuer}/.well-known/openid-configuration`)).json(), {
      issuer, jwks_uri: jwksUri, token_endpoint: tokenUrl, authorization_endpoint: authorizationUrl,
      response_types_supported: ['code'], code_challenge_methods_supported: ['S256'],
      grant_types_supported: ['authorization_code', 'client_credentials'], id_token_signing_alg_values_supported: ['ES256'],
    })
    t.equal(swaggerClientId, 'latchkey-swagger-ui')
    t.equal(rest.audience, audience)
  })

  t.test('publishes one public ES256 key and no private part', async (t) => {
    const { keys } = await (await fetch(jwksUri)).json() as { keys: Record<string, string>[] }
    t.match(keys, [{ kty: 'EC', crv: 'P-256', alg: 'ES256', use: 'sig', kid: String }])
    t.equal(keys.length, 1)
    t.notOk('d' in keys[0]!)
  })

  t.test('an unknown path is 404', async (t) => t.equal((await fetch(`${issuer}/nowhere`)).status, 404))
})

t.test('the keys', async (t) => {
  const keyFile = join(t.testdir(), 'deep', 'er', 'keys.json')
  const token = { tenant: 'acme', subject: 'alice', kind: 'person' }

  t.test('survive a restart, so that tokens do, and are for the owner only', async (t) => {
    const first = await testIssuer(t, { keyFile })
    const { accessToken } = await (await first.devToken(token)).json() as { accessToken: string }
    const before = await (await fetch(first.jwksUri)).json()
    await first.close()
    t.equal((await stat(keyFile)).mode & 0o777, 0o600)

    const second = await testIssuer(t, { keyFile, port: Number(new URL(first.issuer).port) })
    t.same(await (await fetch(second.jwksUri)).json(), before)
    t.match(await second.verify(accessToken), { sub: 'alice' })
  })

  t.test('are the same for issuers that start at once', async (t) => {
    const twins = join(t.testdir(), 'keys.json')
    const issuers = await Promise.all(Array.from({ length: 5 }, () => testIssuer(t, { keyFile: twins })))
    const sets = await Promise.all(issuers.map(async ({ jwksUri }) => (await fetch(jwksUri)).text()))
    t.equal(new Set(sets).size, 1)
  })

  t.test('are not replaced behind one\'s back when their file is broken, nor quoted', async (t) => {
    const broken = join(t.testdir(), 'keys.json')
    for (const text of ['{"jwk":{"d":"a secret"', '{}', '{"jwk":{"crv":"P-256","d":"a secret","kid":"k"},"cookieKeys":[]}']) {
      await writeFile(broken, text)
      const error = await testIssuer(t, { keyFile: broken }).then(() => undefined, (reason: Error) => reason)
      t.match(error?.message, /is not a key file/)
      t.notMatch(error?.stack, 'a secret')
      t.equal(await readFile(broken, 'utf8'), text)
    }
  })
})

t.test('an address in use is an error at the start', async (t) => {
  const { issuer } = await testIssuer(t)
  await t.rejects(testIssuer(t, { port: Number(new URL(issuer).port) }), { code: 'EADDRINUSE' })
})

t.test('close ends open connections at once', async (t) => {
  const { issuer, close } = await testIssuer(t)
  const socket = connect(Number(new URL(issuer).port), '127.0.0.1')
  await once(socket, 'connect')
  await (await fetch(`${issuer}/jwks`)).text()
  const began = performance.now()
  const ended = once(socket, 'close')
  await close()
  await ended
  t.ok(performance.now() - began < 1_000)
  await t.rejects(fetch(`${issuer}/jwks`))
})

t.test('prints nothing, whatever it is asked, and logs no secret', async (t) => {
  const options = { host: '127.0.0.1', port: 0, audience, keyFile: join(t.testdir(), 'keys.json'), demoUsers }
  const child = spawn(process.execPath, ['--input-type=module', '--eval', `
    import { startDevelopmentIssuer } from '${new URL('../../../src/dev/issuer/issuer.ts', import.meta.url).href}'
    const logged = []
    const { close, ...urls } = await startDevelopmentIssuer({
      ...${JSON.stringify(options)}, apiOrigin: () => '${apiOrigin}', ensureTenant: async () => {}, log: (message) => logged.push(message),
    })
    process.send(urls)
    process.once('message', async () => { await close(); process.send(logged, () => process.disconnect()) })
  `], { stdio: ['ignore', 'pipe', 'pipe', 'ipc'], env: { ...process.env, NODE_OPTIONS: '' } })
  t.teardown(() => child.kill())
  let printed = ''
  for (const stream of [child.stdout!, child.stderr!]) stream.setEncoding('utf8').on('data', (text: string) => { printed += text })

  const [urls] = await Promise.race([once(child, 'message'), once(child, 'exit').then(() => { throw new Error(printed) })]) as [DevelopmentIssuer]
  const { signIn, post, devToken, browser, authorization } = clientOf(urls)
  const { tokens } = await signIn(/demo-helpdesk with/)
  const { accessToken } = await (await devToken({ tenant: 'acme', subject: 'alice', kind: 'person' })).json() as { accessToken: string }
  await post({ grant_type: 'client_credentials' }, basic('demo-app', 'demo-app-secret'))
  await post({ grant_type: 'client_credentials' }, basic('demo-app', 'wrong'))
  await browser().follow(authorization({ client_id: 'stranger' }).url)
  await browser().follow(authorization({ redirect_uri: 'https://evil.example' }).url)
  await fetch(`${urls.issuer}/nowhere`)

  const [closed, exited] = [once(child, 'message'), once(child, 'exit')]
  child.send('close')
  const [logged] = await closed as [string[]]
  t.same(await exited, [0, null])
  t.equal(printed, '')
  t.equal(logged.length, 1, 'only the warning of the start')
  for (const secret of [tokens.access_token, accessToken, 'demo-app-secret']) t.notMatch(logged.join('\n'), secret)
})

import type { Locator, Page } from 'playwright-core'
import t from 'tap'
import { openPage } from '../support/browser.ts'
import { dataDirectory, startService } from '../support/process.ts'

/** Opens an operation, runs it as Swagger UI has filled it in (or with this body), and reads the answer. */
async function execute (page: Page, operationId: string, { body, parameters = {} }: { body?: unknown, parameters?: Record<string, string> } = {}): Promise<{ status: number, body: any }> {
  const operation: Locator = page.locator(`[id$="-${operationId}"]`)
  if (await operation.locator('.execute').count() === 0) await operation.locator('.opblock-summary-control').click()
  for (const [name, value] of Object.entries(parameters)) await operation.locator(`tr[data-param-name="${name}"] input`).fill(value)
  if (body !== undefined) await operation.locator('textarea.body-param__text').fill(JSON.stringify(body))
  const answered = page.waitForResponse((response) => new URL(response.url()).pathname.startsWith('/v1/'))
  await operation.locator('.execute').click()
  const response = await answered
  return { status: response.status(), body: response.status() === 204 ? null : await response.json() }
}

t.test('in Swagger UI a demo user signs in, adds a phone, starts a challenge and verifies it', async (t) => {
  const opened = await openPage(t)
  if (!opened) return
  const { page, faults } = opened
  const service = await startService(t, { env: { DATA_DIR: dataDirectory(t) } })
  await page.goto(`${service.origin}/docs`)
  await page.locator('button.authorize').click()
  await page.locator('.auth-container', { hasText: 'signIn' }).locator('input[type=checkbox]').check()
  const popup = page.waitForEvent('popup')
  await page.locator('.auth-container', { hasText: 'signIn' }).locator('button.authorize').click()
  const signIn = await popup
  const closed = signIn.waitForEvent('close')
  if (process.env.SCREENSHOTS) await signIn.screenshot({ path: `${process.env.SCREENSHOTS}/sign-in.png`, fullPage: true })
  await signIn.getByRole('region', { name: 'Tenant demo', exact: true }).getByRole('button', { name: /demo-user with a second factor/ }).click()
  await closed
  await page.locator('.auth-container button.btn-done').first().click()

  const added = await execute(page, 'addContactMethod')
  t.equal(added.status, 201, 'the example runs as it stands')
  t.match(added.body, { status: 'pending', value: '+14155550132' })
  const challenge = await execute(page, 'startChallenge', { body: { userId: 'me', purpose: 'verifyContact', methodId: added.body.id } })
  t.equal(challenge.status, 201)
  const inbox = await execute(page, 'listSandboxMessages')
  t.equal(inbox.status, 200)
  const approved = await execute(page, 'verifyChallenge', { body: { code: inbox.body.items[0].code }, parameters: { challengeId: challenge.body.id } })
  t.match(approved, { status: 200, body: { status: 'approved' } })
  t.match(await execute(page, 'listContactMethods'), { status: 200, body: { items: [{ status: 'active', isDefault: true }] } })
  if (process.env.SCREENSHOTS) await page.screenshot({ path: `${process.env.SCREENSHOTS}/docs.png` })
  t.same(faults, [], 'and the browser complains of nothing')

  await page.goto(`${service.origin}/problems/not_found`)
  t.match(await page.locator('h1').textContent(), 'Not found')
  if (process.env.SCREENSHOTS) await page.screenshot({ path: `${process.env.SCREENSHOTS}/problem.png` })
  t.same(faults, [])
})

import type { AddressInfo } from 'node:net'
import t from 'tap'
import { openPage } from '../support/browser.ts'
import { at, changeValue, pathTo, registeredAnn, toldBy, valueOf } from '../support/notices.ts'
import { testService } from '../support/service.ts'

t.test('in a browser the link of a notice opens a page whose button brings the old number back, and says so when it is over', async (t) => {
  const opened = await openPage(t)
  if (!opened) return
  const { page, faults } = opened
  const service = await testService(t)
  await service.app.listen({ host: '127.0.0.1', port: 0 })
  const origin = `http://127.0.0.1:${(service.app.server.address() as AddressInfo).port}`
  const { ann, phone } = await registeredAnn(service)
  const told = await toldBy(ann, () => changeValue(ann, phone, at.next))
  const shot = async (name: string) => { if (process.env.SCREENSHOTS) await page.screenshot({ path: `${process.env.SCREENSHOTS}/${name}.png` }) }

  await page.goto(origin + pathTo(told, at.mobile))
  t.equal(await page.locator('h1').textContent(), 'This was not me')
  t.match(await page.locator('link[rel=stylesheet]').evaluate((link: { sheet: object | null }) => link.sheet !== null), true, 'its style is loaded')
  await shot('not-me')
  await page.getByRole('button').click()
  t.match(await page.locator('main').textContent(), /in force again/)
  await shot('not-me-done')
  t.equal(await valueOf(ann, phone), at.mobile)
  t.same(faults, [])

  await page.goto(origin + pathTo(told, at.mobile))
  t.equal(await page.locator('h1').textContent(), 'This link is over')
  await shot('not-me-over')
})

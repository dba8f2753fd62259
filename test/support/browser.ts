import sparticuz from '@sparticuz/chromium'
import { chromium, type Browser, type Page } from 'playwright-core'
import type { Test } from 'tap'

/** A page of a real Chromium, which comes with the packages. Null where it cannot run: it needs libnss3 of the system. */
export async function openPage (t: Test): Promise<{ page: Page, faults: string[] } | null> {
  let browser: Browser
  sparticuz.setGraphicsMode = false // pages without 3D need no graphics card played by the processor
  try {
    browser = await chromium.launch({ executablePath: await sparticuz.executablePath(), args: sparticuz.args })
  } catch (error) {
    t.comment(`no browser here: ${(error as Error).message.split('\n')[0]}`)
    return null
  }
  t.teardown(() => browser.close())
  const page = await browser.newPage({ viewport: { width: 1280, height: 1000 } })
  const faults: string[] = []
  page.on('console', (message) => { if (message.type() === 'error') faults.push(message.text()) })
  page.on('pageerror', (error) => faults.push(error.message))
  return { page, faults }
}

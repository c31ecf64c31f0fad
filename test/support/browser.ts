import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { aptInstall, canApt } from '#launcher/servers/apt.ts'
import { isFile, which } from '#launcher/servers/directories.ts'

/** A phone, and a laptop. */
export const WIDTHS = [390, 1440] as const

const HEIGHT = 900
const ANSWER_MS_MAX = 15_000

/**
 * A real Chromium, without a window. Installed where it is missing and can be; else the tests are skipped, and say so:
 *
 *     let browser: Browser
 *     before(async function () { this.timeout(300_000); browser = await startBrowser(this) })
 *     after(() => browser?.close())
 */
export async function startBrowser(test: Mocha.Context): Promise<Browser> {
  const executablePath = installed() ?? (await install())
  if (executablePath === undefined) {
    console.warn(`SKIPPED: ${test.test?.parent?.title}: there is no Chromium here to install or run.`)
    test.skip()
  }
  // As root Chromium has no sandbox; a container's shared memory is small.
  return await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'] })
}

function installed(): string | undefined {
  const program = ['chromium', 'chromium-browser', 'google-chrome'].map((name) => which(name)).find(Boolean)
  const application = '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome'
  return program ?? (isFile(application) ? application : undefined)
}

/** With a font: a fresh Debian has none, and then every text is as wide as none. */
async function install(): Promise<string | undefined> {
  if (!canApt()) return undefined
  await aptInstall([['chromium', 'fonts-dejavu-core']], () => {}).catch((error: Error) => console.warn(error.message))
  return installed()
}

export interface OpenPage extends AsyncDisposable {
  readonly page: Page
  /** What a person would find in the console: errors, what the page's policy refuses, requests that fail or leave this machine. */
  readonly problems: string[]
}

/** One page of a person of its own: nothing is shared with other pages, no cookie either. */
export async function openPage(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<OpenPage> {
  const viewport = { width: WIDTHS[1], height: HEIGHT }
  const context = await browser.newContext({ viewport, reducedMotion: 'reduce', ...options })
  context.setDefaultTimeout(ANSWER_MS_MAX)
  const page = await context.newPage()
  const problems: string[] = []
  page.on('pageerror', (error) => problems.push(String(error)))
  page.on('console', (message) => {
    if (message.type() === 'error') problems.push(`${message.text()} (${message.location().url})`)
  })
  page.on('request', (request) => {
    const { protocol, hostname } = new URL(request.url())
    const isOwn = hostname === new URL(url).hostname || protocol === 'data:' || protocol === 'blob:'
    if (!isOwn) problems.push(`asks another host: ${request.url()}`)
  })
  await page.goto(url)
  return { page, problems, [Symbol.asyncDispose]: () => context.close() }
}

/** Nothing is wider than the window: a page that has to be pushed sideways is hard to read. */
export async function assertFits(page: Page): Promise<void> {
  const [width, wanted] = (await page.evaluate(
    '[document.documentElement.clientWidth, document.documentElement.scrollWidth]',
  )) as [number, number]
  assert(wanted <= width, `the page is ${wanted} wide, the window ${width}`)
}

/** For people to look at: a picture of the whole page in `SCREENSHOT_DIR`, where that is set. */
export async function takePicture(page: Page, name: string): Promise<void> {
  const { SCREENSHOT_DIR: directory } = process.env
  if (!directory) return
  mkdirSync(directory, { recursive: true })
  await page.screenshot({ path: join(directory, `${name}.png`), fullPage: true })
}

import assert from 'node:assert/strict'
import type { Browser, Locator, Page } from 'playwright-core'
import { startTraefik } from '#mesh/testing/servers.ts'
import { assertFits, openPage, startBrowser, takePicture, WIDTHS } from './support/browser.ts'
import { Client } from './support/client.ts'
import { eventually } from './support/eventually.ts'
import { startMesh, type TestMesh } from './support/mesh.ts'

const PASSWORD = 'correct horse battery'
const SERVICES = ['push-market', 'push-orders', 'push-accounts', 'stats'] as const

describe('The page to trade on, in Chromium through Traefik', function () {
  this.timeout(60_000)
  let mesh: TestMesh
  let traefik: Awaited<ReturnType<typeof startTraefik>>
  let browser: Browser
  let anyone: Client
  let admin: Client

  before(async function () {
    this.timeout(300_000)
    browser = await startBrowser(this)
    mesh = await startMesh({ env: { PASSWORD_COST_LOG2: '10' } })
    await Promise.all(SERVICES.map((service) => mesh.add(service)))
    traefik = await startTraefik(mesh.urls)
    anyone = new Client([traefik.url])
    admin = anyone.as((await anyone.ok('POST', '/sessions', mesh.admin)).accessToken)
  })
  after(async () => {
    await browser?.close()
    await traefik?.stop()
    await mesh?.stop()
  })

  let count = 0
  const emailOf = (name: string): string => `${name}-${++count}@example.com`
  const fund = (memberId: string, asset: string, amount: string) =>
    admin.ok('POST', '/admin/deposits', { reference: `d-${++count}`, memberId, asset, amount })
  /** Someone who trades over HTTP. */
  const member = async (money: Readonly<Record<string, string>>) => {
    const email = emailOf('member')
    const { id } = await anyone.ok('POST', '/members', { email, password: PASSWORD })
    for (const [asset, amount] of Object.entries(money)) await fund(id, asset, amount)
    const { accessToken } = await anyone.ok('POST', '/sessions', { email, password: PASSWORD })
    return { id: id as string, email, client: anyone.as(accessToken) }
  }
  /** A market of its own: nobody else's orders are in its book. */
  const market = async () => {
    const base = `P${(++count).toString(36).toUpperCase().padStart(3, '0')}`
    const instrument = `${base}-USDT`
    await admin.ok('POST', '/admin/assets', { asset: base, scale: 6 })
    const steps = { tick: '0.05', lot: '0.001', amountMin: '0.01', makerFeePpm: 1_000, takerFeePpm: 2_000 }
    await admin.ok('POST', '/admin/markets', { base, quote: 'USDT', ...steps })
    await eventually(() => anyone.ok('GET', `/markets/${instrument}`))
    const order = (client: Client, side: string, price: string, amount: string) =>
      client.ok('POST', '/order', { instrument, side, price, amount })
    return { base, instrument, order }
  }
  /** Where containers come and go beside the tests, Chromium asks again for what was under way. */
  const ofThePage = (problems: readonly string[]) => problems.filter((one) => !one.includes('ERR_NETWORK_CHANGED'))
  const urlOf = (instrument: string): string => `${traefik.url}/#${instrument}`

  const shows = (found: Locator, text: string | RegExp) =>
    eventually(async () => {
      const now = (await found.textContent()) ?? ''
      const fits = typeof text === 'string' ? now === text : text.test(now)
      assert(fits, `it is "${now}", not ${text}`)
    })
  const counts = (found: Locator, wanted: number) =>
    eventually(async () => assert.equal(await found.count(), wanted, String(found)))
  const isLive = (page: Page) => shows(page.locator('#status-text'), 'Live')
  const noticed = (page: Page, text: string | RegExp) =>
    page.locator('.notice', { hasText: text }).first().waitFor({ state: 'visible' })
  const login = async (page: Page, email: string, how: 'Log in' | 'Register' = 'Log in') => {
    await page.locator('header').getByRole('button', { name: how, exact: true }).click()
    await page.getByLabel('E-mail').fill(email)
    await page.getByLabel('Password').fill(PASSWORD)
    await page.keyboard.press('Enter')
    await page.locator('#account-button').waitFor({ state: 'visible' })
  }
  const place = async (page: Page, side: 'buy' | 'sell', price: string, amount: string) => {
    await page.locator(`label.${side}`).click()
    await field(page, 'Price').fill(price)
    await field(page, 'Amount').fill(amount)
    await page.locator('#submit').click()
    await eventually(async () => assert.equal(await page.locator('#amount').inputValue(), ''))
  }
  const field = (page: Page, name: string) => page.locator('#order-form').getByLabel(name, { exact: true })
  const row = (page: Page, side: 'asks' | 'bids') => page.locator(`#${side} .row:visible`)

  it('goes from registration to a fill, and all of it moves', async () => {
    const { base, instrument, order } = await market()
    const seller = await member({ [base]: '10' })
    await using opened = await openPage(browser, urlOf(instrument))
    const { page, problems } = opened
    await isLive(page)
    await shows(page.locator('#market-label'), `${base} / USDT`)
    await shows(page.locator('#submit'), 'Log in to trade')
    await login(page, emailOf('buyer'), 'Register')

    await page.locator('#account-button').click()
    const memberId = (await page.locator('#account-id').textContent()) ?? ''
    await page.keyboard.press('Escape')
    await shows(page.locator('#available'), '0 USDT')
    await fund(memberId, 'USDT', '1000')
    await shows(page.locator('#available'), '1,000 USDT')

    await order(seller.client, 'sell', '100', '1')
    await order(seller.client, 'sell', '100.05', '2')
    await shows(row(page, 'asks').first(), '100.001.0001.000')
    await field(page, 'Price').fill('120')
    await shows(page.locator('#price-caution'), 'This is 20% above the best ask, and buys at once.')
    await row(page, 'asks').first().click()
    await shows(page.locator('#price-caution'), '')
    await shows(page.locator('#submit'), `Buy ${base}`)
    assert.equal(await page.locator('#price').inputValue(), '100.00')
    await field(page, 'Amount').fill('0.4')
    assert.equal(await page.locator('#total').inputValue(), '40')
    await page.locator('#submit').click()

    await noticed(page, `Bought 0.4 ${base} for 40 USDT.`)
    await shows(row(page, 'asks').first(), '100.000.6000.600')
    await shows(page.locator('#trade-rows .row:visible').first(), /^100\.000\.400\d\d:\d\d:\d\d$/)
    await shows(page.locator('#last-price-value'), '100.00')
    await shows(page.locator('#available'), '960 USDT')
    await shows(page.locator('#stat-volume'), '0.4')
    await page.getByRole('tab', { name: 'Fills' }).click()
    // 0.2 % of what is bought is the fee.
    await shows(page.locator('#view-fills tbody tr'), /Buy100\.000\.400400\.0008 P\S+Taker$/)
    await page.getByRole('tab', { name: 'Balances' }).click()
    await shows(page.locator('#view-balances tbody tr').first(), `${base}0.399200.3992`)
    await page.getByRole('tab', { name: 'Order history' }).click()
    await shows(page.locator('#view-history tbody tr'), /100\.001000\.4000\.400Filled$/)
    await eventually(async () => {
      const chart = page.locator('#chart')
      assert.match((await chart.getAttribute('aria-label')) ?? '', /, 1 of them$/)
    })
    await assertFits(page)
    await takePicture(page, 'trading-page-fill')
    assert.deepEqual(ofThePage(problems), [])
  })

  it('places, changes and cancels by keyboard alone', async () => {
    const { base, instrument } = await market()
    const { email, client } = await member({ [base]: '5', USDT: '100' })
    await using opened = await openPage(browser, urlOf(instrument))
    const { page, problems } = opened
    await isLive(page)
    await login(page, email)
    await shows(page.locator('#available'), '100 USDT')
    await page.keyboard.press('s')
    await page.keyboard.type('20')
    await page.keyboard.press('ArrowUp')
    await page.keyboard.press('Tab')
    await page.keyboard.press('Escape')
    await page.keyboard.press('a')
    await page.keyboard.type('1,5')
    await page.keyboard.press('Enter')
    await noticed(page, `In the book: Sell 1.500 ${base} at 20.05 USDT.`)
    await shows(page.locator('#view-open tbody tr'), /Sell20\.051\.5000\.000ChangeCancel$/)
    await shows(row(page, 'asks').first(), '20.051.5001.500')
    assert.equal(await page.locator('#asks .row.own').count(), 1)

    await page.getByRole('button', { name: /^Change: Sell/ }).press('Enter')
    await page.locator('#amend-price').press('Tab')
    await page.locator('#amend-amount').press('ControlOrMeta+a')
    await page.keyboard.type('0.0101')
    await page.keyboard.press('Enter')
    await shows(page.locator('#amend-fault'), 'Amount must be in steps of 0.001.')
    await page.keyboard.press('Backspace')
    await page.keyboard.press('Enter')
    await shows(row(page, 'asks').first(), '20.050.0100.010')
    const [{ id, amount }] = (await client.ok('GET', '/orders?status=open')).orders
    assert.equal(amount, '0.01')

    await page.getByRole('button', { name: /^Cancel: Sell/ }).press('Enter')
    await noticed(page, `Cancelled: Sell 0.010 ${base} at 20.05 USDT.`)
    await shows(page.locator('#view-open .empty'), 'No open orders.')
    await counts(row(page, 'asks'), 0)
    assert.equal((await client.ok('GET', `/order/${id}`)).status, 'cancelled')

    await page.keyboard.press('?')
    await page.locator('#help-dialog').waitFor({ state: 'visible' })
    await page.keyboard.press('Escape')
    assert.deepEqual(ofThePage(problems), [])
  })

  it('cancels all, after it has asked', async () => {
    const { base, instrument } = await market()
    const { email } = await member({ [base]: '5', USDT: '100' })
    await using opened = await openPage(browser, urlOf(instrument))
    const { page } = opened
    await login(page, email)
    await shows(page.locator('#available'), '100 USDT')
    await place(page, 'buy', '1', '2')
    await place(page, 'sell', '2', '3')
    await shows(page.locator('#open-count'), '2')
    await page.locator('#cancel-all').click()
    await shows(page.locator('#confirm-what'), '2 open orders in all markets.')
    await page.getByRole('button', { name: 'Keep them' }).click()
    await page.locator('#cancel-all').click()
    await page.locator('#confirm-dialog').getByRole('button', { name: 'Cancel all' }).click()
    await noticed(page, '2 orders cancelled.')
    await shows(page.locator('#view-open .empty'), 'No open orders.')
  })

  it('says what is wrong with an order, before it is sent and after', async () => {
    const { base, instrument } = await market()
    const { email } = await member({ USDT: '100' })
    await using opened = await openPage(browser, urlOf(instrument))
    const { page } = opened
    await login(page, email)
    await shows(page.locator('#available'), '100 USDT')
    const submit = page.locator('#submit')
    await submit.click()
    await shows(page.locator('#price-fault'), 'Price is missing.')
    await shows(page.locator('#amount-fault'), 'Amount is missing.')
    await field(page, 'Price').fill('1.02')
    await field(page, 'Amount').fill('0.001')
    await submit.click()
    await shows(page.locator('#price-fault'), 'Price must be in steps of 0.05.')
    await shows(page.locator('#amount-fault'), `The least amount is 0.01 ${base}.`)
    await field(page, 'Price').fill('1')
    await page.locator('[data-percent="50"]').click()
    assert.equal(await page.locator('#amount').inputValue(), '50')
    await field(page, 'Amount').fill('101')
    await shows(page.locator('#amount-fault'), 'Not enough is available for this order.')
    await page.getByText('Market', { exact: true }).locator('visible=true').click()
    await field(page, 'Total').fill('10')
    await submit.click()
    await shows(page.locator('#form-fault'), 'There is nothing to trade with on the other side of the book.')
  })

  it('goes on after a reload without an access token in its stores, and all tabs log out together', async () => {
    const { email } = await member({ USDT: '7' })
    await using opened = await openPage(browser, traefik.url)
    const { page, problems } = opened
    await login(page, email)
    const stored = async (): Promise<string> =>
      String(await page.evaluate('JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])'))
    assert.doesNotMatch(await stored(), /eyJ/)
    const before = await stored()
    await page.reload()
    await page.locator('#account-button').waitFor({ state: 'visible' })
    await shows(page.locator('#available'), '7 USDT')
    assert.notEqual(await stored(), before, 'a refresh token is good once')

    const other = await page.context().newPage()
    await other.goto(traefik.url)
    await other.locator('#account-button').waitFor({ state: 'visible' })
    await page.locator('#account-button').click()
    await page.getByRole('button', { name: 'Log out' }).click()
    for (const tab of [page, other]) {
      await tab.locator('#login-button').waitFor({ state: 'visible' })
      await shows(tab.locator('#available'), '–')
    }
    assert.doesNotMatch(await stored(), /refreshToken/)
    assert.deepEqual(ofThePage(problems), [])
  })

  it('renews its token before it ends, on the stream as well, and logs out when the session is ended elsewhere', async () => {
    const { email, client, id } = await member({ USDT: '3' })
    await using opened = await openPage(browser, 'about:blank')
    const { page } = opened
    const logins: string[] = []
    page.on('websocket', (socket) => {
      socket.on('framesent', ({ payload }) => {
        if (String(payload).includes('"op":"login"')) logins.push(JSON.parse(String(payload)).token)
      })
    })
    await page.clock.install()
    await page.goto(traefik.url)
    await login(page, email)
    await shows(page.locator('#available'), '3 USDT')
    assert.equal(new Set(logins).size, 1)
    await page.clock.fastForward('14:00')
    await eventually(() => assert.equal(new Set(logins).size, 2))
    await isLive(page)
    await fund(id, 'USDT', '4')
    await shows(page.locator('#available'), '7 USDT')
    await client.ok('PUT', '/members/me/password', { currentPassword: PASSWORD, newPassword: `${PASSWORD} 2` })
    await noticed(page, 'You are logged out.')
    await page.locator('#login-button').waitFor({ state: 'visible' })
    await shows(page.locator('#available'), '–')
  })

  it('goes to another market by its name, and keeps the chosen colours', async () => {
    const [one, other] = [await market(), await market()]
    const seller = await member({ [other.base]: '1' })
    const buyer = await member({ USDT: '10' })
    await other.order(seller.client, 'sell', '5', '1')
    await other.order(buyer.client, 'buy', '5', '0.5')
    await using opened = await openPage(browser, urlOf(one.instrument), { colorScheme: 'light' })
    const { page, problems } = opened
    await isLive(page)
    await shows(page.locator('#market-label'), `${one.base} / USDT`)
    await page.keyboard.press('m')
    await shows(page.locator(`#market-${other.instrument}`), `${other.base}/USDT5.000.00%2.5 USDT`)
    await page.keyboard.type(other.base.toLowerCase())
    await counts(page.locator('.market-row'), 1)
    await page.keyboard.press('Enter')
    await shows(page.locator('#market-label'), `${other.base} / USDT`)
    assert.equal(page.url(), urlOf(other.instrument))
    await shows(row(page, 'asks').first(), '5.000.5000.500')
    await eventually(async () => assert.match(await page.title(), new RegExp(`^5\\.00 ${other.base}/USDT`)))

    const background = () => page.evaluate('getComputedStyle(document.body).backgroundColor')
    const light = await background()
    await page.keyboard.press('t')
    const dark = await background()
    assert.notEqual(dark, light)
    await page.reload()
    assert.equal(await background(), dark)
    await shows(page.locator('#market-label'), `${other.base} / USDT`)
    assert.deepEqual(ofThePage(problems), [])
  })

  it('says that it is offline, and gets what it missed', async () => {
    const { base, instrument, order } = await market()
    const { email } = await member({ [base]: '5' })
    const buyer = await member({ USDT: '1000' })
    await using opened = await openPage(browser, urlOf(instrument))
    const { page } = opened
    await login(page, email)
    await shows(page.locator('#available'), '0 USDT')
    await place(page, 'sell', '10', '2')
    await shows(row(page, 'asks').first(), '10.002.0002.000')
    await page.context().setOffline(true)
    await shows(page.locator('#status-text'), 'Offline')
    await page.locator('#banner').waitFor({ state: 'visible' })
    await order(buyer.client, 'buy', '10', '0.5')
    await page.context().setOffline(false)
    await isLive(page)
    await noticed(page, `Sold 0.5 ${base} for 5 USDT.`)
    await shows(row(page, 'asks').first(), '10.001.5001.500')
    await page.locator('#banner').waitFor({ state: 'hidden' })
  })

  it('sends an order whose answer was lost once more, and it is one order', async () => {
    const { instrument } = await market()
    const { email, client } = await member({ USDT: '100' })
    await using opened = await openPage(browser, urlOf(instrument))
    const { page } = opened
    await login(page, email)
    await shows(page.locator('#available'), '100 USDT')
    const statuses: number[] = []
    await page.route('**/api/v3/order', async (route) => {
      const answer = await route.fetch()
      statuses.push(answer.status())
      if (statuses.length === 1) await route.abort()
      else await route.fulfill({ response: answer })
    })
    await place(page, 'buy', '10', '3')
    await shows(page.locator('#open-count'), '1')
    assert.deepEqual(statuses, [201, 200])
    assert.equal((await client.ok('GET', '/orders')).orders.length, 1)
    await shows(page.locator('#available'), '70 USDT')
  })

  it('loads itself again where a part of it did not arrive', async () => {
    await using opened = await openPage(browser, 'about:blank')
    const { page } = opened
    // Asked for early, and once more when it is needed; the third time is that of the page that was loaded again.
    const asked = new Map<string, number>()
    await page.route(/\/(?:decimal|lightweight-charts)\.js/, async (route) => {
      const [name = ''] = /[a-z-]+\.js/.exec(route.request().url()) ?? []
      asked.set(name, (asked.get(name) ?? 0) + 1)
      if ((asked.get(name) ?? 0) <= 2) await route.abort('connectionreset')
      else await route.continue()
    })
    await page.goto(traefik.url, { waitUntil: 'commit' })
    await page.locator('#banner', { hasText: 'did not arrive' }).waitFor({ state: 'visible' })
    await isLive(page)
    await page.locator('#chart canvas').first().waitFor({ state: 'visible' })
  })

  it('lets no text become HTML, and nothing out to another host', async () => {
    await using opened = await openPage(browser, traefik.url)
    const { page } = opened
    const tried = (code: string) => page.evaluate(`try { ${code}; 'done' } catch (error) { String(error) }`)
    assert.match(String(await tried(`document.body.innerHTML = '<img src=x>'`)), /TrustedHTML/)
    assert.match(String(await tried(`document.createElement('script').text = 'alert(1)'`)), /TrustedScript/)
    const refused = await page.evaluate(`new Promise((resolve) => {
      addEventListener('securitypolicyviolation', ({ effectiveDirective }) => resolve(effectiveDirective), { once: true })
      fetch('https://example.com/').catch(() => {})
    })`)
    assert.equal(refused, 'connect-src')
  })

  it('notices a change of the book that got lost, and puts it together anew', async () => {
    const { base, instrument, order } = await market()
    const seller = await member({ [base]: '50' })
    await using opened = await openPage(browser, 'about:blank')
    const { page } = opened
    let isLosing = false
    let lost = 0
    await page.routeWebSocket(/\/api\/v3\/stream/, (client) => {
      const server = client.connectToServer()
      server.onMessage((message) => {
        if (isLosing && lost === 0 && String(message).includes('"orderbook.change"')) lost++
        else client.send(message)
      })
    })
    const anew = page.waitForEvent('console', (message) => message.text().includes('begins anew'))
    await page.goto(urlOf(instrument))
    await isLive(page)
    await order(seller.client, 'sell', '10', '1')
    await shows(row(page, 'asks').first(), '10.001.0001.000')
    isLosing = true
    await order(seller.client, 'sell', '9', '1')
    await eventually(() => assert.equal(lost, 1))
    await order(seller.client, 'sell', '8', '1')
    await anew
    await counts(row(page, 'asks'), 3)
    await shows(row(page, 'asks').first(), '8.001.0001.000')
    await shows(page.locator('#asks'), '8.001.0001.0009.001.0002.00010.001.0003.000')
    await page.getByLabel('Group prices by').selectOption({ label: '5' })
    await shows(row(page, 'asks').first(), '103.0003.000')
    await counts(row(page, 'asks'), 1)
  })

  it('on a phone: one view at a time, and as much as on a desk', async () => {
    const [width] = WIDTHS
    const { base, instrument, order } = await market()
    const seller = await member({ [base]: '10' })
    const { email } = await member({ USDT: '500' })
    await order(seller.client, 'sell', '50', '4')
    await using opened = await openPage(browser, urlOf(instrument), {
      viewport: { width, height: 844 },
      colorScheme: 'dark',
      hasTouch: true,
      isMobile: true,
    })
    const { page, problems } = opened
    await isLive(page)
    await login(page, email)
    const view = async (name: string): Promise<void> => {
      await page.locator('#views-bar').getByRole('button', { name }).tap()
      await assertFits(page)
    }
    await view('Trade')
    await row(page, 'asks').first().tap()
    await page.locator('[data-percent="25"]').tap()
    assert.equal(await page.locator('#amount').inputValue(), '2.5')
    await page.locator('#submit').tap()
    await noticed(page, `Bought 2.5 ${base} for 125 USDT.`)
    await takePicture(page, 'trading-page-phone-trade')
    await place(page, 'buy', '40', '1')
    await view('Orders')
    await shows(page.locator('#view-open tbody tr'), /Buy40\.001\.000/)
    await page.getByRole('button', { name: /^Cancel: Buy/ }).tap()
    await shows(page.locator('#view-open .empty'), 'No open orders.')
    await page.getByRole('tab', { name: 'Balances' }).tap()
    await shows(page.locator('#view-balances tbody tr').last(), 'USDT3750375')
    await view('Book')
    await shows(row(page, 'asks').first(), '50.001.5001.500')
    await view('Chart')
    await page.locator('#trade-rows .row').first().waitFor({ state: 'visible' })
    await takePicture(page, 'trading-page-phone-chart')
    assert.deepEqual(ofThePage(problems), [])
  })
})

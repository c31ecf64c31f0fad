import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import type { Browser, Page } from 'playwright-core'
import { freePort } from '#launcher/servers/ports.ts'
import { makeBusUsers } from '#mesh/bus-users.ts'
import { ACCOUNT_SLOTS_DEFAULT, MARKET_SLOTS_DEFAULT } from '#mesh/config.ts'
import { OPERATOR } from '#mesh/permissions.ts'
import { type Alarm, RECENT_ALARMS_KEY } from '#mesh/protocol/alerts.ts'
import type { LogoutRequest } from '#mesh/protocol/auth.ts'
import { callRpc } from '#mesh/rpc.ts'
import { connectNats } from '#mesh/service.ts'
import { Rpc } from '#mesh/subjects.ts'
import { startNats } from '#mesh/testing/servers.ts'
import { startWebhook } from '#services/alerts/testing.ts'
import { assertFits, openPage, startBrowser, takePicture, WIDTHS } from './support/browser.ts'
import { Client } from './support/client.ts'
import { eventually } from './support/eventually.ts'
import { startMesh, type TestMesh } from './support/mesh.ts'

const MEMBER = { email: 'seller@example.com', password: 'correct horse' }

describe("the operator's page, in a browser on a running mesh", function () {
  this.timeout(60_000)
  const directory = mkdtempSync(join(tmpdir(), 'exchange-operator-page-'))
  const seeds = join(directory, 'seeds')
  const natsLog = join(directory, 'nats.log')
  let browser: Browser
  let bus: Awaited<ReturnType<typeof startNats>>
  let mesh: TestMesh
  let webhook: Awaited<ReturnType<typeof startWebhook>>
  let url: string
  let orders: { readonly sold: string; readonly open: string; readonly refused: string }

  before(async function () {
    this.timeout(300_000)
    browser = await startBrowser(this)
    webhook = await startWebhook()
    const users = makeBusUsers(seeds, { accountSlots: ACCOUNT_SLOTS_DEFAULT, marketSlots: MARKET_SLOTS_DEFAULT })
    bus = await startNats({ extraConfig: `${users}\nlog_file: ${JSON.stringify(natsLog)}` })
    mesh = await startMesh({
      natsUrl: bus.url,
      scale: { accounts: 2 },
      env: { NATS_NKEY_DIR: seeds, PASSWORD_COST_LOG2: '10', SNAPSHOT_DIR: join(directory, 'snapshots') },
    })
    const port = await freePort()
    url = `http://127.0.0.1:${port}`
    await Promise.all([
      mesh.add('alerts', { ALERT_WEBHOOK_URL: webhook.url }),
      mesh.add('operator-page', {
        OPERATOR_PORT: String(port),
        OPERATOR_LINKS: `API=${mesh.urls[0]}/docs, Nothing=http://127.0.0.1:${await freePort()}`,
        NATS_MONITOR_URL: bus.monitorUrl,
      }),
    ])
    orders = await trade(mesh)
  })
  after(async () => {
    await browser?.close()
    await mesh?.stop()
    await bus?.stop()
    webhook?.stop()
    rmSync(directory, { recursive: true, force: true })
  })

  const logIn = async (page: Page, { email, password }: { email: string; password: string }): Promise<void> => {
    await page.getByLabel('E-mail').fill(email)
    await page.getByLabel('Password').fill(password)
    await page.getByRole('button', { name: 'Log in' }).click()
  }
  const asAdmin = async (options: Parameters<typeof openPage>[2] = {}) => {
    const opened = await openPage(browser, url, options)
    await logIn(opened.page, mesh.admin)
    // On a busy machine MySQL may be late for a while, which is a problem.
    await opened.page.getByText('All is well').waitFor({ timeout: 40_000 })
    return opened
  }
  const row = (page: Page, name: string) =>
    page.getByRole('row').filter({ has: page.getByRole('rowheader', { name, exact: true }) })

  for (const width of WIDTHS) {
    for (const colorScheme of ['light', 'dark'] as const) {
      it(`shows everything that runs, ${width} wide and ${colorScheme}`, async () => {
        const opened = await asAdmin({ viewport: { width, height: 900 }, colorScheme })
        await using _ = opened
        const { page, problems } = opened
        for (const name of [
          'accounts-1',
          'accounts-2',
          'alerts-1',
          'auth-1',
          'engine-1',
          'gateway-1',
          'guid-1',
          'operator-page-1',
          'orders-1',
        ]) {
          await row(page, name).getByText('ready', { exact: true }).waitFor()
        }
        for (const name of ['definitions 0', 'accounts 0', 'accounts 3', 'engine 3', 'EVENTS', 'USDT', 'orders']) {
          await row(page, name).waitFor()
        }
        for (const name of ['NATS', 'MySQL', 'Redis']) await page.getByRole('heading', { name, exact: true }).waitFor()
        await page.getByRole('link', { name: 'API' }).waitFor()
        assert.equal(await page.getByRole('link', { name: 'Nothing' }).count(), 0, 'what does not answer is no link')
        await assertFits(page)
        await takePicture(page, `operator-${width}-${colorScheme}`)

        await page.getByRole('textbox', { name: 'Order' }).fill(orders.sold)
        await page.getByRole('button', { name: 'Find order' }).click()
        await page.getByText('Booked: the market took it').waitFor()
        await assertFits(page)
        await takePicture(page, `operator-order-${width}-${colorScheme}`)
        assert.deepEqual(problems, [])
      })
    }
  }

  it('tells the way of an order: where each step lies, what it moved, and what is not there', async () => {
    await using opened = await asAdmin()
    const { page } = opened
    const look = async (id: string): Promise<string> => {
      await page.goto(`${url}/#order/${id}`)
      await page.reload()
      const section = page.getByRole('region', { name: `Order ${id}` })
      await section.getByText(/Its way|There is no order/).waitFor()
      return (await section.textContent()) ?? ''
    }
    const sold = await look(orders.sold)
    const steps = [
      'Taken by gateway-1',
      'The command is stored in the log of accounts',
      'Funds are held',
      'The order is in the log of engine',
      'has matched it',
      'The outcome from markets-',
      'Booked: the market took it',
      'Booked: another order met it, 1 fill; it is executed',
    ]
    const places = steps.map((step) => sold.indexOf(step))
    assert(!places.includes(-1), sold)
    // What the account slot stores at once, and what the engine does, has no order of its own.
    const [taken = 0, command = 0, held = 0, entered = 0, matched = 0, outcome = 0, booked = 0, executed = 0] = places
    const waves = [[taken], [command], [held, entered], [matched, outcome], [booked], [executed]]
    for (const [index, wave] of waves.entries()) {
      for (const later of waves[index + 1] ?? []) assert(Math.max(...wave) < later, sold)
    }
    assert.match(sold, /ACCOUNTS accounts\.[0-3]\.cmd [0-9]+/)
    assert.match(sold, /EVENTS events\.accounts\.[0-3] [0-9]+ · position [0-9]+-0-0/)
    assert.match(sold, /BTC-0\.1/)
    assert.match(sold, /USDT\+5,994/)

    const open = await look(orders.open)
    assert.match(open, /it is new/)
    assert.match(open, /It moved no money/)
    assert.match(await look(orders.refused), /Refused by the account: insufficient_balance/)
    assert.match(await look('4711'), /There is no order 4711/)
  })

  it('sees an instance go, and come again, and slots move', async () => {
    await using opened = await asAdmin()
    const { page } = opened
    await mesh.process('alerts').kill()
    await mesh.process('accounts-2').kill()
    await row(page, 'alerts-1')
      .getByText(/^gone for/)
      .waitFor()
    await page.getByText('alerts-1 is gone, and no other alerts is ready').waitFor()
    // Another one stands in for it: that is no problem.
    await row(page, 'accounts-2')
      .getByText(/^gone for/)
      .waitFor()
    for (const slot of ['accounts 0', 'accounts 1', 'accounts 2', 'accounts 3']) {
      await row(page, slot).getByRole('cell', { name: 'accounts-1', exact: true }).waitFor()
    }
    await page.getByText('1 problem', { exact: true }).waitFor()
    await mesh.process('alerts').start()
    await page.getByText('All is well').waitFor({ timeout: 40_000 })
  })

  it('sends a test alert, and takes a snapshot', async () => {
    await using opened = await asAdmin()
    const { page } = opened
    await page.getByRole('button', { name: 'Send a test alert' }).click()
    await page.getByText(/^Delivered to webhook at /).waitFor()
    await page.getByRole('button', { name: 'Take a snapshot of definitions 0 now' }).click()
    await page.getByText(/^(Snapshot of definitions 0 taken|.*nothing new)/i).waitFor({ state: 'attached' })
  })

  it('fits every width in between', async () => {
    await using opened = await asAdmin()
    for (const width of [320, 640, 1024, 1210]) {
      await opened.page.setViewportSize({ width, height: 900 })
      await assertFits(opened.page)
    }
  })

  it('shows the last alarms as they were said, and what an instance says of itself', async () => {
    const redis = new Redis(mesh.servers.redis.url)
    const alarm: Alarm = {
      id: 'x',
      kind: 'engine:rules_failed',
      level: 'fatal',
      service: 'engine',
      instance: 'engine-1',
      message: 'slot <img src=x onerror=alert(1)> halted',
      details: 'markets-2',
      // Longer ago than what counts as a problem.
      at: new Date(Date.now() - 3_600_000).toISOString(),
      held: 3,
    }
    await redis.lpush(RECENT_ALARMS_KEY, JSON.stringify(alarm))
    redis.disconnect()
    await using opened = await asAdmin()
    const { page, problems } = opened
    await page.getByText(alarm.message, { exact: true }).waitFor()
    await page.getByText(/engine-1 · engine:rules_failed · 3 more before$/).waitFor()

    await page.getByRole('button', { name: 'engine-1', exact: true }).click()
    const dialog = page.getByRole('dialog', { name: 'engine-1' })
    await dialog.getByRole('row').filter({ hasText: 'slot markets-3' }).getByText('running').waitFor()
    await takePicture(page, 'operator-instance')
    await page.keyboard.press('Escape')
    await dialog.waitFor({ state: 'hidden' })
    assert.deepEqual(problems, [])
  })

  it('refuses members with words, and whoever has not logged in', async () => {
    await using opened = await openPage(browser, url)
    const { page } = opened
    assert.equal(new URL(page.url()).pathname, '/login')
    await logIn(page, { ...MEMBER, password: 'wrong horse' })
    await page.getByText('The e-mail address or the password is wrong.').waitFor()
    await logIn(page, MEMBER)
    await page.getByText('This page is for admins, and this account is not one.').waitFor()
    assert.deepEqual(await page.context().cookies(), [])
    await assertFits(page)
    await takePicture(page, 'operator-login')
    const paths = ['/api/state', `/api/orders/${orders.sold}`]
    for (const path of paths) assert.equal((await fetch(url + path)).status, 401, path)
  })

  it('ends with the session, wherever that is ended', async () => {
    await using opened = await asAdmin()
    const { page } = opened
    const [cookie] = await page.context().cookies()
    assert.deepEqual([cookie?.httpOnly, cookie?.sameSite], [true, 'Strict'])
    const anyone = new Client(mesh.urls)
    const { id } = await anyone
      .as((await anyone.ok('POST', '/sessions', mesh.admin)).accessToken)
      .ok('GET', '/members/me')
    const nats = await connectNats(bus.url, 'test', OPERATOR, { NATS_NKEY_DIR: seeds })
    const request: LogoutRequest = { memberId: Number(id) }
    await callRpc(nats, Rpc.authLogout, request, 5_000)
    await nats.close()
    await page.getByRole('button', { name: 'Log in' }).waitFor()

    await logIn(page, mesh.admin)
    await page.getByRole('button', { name: 'Log out' }).click()
    await page.getByRole('button', { name: 'Log in' }).waitFor()
    assert.deepEqual(await page.context().cookies(), [])
  })

  it('asks the bus for nothing that it may not', () => {
    assert.deepEqual(readFileSync(natsLog, 'utf8').match(/.*Violation.*/g), null)
  })

  it('takes no orders from other pages', async () => {
    await using opened = await asAdmin()
    const [cookie] = await opened.page.context().cookies()
    const post = (origin: string | undefined) =>
      fetch(`${url}/api/actions/test-alert`, {
        method: 'POST',
        headers: { cookie: `${cookie?.name}=${cookie?.value}`, ...(origin === undefined ? {} : { origin }) },
      })
    for (const origin of [undefined, 'null', 'http://127.0.0.1:1', url.replace('http', 'https')]) {
      const response = await post(origin)
      assert.equal(response.status, 403, origin)
      assert.equal(((await response.json()) as { code: string }).code, 'origin_refused')
    }
    await eventually(async () => assert.equal((await post(url)).status, 200))
  })
})

/** A sell that rests and is bought, an order that stays open, and one that is refused. */
async function trade(mesh: TestMesh) {
  const anyone = new Client(mesh.urls)
  const admin = anyone.as((await anyone.ok('POST', '/sessions', mesh.admin)).accessToken)
  const member = async (credentials: typeof MEMBER, asset: string, amount: string) => {
    const { id } = await anyone.ok('POST', '/members', credentials)
    await admin.ok('POST', '/admin/deposits', { reference: `d-${id}`, memberId: id, asset, amount })
    return anyone.as((await anyone.ok('POST', '/sessions', credentials)).accessToken)
  }
  const seller = await member(MEMBER, 'BTC', '1')
  const buyer = await member({ ...MEMBER, email: 'buyer@example.com' }, 'USDT', '10000')
  const order = { instrument: 'BTC-USDT', type: 'limit', price: '60000', amount: '0.1' }
  const { id: sold } = await seller.ok('POST', '/order', { ...order, side: 'sell' })
  await buyer.ok('POST', '/order', { ...order, side: 'buy' })
  const { id: open } = await seller.ok('POST', '/order', { ...order, side: 'sell', price: '70000' })
  const refused = await buyer.call('POST', '/order', { ...order, side: 'buy', amount: '100' })
  return { sold: sold as string, open: open as string, refused: refused.body.orderId as string }
}

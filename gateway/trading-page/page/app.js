/** @import { Asset, Candle, Market } from './types.ts' */
import { Account } from './account.js'
import { persistently, Refused, request } from './api.js'
import { BookPanel } from './book-panel.js'
import { Chart } from './chart.js'
import { fromUnits } from './decimal.js'
import { wireDialogs } from './dialogs.js'
import { byId, drawSoon, element, say } from './dom.js'
import { grouped, padded } from './format.js'
import { keep, read } from './kept.js'
import { MarketPicker } from './market-picker.js'
import { MarketRules } from './market-rules.js'
import { MemberData } from './member-data.js'
import { MemberPanels } from './member-panels.js'
import { wordsOf } from './messages.js'
import { notify } from './notices.js'
import { OrderForm } from './order-form.js'
import { Session } from './session.js'
import { wireShortcuts } from './shortcuts.js'
import { Stream } from './stream.js'
import { TradesPanel } from './trades-panel.js'

const INTERVALS = ['1s', '1m', '5m', '15m', '1h', '4h', '1d', '1w']
const CANDLES = '500'
const MARKETS_EVERY_MS = 60_000
const AGAIN_MS = 3_000
/** A connection that moves to another gateway is back sooner. */
const BANNER_AFTER_MS = 1_500
const KEPT = { market: 'market', interval: 'interval', theme: 'theme' }

const session = new Session()
const stream = new Stream(session)
const chart = new Chart((before) => candlesBefore(before))
const account = new Account(session)
const form = new OrderForm({
  session,
  bookOf: () => book.book,
  onLogin: () => account.ask('login'),
  onPlaced: (order) => {
    data.takeOrder(order)
    if (order.status === 'new') notify(`In the book: ${panels.wordsOf(order)}.`, 'good')
    if (order.status === 'closed') notify('The rest of the order was closed: nothing more rested within its price.')
  },
})
const book = new BookPanel(stream, (price) => form.price(price))
const trades = new TradesPanel(stream)
const picker = new MarketPicker(stream, (market) => {
  location.hash = market.instrument
})
const data = new MemberData(session, stream)
const panels = new MemberPanels({ session, data, rulesOf: (instrument) => rulesByInstrument.get(instrument) })

/** @type {Map<string, MarketRules>} */
let rulesByInstrument = new Map()
/** @type {MarketRules | undefined} */
let rules
let interval = read(KEPT.interval) ?? '15m'
let candleChannel = ''
/** @type {ReturnType<typeof setTimeout> | undefined} */
let bannerTimer

book.addEventListener(
  'book',
  drawSoon(() => form.refresh()),
)
trades.addEventListener('last', drawSoon(drawLast))
data.addEventListener('change', drawSoon(drawOwn))
stream.addEventListener('status', drawStatus)
addEventListener('hashchange', () => showMarket())

wireDialogs()
wireTheme()
wireViews()
wireIntervals()
wireShortcuts([
  { key: 'b', words: 'Buy', act: () => inView('trade', () => form.side('buy')) },
  { key: 's', words: 'Sell', act: () => inView('trade', () => form.side('sell')) },
  { key: 'l', words: 'Limit order', act: () => inView('trade', () => form.type('limit')) },
  { key: 'k', words: 'Market order', act: () => inView('trade', () => form.type('market')) },
  { key: 'p', words: 'Price', act: () => inView('trade', () => form.focus('price')) },
  { key: 'a', words: 'Amount', act: () => inView('trade', () => form.focus('amount')) },
  ...[25, 50, 75, 100].map((percent, index) => ({
    key: String(index + 1),
    words: `${percent} % of what is available`,
    act: () => form.percent(percent),
  })),
  { key: 'm', words: 'Markets', act: () => picker.open() },
  { key: 'o', words: 'Open orders', act: () => inView('orders', () => panels.select('open')) },
  { key: 'x', words: 'Cancel all open orders (asks first)', act: () => void panels.cancelAll() },
  { key: 't', words: 'Light or dark', act: () => byId('theme-button').click() },
])
account.draw()
stream.start()
void session.resume()
void chart.start().then(() => {
  if (rules !== undefined) void showCandles(rules)
})
void readMarkets()

/** All markets, again and again: they can be halted, and new ones are added. */
async function readMarkets() {
  try {
    const [{ markets }, { assets }] = await Promise.all([
      persistently(() => request('GET', '/markets')),
      persistently(() => request('GET', '/assets')),
    ])
    const scales = new Map(/** @type {Asset[]} */ (assets).map(({ asset, scale }) => [asset, scale]))
    picker.markets = markets
    rulesByInstrument = new Map(
      /** @type {Market[]} */ (markets).map((market) => [
        market.instrument,
        new MarketRules(market, (asset) => scales.get(asset) ?? 0),
      ]),
    )
    showMarket()
    setTimeout(readMarkets, MARKETS_EVERY_MS)
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    say(byId('market-label'), 'No markets')
    setTimeout(readMarkets, AGAIN_MS)
  }
}

/** The market that the address names, or the last one, or the first. */
function showMarket() {
  const wanted = [location.hash.slice(1), read(KEPT.market) ?? '', ...rulesByInstrument.keys()]
  const next = wanted.map((instrument) => rulesByInstrument.get(instrument)).find((found) => found !== undefined)
  if (next === undefined) return
  const isOther = next.market.instrument !== rules?.market.instrument
  const hasChanged = JSON.stringify(next.market) !== JSON.stringify(rules?.market)
  if (!isOther && !hasChanged) return
  rules = next
  if (isOther) {
    keep(KEPT.market, next.market.instrument)
    picker.show(next.market)
    book.show(next)
    trades.show(next)
    panels.show(next.market.instrument)
    void showCandles(next)
    drawLast()
  }
  form.show(next)
  drawFacts(next)
  drawOwn()
}

/** @param {MarketRules} of */
function drawFacts({ market }) {
  const { base, quote, tick, lot, amountMin, makerFeePpm, takerFeePpm } = market
  const percent = (/** @type {number} */ ppm) => `${fromUnits(BigInt(ppm), 4)}%`
  say(byId('fact-fees'), `${percent(makerFeePpm)} / ${percent(takerFeePpm)}`)
  say(byId('fact-tick'), `${tick} ${quote}`)
  say(byId('fact-lot'), `${lot} ${base}`)
  say(byId('fact-least'), `${amountMin} ${base}`)
}

/** @param {MarketRules} wanted */
async function showCandles(wanted) {
  if (candleChannel !== '') stream.leave(candleChannel)
  const { instrument } = wanted.market
  const channel = `candles:${instrument}:${interval}`
  candleChannel = channel
  let isFirst = true
  await readCandles(wanted, { isNew: true })
  if (channel !== candleChannel) return
  stream.follow(channel, (message) => {
    if (channel !== candleChannel) return
    if (message.type !== 'candles.snapshot' && message.type !== 'candles') return
    const { candles } = message
    const take = () => takeCandles(candles)
    // After a pause there may be candles between what is shown and what is told.
    if (message.type === 'candles.snapshot' && !isFirst) void readCandles(wanted, { isNew: false }).then(take)
    else take()
    isFirst = false
  })
}

/**
 * @param {MarketRules} of
 * @param {{ isNew: boolean }} how
 */
async function readCandles(of, how) {
  const { instrument } = of.market
  const channel = candleChannel
  const chosen = interval
  /** @type {Candle[]} */
  let candles = []
  let words = 'Nothing was traded here yet.'
  try {
    const query = { interval: chosen, limit: CANDLES }
    candles = (await persistently(() => request('GET', `/markets/${instrument}/candles`, { query }))).candles
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    words = wordsOf(error)
    if (!how.isNew) return
  }
  if (channel !== candleChannel) return
  chart.show(of, candles, { ...how, hasSeconds: chosen === '1s' })
  say(byId('chart-empty'), words)
  drawChartWords()
  drawOwn()
}

/**
 * @param {string} end
 * @returns {Promise<readonly Candle[]>}
 */
async function candlesBefore(end) {
  if (rules === undefined) return []
  const query = { interval, limit: CANDLES, end }
  try {
    return (await persistently(() => request('GET', `/markets/${rules?.market.instrument}/candles`, { query }))).candles
  } catch (error) {
    if (error instanceof Refused) return []
    throw error
  }
}

/** @param {Candle[]} candles */
function takeCandles(candles) {
  for (const candle of candles) chart.update(candle)
  drawChartWords()
}

function drawChartWords() {
  byId('chart-empty').hidden = chart.count > 0
  const label = `Candles of ${rules?.market.instrument}, ${interval} each, ${chart.count} of them`
  if (byId('chart').getAttribute('aria-label') !== label) byId('chart').setAttribute('aria-label', label)
}

function drawLast() {
  if (rules === undefined) return
  const { last, direction } = trades
  const text = last === undefined ? '–' : grouped(padded(last.price, rules.priceScale))
  say(byId('last-price-value'), text)
  byId('last-price').dataset.direction = direction
  say(byId('book-last'), text)
  byId('book-last').dataset.direction = direction
  const { base, quote } = rules.market
  document.title = last === undefined ? `${base}/${quote} · Exchange` : `${text} ${base}/${quote} · Exchange`
}

function drawOwn() {
  const instrument = rules?.market.instrument
  const own = [...data.open.values()].filter((order) => order.instrument === instrument)
  book.mark(own)
  chart.mark(own)
  form.fund(data.balances)
  byId('own-facts').hidden = session.member === undefined
  if (rules === undefined) return
  for (const part of /** @type {const} */ (['base', 'quote'])) {
    const asset = rules.market[part]
    say(byId(`own-${part}`), `${asset} balance`)
    say(byId(`own-${part}-total`), grouped(data.balances.get(asset)?.total ?? '0'))
  }
}

function drawStatus() {
  const { status } = stream
  byId('status').dataset.status = status
  say(byId('status-text'), status === 'online' ? 'Live' : status === 'offline' ? 'Offline' : 'Connecting')
  clearTimeout(bannerTimer)
  if (status === 'online') say(byId('banner'), '')
  else {
    const words = 'Offline: what you see may be old. Connecting again…'
    bannerTimer = setTimeout(() => say(byId('banner'), words), BANNER_AFTER_MS)
  }
}

function wireTheme() {
  const root = document.documentElement
  const dark = matchMedia('(prefers-color-scheme: dark)')
  const draw = () => {
    say(byId('theme-name'), root.dataset.theme ?? 'system')
    chart.paint()
  }
  dark.addEventListener('change', draw)
  byId('theme-button').addEventListener('click', () => {
    const isDark = (root.dataset.theme ?? (dark.matches ? 'dark' : 'light')) === 'dark'
    const next = isDark ? 'light' : 'dark'
    // Back at the system's own scheme it is followed again.
    if ((next === 'dark') === dark.matches) {
      delete root.dataset.theme
      keep(KEPT.theme, undefined)
    } else {
      root.dataset.theme = next
      keep(KEPT.theme, next)
    }
    draw()
  })
  draw()
}

/** On a phone one view is shown at a time. */
function wireViews() {
  for (const button of byId('views-bar').querySelectorAll('button')) {
    button.addEventListener('click', () => showView(button.dataset.tab ?? 'chart'))
  }
}

/** @param {string} name */
function showView(name) {
  byId('desk').dataset.tab = name
  for (const button of byId('views-bar').querySelectorAll('button')) {
    if (button.dataset.tab === name) button.setAttribute('aria-current', 'true')
    else button.removeAttribute('aria-current')
  }
  scrollTo(0, 0)
}

/**
 * @param {string} name
 * @param {() => void} act
 */
function inView(name, act) {
  showView(name)
  act()
}

function wireIntervals() {
  if (!INTERVALS.includes(interval)) interval = '15m'
  const group = byId('intervals')
  const draw = () => {
    for (const button of group.querySelectorAll('button'))
      button.setAttribute('aria-pressed', String(button.value === interval))
  }
  group.replaceChildren(...INTERVALS.map((value) => element('button', { type: 'button', value }, value)))
  group.addEventListener('click', ({ target }) => {
    if (!(target instanceof HTMLButtonElement) || target.value === interval) return
    interval = target.value
    keep(KEPT.interval, interval)
    draw()
    if (rules !== undefined) void showCandles(rules)
  })
  draw()
}

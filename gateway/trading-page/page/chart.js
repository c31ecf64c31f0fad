/** @import { Candle, Order } from './types.ts' */
/** @import { MarketRules } from './market-rules.js' */
/** @import { IChartApi, IPriceLine, ISeriesApi, UTCTimestamp } from 'lightweight-charts' */
import { byId, say } from './dom.js'
import { compact, grouped, padded } from './format.js'

/** With fewer candles left of what is seen, older ones are asked for. */
const OLDER_BELOW = 20
const AGAIN_MS = 2_000
/** Own orders that are drawn as lines, at most. */
const LINES_MAX = 20

/**
 * Candles and volume. Only here prices become floating-point numbers, for the eye alone.
 */
export class Chart {
  /** @type {IChartApi | undefined} */
  #chart
  /** @type {ISeriesApi<'Candlestick'> | undefined} */
  #candles
  /** @type {ISeriesApi<'Histogram'> | undefined} */
  #volumes
  /** @type {IPriceLine[]} */
  #lines = []
  /** @type {Map<number, Candle>} by the time of their start, in seconds */
  #shown = new Map()
  #newest = 0
  #places = 0
  /** The orders that are drawn, as one text. */
  #marked = ''
  #colours = coloursNow()
  /** Whether there is nothing older, or it is being asked for. */
  #isWhole = true
  #onOlder

  /** @param {(before: string) => Promise<readonly Candle[]>} onOlder */
  constructor(onOlder) {
    this.#onOlder = onOlder
  }

  /** The library is large: the page is there before it. */
  async start() {
    const { CandlestickSeries, ColorType, createChart, CrosshairMode, HistogramSeries } = await library()
    this.#chart = createChart(byId('chart'), {
      autoSize: true,
      layout: {
        attributionLogo: false,
        background: { type: ColorType.Solid, color: 'transparent' },
        fontFamily: getComputedStyle(document.body).fontFamily,
        fontSize: 11,
      },
      crosshair: { mode: CrosshairMode.Normal },
      localization: { locale: 'en', timeFormatter: timeText },
      timeScale: { timeVisible: true, rightOffset: 6, barSpacing: 8, minBarSpacing: 2, tickMarkFormatter: tickText },
      rightPriceScale: { borderVisible: false, entireTextOnly: true, scaleMargins: { top: 0.08, bottom: 0.24 } },
    })
    this.#candles = this.#chart.addSeries(CandlestickSeries, { borderVisible: false, priceLineWidth: 1 })
    this.#volumes = this.#chart.addSeries(HistogramSeries, {
      priceScaleId: 'volume',
      priceFormat: { type: 'volume' },
      lastValueVisible: false,
      priceLineVisible: false,
    })
    this.#volumes.priceScale().applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } })
    this.#chart.subscribeCrosshairMove(({ time }) => this.#legend(this.#shown.get(Number(time)) ?? this.#last()))
    this.#chart.timeScale().subscribeVisibleLogicalRangeChange((range) => {
      if (range !== null && range.from < OLDER_BELOW) void this.#readOlder()
    })
    this.paint()
  }

  get count() {
    return this.#shown.size
  }

  /** In the colours of the scheme that is on now. */
  paint() {
    const colours = coloursNow()
    this.#colours = colours
    this.#chart?.applyOptions({
      layout: { textColor: colours.soft },
      grid: { vertLines: { color: colours.line }, horzLines: { color: colours.line } },
      timeScale: { borderColor: colours.line },
      crosshair: {
        vertLine: { color: colours.soft, labelBackgroundColor: colours.accent },
        horzLine: { color: colours.soft, labelBackgroundColor: colours.accent },
      },
    })
    this.#candles?.applyOptions({
      upColor: colours.buy,
      downColor: colours.sell,
      wickUpColor: colours.buy,
      wickDownColor: colours.sell,
    })
    this.#fill()
  }

  /**
   * @param {MarketRules} rules
   * @param {readonly Candle[]} candles
   * @param {{ isNew: boolean, hasSeconds: boolean }} how new: it is looked at from its right end
   */
  show(rules, candles, { isNew, hasSeconds }) {
    this.#places = rules.priceScale
    this.#chart?.timeScale().applyOptions({ secondsVisible: hasSeconds })
    this.#candles?.applyOptions({
      priceFormat: {
        type: 'custom',
        minMove: Number(rules.market.tick),
        formatter: (/** @type {number} */ price) => grouped(price.toFixed(rules.priceScale)),
      },
    })
    const read = candles
      .map((candle) => /** @type {[number, Candle]} */ ([secondsOf(candle), candle]))
      .sort(([one], [other]) => one - other)
    const [first] = read
    // What was read of older times goes on to what is read now, unless there is a hole between.
    const older =
      isNew || first === undefined || !this.#shown.has(first[0])
        ? []
        : [...this.#shown].filter(([seconds]) => seconds < first[0])
    this.#shown = new Map([...older, ...read])
    if (isNew) this.#isWhole = candles.length === 0
    this.#newest = [...this.#shown.keys()].at(-1) ?? 0
    this.#fill()
    this.#legend(this.#last())
    if (!isNew) return
    this.#chart?.timeScale().resetTimeScale()
    this.#chart?.priceScale('right').applyOptions({ autoScale: true })
  }

  /**
   * A candle that is new, or another than before.
   * @param {Candle} candle
   */
  update(candle) {
    const seconds = secondsOf(candle)
    this.#shown.set(seconds, candle)
    if (seconds < this.#newest) {
      this.#shown = new Map([...this.#shown].sort(([one], [other]) => one - other))
      this.#fill()
    } else {
      this.#newest = seconds
      this.#candles?.update(barOf(seconds, candle))
      this.#volumes?.update(volumeOf(seconds, candle, this.#colours))
      this.#legend(candle)
    }
  }

  /**
   * Own orders of this market as lines.
   * @param {readonly Order[]} orders
   */
  mark(orders) {
    const drawn = orders.slice(0, LINES_MAX)
    const marked = `${this.#colours.buy} ${drawn.map(({ side, price, amount }) => `${side} ${amount} ${price}`).join()}`
    if (marked === this.#marked || this.#candles === undefined) return
    this.#marked = marked
    for (const line of this.#lines) this.#candles.removePriceLine(line)
    this.#lines = []
    for (const { side, price, amount } of drawn) {
      const line = this.#candles.createPriceLine({
        price: Number(price),
        color: side === 'buy' ? this.#colours.buy : this.#colours.sell,
        lineWidth: 1,
        lineStyle: 2,
        axisLabelVisible: true,
        title: `${side === 'buy' ? 'Buy' : 'Sell'} ${amount}`,
      })
      this.#lines.push(line)
    }
  }

  async #readOlder() {
    const [oldest] = this.#shown.values()
    if (this.#isWhole || oldest === undefined) return
    this.#isWhole = true
    const older = await this.#onOlder(oldest.start)
    const [still] = this.#shown.values()
    // Another market or interval is shown by now, or there was nothing.
    if (still?.start !== oldest.start || older.length === 0) return
    this.#shown = new Map([
      ...older.map((candle) => /** @type {[number, Candle]} */ ([secondsOf(candle), candle])),
      ...this.#shown,
    ])
    this.#isWhole = false
    this.#fill()
  }

  #fill() {
    const all = [...this.#shown]
    this.#candles?.setData(all.map(([seconds, candle]) => barOf(seconds, candle)))
    this.#volumes?.setData(all.map(([seconds, candle]) => volumeOf(seconds, candle, this.#colours)))
  }

  #last() {
    return [...this.#shown.values()].at(-1)
  }

  /** @param {Candle | undefined} candle */
  #legend(candle) {
    const price = (/** @type {string} */ text) => grouped(padded(text, this.#places))
    const text =
      candle === undefined
        ? ''
        : `O ${price(candle.open)}  H ${price(candle.high)}  L ${price(candle.low)}  C ${price(candle.close)}  Vol ${compact(candle.volume)}`
    say(byId('chart-legend'), text)
  }
}

/** @returns {Promise<typeof import('lightweight-charts')>} */
async function library() {
  for (let tries = 0; ; tries++) {
    try {
      // Browsers may remember that a module did not arrive, by its whole address.
      return await import(tries === 0 ? './lightweight-charts.js' : `./lightweight-charts.js?${tries}`)
    } catch {
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS))
    }
  }
}

const secondsOf = (/** @type {Candle} */ { start }) => Math.floor(Date.parse(start) / 1_000)

const barOf = (/** @type {number} */ seconds, /** @type {Candle} */ { open, high, low, close }) => ({
  time: /** @type {UTCTimestamp} */ (seconds),
  open: Number(open),
  high: Number(high),
  low: Number(low),
  close: Number(close),
})

const volumeOf = (
  /** @type {number} */ seconds,
  /** @type {Candle} */ { open, close, volume },
  /** @type {ReturnType<typeof coloursNow>} */ { buySoft, sellSoft },
) => ({
  time: /** @type {UTCTimestamp} */ (seconds),
  value: Number(volume),
  color: Number(close) >= Number(open) ? buySoft : sellSoft,
})

/** The library counts in UTC; people read their own time. */
const timeText = (/** @type {unknown} */ seconds) =>
  new Date(Number(seconds) * 1_000).toLocaleString('en-GB', {
    day: '2-digit',
    month: 'short',
    hour: '2-digit',
    minute: '2-digit',
  })

/** The library's kinds of marks: 0 year, 1 month, 2 day, 3 time, 4 time with seconds. */
function tickText(/** @type {unknown} */ seconds, /** @type {number} */ kind) {
  const time = new Date(Number(seconds) * 1_000)
  if (kind === 0) return String(time.getFullYear())
  if (kind === 1) return time.toLocaleString('en-GB', { month: 'short' })
  if (kind === 2) return time.toLocaleString('en-GB', { day: 'numeric', month: 'short' })
  return time.toLocaleTimeString('en-GB', { timeStyle: kind === 4 ? 'medium' : 'short' })
}

/** The style sheet's colours as the canvas takes them. */
function coloursNow() {
  const probe = document.createElement('i')
  document.body.append(probe)
  const colour = (/** @type {string} */ name) => {
    probe.style.color = `var(--${name})`
    return getComputedStyle(probe).color
  }
  const colours = {
    soft: colour('text-soft'),
    line: colour('line-faint'),
    accent: colour('accent'),
    buy: colour('buy'),
    sell: colour('sell'),
    buySoft: colour('buy-faint'),
    sellSoft: colour('sell-faint'),
  }
  probe.remove()
  return colours
}

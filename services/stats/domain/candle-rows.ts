import type { Frame } from '#mesh/frames.ts'
import type { ProjectionBatch } from '#mesh/projection/inbox.ts'
import { ascii, insertInto, int } from '#mesh/projection/sql.ts'
import type { MarketEvent } from '#mesh/protocol/engine.ts'
import { INTERVALS, type Interval } from '#mesh/protocol/stats.ts'
import { addTrade, type Candle, gathered } from './candles.ts'

interface Traded {
  /** Candles of a second, oldest first. */
  readonly seconds: Candle[]
  tradeId: number
  trades: number
  lots: bigint
  tickLots: bigint
}

/**
 * The rows of a run of frames of one engine slot: what they add to the candles that are there. So the rows in the end are the same,
 * wherever the borders of the runs fall.
 */
export class CandleRows implements ProjectionBatch<MarketEvent> {
  readonly #slot: number
  readonly #markets = new Map<string, Traded>()
  #secondsCount = 0

  constructor(slot: number) {
    this.#slot = slot
  }

  /** About: a row for each interval, and seconds share the longer ones. */
  get rowsCount(): number {
    return this.#secondsCount * 2 + this.#markets.size * INTERVALS.length
  }

  add({ events }: Frame<MarketEvent>): void {
    for (const event of events) {
      if (event.type !== 'Traded') continue
      const market = this.#marketOf(event.instrument)
      const before = market.seconds.length
      addTrade(market.seconds, event)
      this.#secondsCount += market.seconds.length - before
      market.tradeId = event.tradeId
      market.trades++
      market.lots += BigInt(event.lots)
      market.tickLots += BigInt(event.priceTicks) * BigInt(event.lots)
    }
  }

  /** In the order of their keys, so that neighbours share a page and two slots cannot wait for each other. */
  statements(): string[] {
    if (this.#markets.size === 0) return []
    const markets = [...this.#markets].sort(([a], [b]) => (a < b ? -1 : 1))
    const candles = markets.flatMap(([instrument, { seconds }]) =>
      INTERVALS.flatMap((interval) =>
        gathered(interval, seconds).map((candle) => rowOfCandle(instrument, interval, candle)),
      ),
    )
    return [insertCandles(candles), insertMarkets(markets.map(([name, traded]) => this.#rowOfMarket(name, traded)))]
  }

  #rowOfMarket(instrument: string, { seconds, tradeId, trades, lots, tickLots }: Traded): string {
    const last = seconds.at(-1)
    const lastS = last === undefined ? 0 : last.startS
    return `(${ascii(instrument, 32)},${this.#slot},${int(tradeId)},${int(last?.closeTicks ?? 0)},${int(lastS)},${trades},${lots},${tickLots})`
  }

  #marketOf(instrument: string): Traded {
    let market = this.#markets.get(instrument)
    if (market === undefined) {
      market = { seconds: [], tradeId: 0, trades: 0, lots: 0n, tickLots: 0n }
      this.#markets.set(instrument, market)
    }
    return market
  }
}

function rowOfCandle(instrument: string, interval: Interval, candle: Candle): string {
  const { startS, openTicks, highTicks, lowTicks, closeTicks, lots, tickLots, trades } = candle
  return `(${ascii(instrument, 32)},'${interval}',${int(startS)},${int(openTicks)},${int(highTicks)},${int(lowTicks)},${int(closeTicks)},${lots},${tickLots},${trades})`
}

const ADDED = 'lots=lots+VALUES(lots),tick_lots=tick_lots+VALUES(tick_lots),trades=trades+VALUES(trades)'

const insertCandles = insertInto(
  'candles',
  [
    'instrument',
    'period',
    'start_s',
    'open_ticks',
    'high_ticks',
    'low_ticks',
    'close_ticks',
    'lots',
    'tick_lots',
    'trades',
  ],
  ` ON DUPLICATE KEY UPDATE high_ticks=GREATEST(high_ticks,VALUES(high_ticks)),low_ticks=LEAST(low_ticks,VALUES(low_ticks)),close_ticks=VALUES(close_ticks),${ADDED}`,
)
const insertMarkets = insertInto(
  'traded_markets',
  ['instrument', 'slot', 'trade_id', 'last_ticks', 'last_s', 'trades', 'lots', 'tick_lots'],
  ` ON DUPLICATE KEY UPDATE trade_id=VALUES(trade_id),last_ticks=VALUES(last_ticks),last_s=VALUES(last_s),${ADDED}`,
)

import assert from 'node:assert/strict'
import { marketOf } from '#mesh/edge/market.ts'
import { type CandlesPush, INTERVALS, type Interval } from '#mesh/protocol/stats.ts'
import { LiveMarket } from '#services/stats/domain/live-market.ts'
import { eventually } from '../../test/support/eventually.ts'
import { CandlesFeed } from './candles-feed.ts'
import type { Sink } from './topic.ts'

const MARKET = marketOf(
  {
    instrument: 'AAA-BBB',
    base: 'AAA',
    quote: 'BBB',
    tick: '0.5',
    lot: '0.1',
    baseMinorPerLot: '1',
    quoteMinorPerTickLot: '5',
    amountLotsMin: 1,
    makerFeePpm: 0,
    takerFeePpm: 0,
    slippagePpm: 0,
    marketSlot: 0,
    status: 'trading',
  },
  { asset: 'AAA', scale: 1 },
  { asset: 'BBB', scale: 2 },
)
const START_S = 1_900_000_000

interface Told {
  readonly start: string
  readonly close: string
  readonly trades: number
  readonly closed: boolean
}

/** A client that puts each candle where it belongs, and at times has no room. */
class Reader implements Sink {
  isOpen = true
  isFull = false
  readonly types: string[] = []
  readonly candles = new Map<string, Told>()
  send(message: Buffer): void {
    const { type, candles } = JSON.parse(message.toString()) as { type: string; candles: Told[] }
    this.types.push(type)
    for (const candle of candles) this.candles.set(candle.start, candle)
  }
}

const channelOf = (interval: Interval) =>
  ({ kind: 'candles', name: `candles:AAA-BBB:${interval}`, instrument: 'AAA-BBB', interval }) as const

describe('candles on their way to clients', () => {
  it('are right in the end, though messages get lost, come twice, or find no room', async () => {
    const market = new LiveMarket()
    let loads = 0
    const feed = new CandlesFeed(MARKET, (async () => {
      loads++
      return { read: 'candles', ...market.known() }
    }) as unknown as ConstructorParameters<typeof CandlesFeed>[1])
    const readers = new Map<Interval, Reader>((['1s', '1m', '1M'] as const).map((interval) => [interval, new Reader()]))
    for (const [interval, reader] of readers) feed.topic(channelOf(interval)).add(reader)
    await feed.load()
    for (const reader of readers.values()) assert.deepEqual(reader.types, ['candles.snapshot'])
    const tell = (news: CandlesPush | undefined): void => {
      if (news !== undefined) feed.take(JSON.parse(JSON.stringify(news)))
    }
    const TRADES = 200
    let second = START_S
    for (let tradeId = 1; tradeId <= TRADES; tradeId++) {
      second += (tradeId * 7) % 5 === 0 ? 20 : 0
      const timeUs = second * 1_000_000
      market.take({ tradeId, priceTicks: 100 + (tradeId % 9), lots: 2, takerSide: 'buy', timeUs })
      const news = market.news(second)
      if (tradeId % 6 !== 0) tell(news)
      if (tradeId % 10 === 0) tell(news)
      for (const reader of readers.values()) reader.isFull = tradeId % 50 > 40
      if (tradeId % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 12))
    }
    // Whatever was lost at the very end shows when the gateway compares.
    const news = market.news(second)
    assert(feed.isBehind(market.number) || news === undefined)
    if (feed.isBehind(market.number)) await feed.load()
    assert(loads > 1)
    const known = market.known().candles
    await eventually(() => {
      for (const [interval, { candles }] of readers) {
        const [, latest] = known.filter(([index]) => INTERVALS[index] === interval).at(-1) ?? []
        assert(latest !== undefined)
        const told = [...candles.values()].at(-1)
        assert.deepEqual([told?.trades, told?.close], [latest[7], String(latest[4] / 2)], interval)
      }
    })
    const month = [...(readers.get('1M')?.candles.values() ?? [])]
    assert.equal(
      month.reduce((sum, { trades }) => sum + trades, 0),
      TRADES,
    )
  })

  it('begin for one who comes later with the present and the one before it, whatever was told to others', async () => {
    const market = new LiveMarket()
    const feed = new CandlesFeed(MARKET, (async () => ({
      read: 'candles',
      ...market.known(),
    })) as unknown as ConstructorParameters<typeof CandlesFeed>[1])
    const first = new Reader()
    feed.topic(channelOf('1M')).add(first)
    await feed.load()
    for (let tradeId = 1; tradeId <= 5; tradeId++) {
      market.take({ tradeId, priceTicks: 7, lots: 1, takerSide: 'sell', timeUs: (START_S + tradeId * 60) * 1_000_000 })
      feed.take(market.news(START_S))
    }
    const late = new Reader()
    const topic = feed.topic(channelOf('1m'))
    topic.add(late)
    assert.deepEqual(
      [...late.candles.values()].map(({ start, closed }) => [Date.parse(start) / 1_000, closed]),
      [4, 5].map((minutes) => [Math.floor(START_S / 60) * 60 + minutes * 60, minutes === 4]),
    )
    topic.delete(late)
    assert.equal(feed.release(channelOf('1m').name), false)
    assert.equal(feed.isUnused, false)
  })
})

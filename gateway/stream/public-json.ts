import type { Level } from '#mesh/domain/depth-book.ts'
import { formatMinor, formatSteps } from '#mesh/edge/decimal.ts'
import type { Market } from '#mesh/edge/market.ts'
import { formatTime } from '#mesh/edge/time.ts'
import type { PublicTrade, TickerPush } from '#mesh/protocol/push.ts'
import type { CandleLine, CandleNews } from '#mesh/protocol/stats.ts'
import { type BookView, CHECKSUM_LEVELS, checksumOf, type ViewChange } from './book-view.ts'

/** Public messages as JSON. All that goes in is digits and names that a pattern has checked, so nothing needs escaping. */

type Written = readonly [price: string, amount: string]

const writeLevel = ([priceTicks, lots]: Level, { tick, lot }: Market): Written => [
  formatSteps(priceTicks, tick),
  formatSteps(lots, lot),
]

const levelsJson = (levels: readonly Level[], market: Market): string =>
  JSON.stringify(levels.map((level) => writeLevel(level, market)))

const checksumOfView = ({ bids, asks }: BookView, market: Market): number => {
  const best = (levels: readonly Level[]): Written[] =>
    levels.slice(0, CHECKSUM_LEVELS).map((level) => writeLevel(level, market))
  return checksumOf(best(bids), best(asks))
}

export function bookSnapshotJson(channel: string, view: BookView, market: Market, timeUs: number): string {
  const { bids, asks, sequence } = view
  return `{"type":"orderbook.snapshot","channel":"${channel}","sequence":"${sequence}","time":${timeJson(timeUs)},"bids":${levelsJson(
    bids,
    market,
  )},"asks":${levelsJson(asks, market)},"checksum":${checksumOfView(view, market)}}`
}

export function bookChangeJson(
  channel: string,
  { first, last, bids, asks }: ViewChange,
  view: BookView,
  market: Market,
  timeUs: number,
): string {
  return `{"type":"orderbook.change","channel":"${channel}","first":"${first}","last":"${last}","time":${timeJson(
    timeUs,
  )},"bids":${levelsJson(bids, market)},"asks":${levelsJson(asks, market)},"checksum":${checksumOfView(view, market)}}`
}

export function bboJson(
  channel: string,
  sequence: number,
  bid: Level | undefined,
  ask: Level | undefined,
  market: Market,
  timeUs: number,
): string {
  const side = (level: Level | undefined): string =>
    level === undefined ? 'null' : JSON.stringify(writeLevel(level, market))
  return `{"type":"bbo","channel":"${channel}","sequence":"${sequence}","time":${timeJson(timeUs)},"bid":${side(bid)},"ask":${side(ask)}}`
}

export function tradesJson(
  type: 'trades.snapshot' | 'trades',
  channel: string,
  trades: readonly PublicTrade[],
  market: Market,
): string {
  const all = trades.map(
    ({ tradeId, priceTicks, lots, takerSide, timeUs }) =>
      `{"tradeId":"${tradeId}","price":"${formatSteps(priceTicks, market.tick)}","amount":"${formatSteps(
        lots,
        market.lot,
      )}","takerSide":"${takerSide}","time":"${formatTime(timeUs)}"}`,
  )
  return `{"type":"${type}","channel":"${channel}","trades":[${all.join()}]}`
}

/** Decimals that a mean price has beyond those of the tick. */
const MEAN_EXTRA_SCALE = 8
/** Decimals of a change in per cent. */
const PERCENT_SCALE = 4

export const tickerJson = (channel: string, ticker: TickerPush, market: Market): string =>
  `{"type":"ticker","channel":"${channel}",${tickerFields(ticker, market)}}`

/** As over HTTP. */
export function tickerFields(ticker: TickerPush, market: Market): string {
  const { tick } = market
  const price = (ticks: number | null): string => (ticks === null ? 'null' : `"${formatSteps(ticks, tick)}"`)
  const lots = BigInt(ticker.lots)
  const tickLots = BigInt(ticker.tickLots)
  const volume = volumeOf(lots, market)
  const quoteVolume = quoteVolumeOf(tickLots, market)
  const vwap =
    lots === 0n
      ? 'null'
      : `"${formatMinor(((tickLots * tick.unitsBig * 10n ** BigInt(MEAN_EXTRA_SCALE)) / lots).toString(), tick.scale + MEAN_EXTRA_SCALE)}"`
  const { openTicks, lastTicks } = ticker
  const moved = openTicks === null || lastTicks === null ? undefined : lastTicks - openTicks
  const change =
    moved === undefined ? 'null' : `"${formatMinor((BigInt(moved) * tick.unitsBig).toString(), tick.scale)}"`
  const changePercent =
    moved === undefined || openTicks === null
      ? 'null'
      : `"${formatMinor(((BigInt(moved) * 10n ** BigInt(PERCENT_SCALE + 2)) / BigInt(openTicks)).toString(), PERCENT_SCALE)}"`
  return `"time":${timeJson(ticker.timeUs)},"open":${price(openTicks)},"high":${price(
    ticker.highTicks,
  )},"low":${price(ticker.lowTicks)},"last":${price(lastTicks)},"volume":"${volume}","quoteVolume":"${quoteVolume}","vwap":${vwap},"change":${change},"changePercent":${changePercent},"tradesCount":${ticker.tradesCount}`
}

/** Of lots, in base. */
export const volumeOf = (lots: bigint, { lot }: Market): string =>
  formatMinor((lots * lot.unitsBig).toString(), lot.scale)

/** Of ticks × lots, in quote. */
export const quoteVolumeOf = (tickLots: bigint, { quoteMinorPerTickLot, quoteScale }: Market): string =>
  formatMinor((tickLots * quoteMinorPerTickLot).toString(), quoteScale)

/** As over HTTP. */
export function candleFields(candle: CandleLine, market: Market): string {
  const [startS, openTicks, highTicks, lowTicks, closeTicks, lots, tickLots, trades] = candle
  const price = (ticks: number): string => formatSteps(ticks, market.tick)
  const volume = volumeOf(BigInt(lots), market)
  const quoteVolume = quoteVolumeOf(BigInt(tickLots), market)
  return `"start":"${formatTime(startS * 1_000_000)}","open":"${price(openTicks)}","high":"${price(highTicks)}","low":"${price(
    lowTicks,
  )}","close":"${price(closeTicks)}","volume":"${volume}","quoteVolume":"${quoteVolume}","trades":${trades}`
}

export function candlesJson(
  type: 'candles.snapshot' | 'candles',
  channel: string,
  candles: readonly CandleNews[],
  market: Market,
): string {
  const all = candles.map(([, candle, closed]) => `{${candleFields(candle, market)},"closed":${closed === 1}}`)
  return `{"type":"${type}","channel":"${channel}","candles":[${all.join()}]}`
}

const timeJson = (timeUs: number): string => (timeUs === 0 ? 'null' : `"${formatTime(timeUs)}"`)

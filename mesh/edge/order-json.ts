import type { Fill, OrderState } from '#mesh/protocol/common.ts'
import type { StoredTrade } from '#mesh/protocol/orders.ts'
import { formatMinor, formatSteps } from './decimal.ts'
import type { Market } from './market.ts'
import { formatTime } from './time.ts'

/**
 * An order as JSON. It is put together by hand: this is on the path of every order, and all that goes in is digits, names
 * that a pattern has checked, and codes, so nothing needs escaping.
 */
export function orderJson(order: OrderState, market: Market, sequence: string, fills?: readonly Fill[]): string {
  const { definition } = market
  const isLimit = order.orderType === 'limit'
  const price = formatSteps(order.priceTicks, market.tick)
  const byQuote = order.quoteTickLots !== undefined
  const quoted = byQuote ? formatMinor(quoteMinorOf(order.quoteTickLots, market), market.quoteScale) : ''
  const feeAsset = order.side === 'buy' ? definition.base : definition.quote
  const feeScale = order.side === 'buy' ? market.baseScale : market.quoteScale
  return `{"id":"${order.orderId}","clientOrderId":${orNull(order.clientOrderId)},"instrument":"${order.instrument}","side":"${
    order.side
  }","type":"${order.orderType}","price":${isLimit ? `"${price}"` : 'null'},"worstPrice":${
    isLimit ? 'null' : `"${price}"`
  },"amount":${byQuote ? 'null' : `"${formatSteps(order.amountLots, market.lot)}"`},"quoteAmount":${
    byQuote ? `"${quoted}"` : 'null'
  },"executedAmount":"${formatSteps(order.executedLots, market.lot)}","executedQuoteAmount":"${formatMinor(
    order.executedQuoteMinor,
    market.quoteScale,
  )}","remainingAmount":${
    byQuote ? 'null' : `"${formatSteps(order.amountLots - order.executedLots, market.lot)}"`
  },"averagePrice":${orNull(averagePrice(order, market))},"fee":"${formatMinor(
    order.feeMinor,
    feeScale,
  )}","feeAsset":"${feeAsset}","status":"${order.status}","reason":${orNull(order.reason)},"createdAt":"${formatTime(
    order.createdAtUs,
  )}","receivedAt":${order.receivedAtUs === 0 ? 'null' : `"${formatTime(order.receivedAtUs)}"`},"updatedAt":"${formatTime(
    order.updatedAtUs,
  )}","sequence":"${sequence}"${fills === undefined ? '' : `,"fills":${fillsJson(fills, order.side, market)}`}}`
}

export function ackJson(order: OrderState, sequence: string): string {
  return `{"id":"${order.orderId}","clientOrderId":${orNull(order.clientOrderId)},"status":"${order.status}","sequence":"${sequence}"}`
}

function fillsJson(fills: readonly Fill[], side: OrderState['side'], market: Market): string {
  let json = '['
  for (const fill of fills) json += `${json === '[' ? '' : ','}{${fillFields(fill, side, market)}}`
  return `${json}]`
}

export function tradeJson(trade: StoredTrade, market: Market): string {
  return `{${fillFields(trade, trade.side, market)},"orderId":"${trade.orderId}","instrument":"${
    trade.instrument
  }","side":"${trade.side}","time":"${formatTime(trade.timeUs)}"}`
}

function fillFields(fill: Fill, side: OrderState['side'], market: Market): string {
  const buys = side === 'buy'
  return `"tradeId":"${fill.tradeId}","price":"${formatSteps(fill.priceTicks, market.tick)}","amount":"${formatSteps(
    fill.lots,
    market.lot,
  )}","quoteAmount":"${formatMinor(fill.quoteMinor, market.quoteScale)}","fee":"${formatMinor(
    fill.feeMinor,
    buys ? market.baseScale : market.quoteScale,
  )}","feeAsset":"${buys ? market.definition.base : market.definition.quote}","liquidity":"${fill.liquidity}"`
}

const orNull = (text: string | undefined): string => (text === undefined ? 'null' : `"${text}"`)

const quoteMinorOf = (tickLots: number, market: Market): string =>
  (BigInt(tickLots) * market.quoteMinorPerTickLot).toString()

const AVERAGE_EXTRA_SCALE = 8
const AVERAGE_EXTRA = 10n ** BigInt(AVERAGE_EXTRA_SCALE)

/** Executed quote over executed amount, with eight decimals more than the tick has, rounded down. */
function averagePrice(order: OrderState, market: Market): string | undefined {
  if (order.executedLots === 0) return undefined
  const { tick } = market
  const perLot = market.quoteMinorPerTickLot * BigInt(order.executedLots)
  const scaled = (BigInt(order.executedQuoteMinor) * AVERAGE_EXTRA * tick.unitsBig) / perLot
  return formatMinor(scaled.toString(), tick.scale + AVERAGE_EXTRA_SCALE)
}

/** The message's sequence of a position `<sequence>-<item>-<event>`: what clients see of it. */
export function sequenceOf(position: string): string {
  const end = position.indexOf('-')
  return end < 0 ? position : position.slice(0, end)
}

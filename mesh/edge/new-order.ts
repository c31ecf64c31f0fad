import { chainHash } from '#mesh/domain/chain.ts'
import { LOTS_MAX, PRICE_TICKS_MAX, TICK_LOTS_MAX } from '#mesh/domain/money.ts'
import type { OrderType, Side } from '#mesh/protocol/common.ts'
import { type DecimalFault, parseMinor, parseSteps } from './decimal.ts'
import type { Market } from './market.ts'

/** An order as people write it, under all names that its fields have; each edge has a schema of it. */
export interface WrittenOrder extends WrittenAmendment {
  readonly instrument?: string
  readonly market?: string
  readonly side: Side
  readonly type?: OrderType
  readonly quoteAmount?: string
  readonly worstPrice?: string
  readonly clientOrderId?: string
}

export interface WrittenAmendment {
  readonly price?: string
  readonly rate?: string
  readonly amount?: string
  readonly volume?: string
  readonly quantity?: string
}

/** An order as the client sent it, in ticks and lots. */
export interface ParsedOrder {
  readonly market: Market
  readonly side: Side
  readonly orderType: OrderType
  /** The limit or the worst price; 0 for a market order without one. */
  readonly priceTicks: number
  /** 0 for a market order by quote total. */
  readonly amountLots: number
  /** 0 unless by quote total. */
  readonly quoteTickLots: number
  readonly clientOrderId: string | undefined
  /** Of what the client sent, before anything is filled in; how it wrote a decimal makes no difference. */
  readonly contentHash: number
}

/** What can be wrong with an order before any machine sees it. Public and stable, like the machines' codes. */
export type FaultCode =
  | Exclude<DecimalFault, 'off_step' | 'too_large'>
  | 'duplicate_field'
  | 'missing_field'
  | 'field_not_allowed'
  | 'market_unknown'
  | 'off_tick'
  | 'off_lot'
  | 'price_too_large'
  | 'amount_too_large'
  | 'amount_below_minimum'
  | 'order_value_too_large'

export interface Fault {
  readonly code: FaultCode
  readonly field: string
}

export const isFault = (value: object): value is Fault => 'code' in value

/** From the body's shape to ticks and lots by the market's rules, first fault first. */
export function parseNewOrder(
  body: WrittenOrder,
  marketOf: (instrument: string) => Market | undefined,
): ParsedOrder | Fault {
  if (body.instrument !== undefined && body.market !== undefined) return fault('duplicate_field', 'market')
  const instrument = body.instrument ?? body.market
  if (instrument === undefined) return fault('missing_field', 'instrument')
  const market = marketOf(instrument)
  if (market === undefined) return fault('market_unknown', body.instrument === undefined ? 'market' : 'instrument')

  const orderType = body.type ?? 'limit'
  const amounts = amountOf(body)
  if (isFault(amounts)) return amounts
  const prices = priceOf(body)
  if (isFault(prices)) return prices
  const { quoteAmount, worstPrice } = body

  if (orderType === 'limit') {
    if (worstPrice !== undefined) return fault('field_not_allowed', 'worstPrice')
    if (quoteAmount !== undefined) return fault('field_not_allowed', 'quoteAmount')
    if (prices.text === undefined) return fault('missing_field', 'price')
    if (amounts.text === undefined) return fault('missing_field', 'amount')
  } else {
    if (prices.text !== undefined) return fault('field_not_allowed', prices.field)
    if (amounts.text !== undefined && quoteAmount !== undefined) return fault('field_not_allowed', 'quoteAmount')
    if (amounts.text === undefined && quoteAmount === undefined) return fault('missing_field', 'amount')
  }

  const priceText = orderType === 'limit' ? prices.text : worstPrice
  const priceField = orderType === 'limit' ? prices.field : 'worstPrice'
  const priceTicks = priceText === undefined ? 0 : parseSteps(priceText, market.tick, PRICE_TICKS_MAX)
  if (typeof priceTicks !== 'number') return priceFault(priceTicks, priceField)

  const amountLots = amounts.text === undefined ? 0 : parseSteps(amounts.text, market.lot, LOTS_MAX)
  if (typeof amountLots !== 'number') return amountFault(amountLots, amounts.field)
  if (amounts.text !== undefined && amountLots < market.definition.amountLotsMin) {
    return fault('amount_below_minimum', amounts.field)
  }

  let quoteTickLots = 0
  let quoteText = ''
  if (quoteAmount !== undefined) {
    const quoteMinor = parseMinor(quoteAmount, market.quoteScale)
    if (typeof quoteMinor !== 'bigint') return amountFault(quoteMinor, 'quoteAmount')
    const tickLots = quoteMinor / market.quoteMinorPerTickLot
    if (tickLots > TICK_LOTS_MAX) return fault('order_value_too_large', 'quoteAmount')
    if (tickLots === 0n) return fault('amount_below_minimum', 'quoteAmount')
    quoteTickLots = Number(tickLots)
    quoteText = quoteMinor.toString()
  }
  // Two safe whole numbers whose rounded product is safe have an exact product.
  if (priceTicks * amountLots > TICK_LOTS_MAX) return fault('order_value_too_large', amounts.field)

  const content = `${instrument} ${body.side} ${orderType} ${priceTicks} ${amountLots} ${quoteText}`
  return {
    market,
    side: body.side,
    orderType,
    priceTicks,
    amountLots,
    quoteTickLots,
    clientOrderId: body.clientOrderId,
    contentHash: chainHash(0, content),
  }
}

export interface ParsedAmendment {
  readonly priceTicks: number | undefined
  readonly amountLots: number | undefined
}

export function parseAmendment(body: WrittenAmendment, market: Market): ParsedAmendment | Fault {
  const amounts = amountOf(body)
  if (isFault(amounts)) return amounts
  const prices = priceOf(body)
  if (isFault(prices)) return prices
  if (prices.text === undefined && amounts.text === undefined) return fault('missing_field', 'amount')
  const priceTicks = prices.text === undefined ? undefined : parseSteps(prices.text, market.tick, PRICE_TICKS_MAX)
  if (typeof priceTicks === 'string') return priceFault(priceTicks, prices.field)
  const amountLots = amounts.text === undefined ? undefined : parseSteps(amounts.text, market.lot, LOTS_MAX)
  if (typeof amountLots === 'string') return amountFault(amountLots, amounts.field)
  if (amountLots !== undefined && amountLots < market.definition.amountLotsMin) {
    return fault('amount_below_minimum', amounts.field)
  }
  if (priceTicks !== undefined && amountLots !== undefined && priceTicks * amountLots > TICK_LOTS_MAX) {
    return fault('order_value_too_large', amounts.field)
  }
  return { priceTicks, amountLots }
}

interface Named {
  readonly field: string
  readonly text: string | undefined
}

function amountOf(body: WrittenAmendment): Named | Fault {
  const { amount, volume, quantity } = body
  if (volume === undefined && quantity === undefined) return { field: 'amount', text: amount }
  if (amount !== undefined) return fault('duplicate_field', volume === undefined ? 'quantity' : 'volume')
  if (volume === undefined) return { field: 'quantity', text: quantity }
  return quantity === undefined ? { field: 'volume', text: volume } : fault('duplicate_field', 'quantity')
}

function priceOf(body: WrittenAmendment): Named | Fault {
  if (body.rate === undefined) return { field: 'price', text: body.price }
  return body.price === undefined ? { field: 'rate', text: body.rate } : fault('duplicate_field', 'rate')
}

const fault = (code: FaultCode, field: string): Fault => ({ code, field })

const priceFault = (what: DecimalFault, field: string): Fault =>
  fault(what === 'off_step' ? 'off_tick' : what === 'too_large' ? 'price_too_large' : what, field)

const amountFault = (what: DecimalFault, field: string): Fault =>
  fault(what === 'off_step' ? 'off_lot' : what === 'too_large' ? 'amount_too_large' : what, field)

const PPM = 1_000_000

/**
 * The worst price of a market order that has none: the best opposite price (0: nothing rests there) and the market's slippage.
 * Where nothing rests, the narrowest bound that fits: only the engine says that there is no liquidity.
 */
export function worstPriceTicks(side: Side, bestTicks: number, slippagePpm: number): number {
  if (bestTicks === 0) return side === 'buy' ? 1 : PRICE_TICKS_MAX
  // At most 2^31 × 1.1 × 10^6: exact.
  if (side === 'buy') return Math.min(PRICE_TICKS_MAX, Math.floor((bestTicks * (PPM + slippagePpm)) / PPM))
  return Math.max(1, Math.ceil((bestTicks * (PPM - slippagePpm)) / PPM))
}

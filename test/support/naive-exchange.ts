import type { MarketItem } from '#mesh/protocol/engine.ts'

/**
 * A whole exchange in the plainest way: sorted arrays, Maps and bigint, for comparison with the real one.
 * It shares no code with the machines, only the shape of their messages. It is given what each market's log holds, in the
 * log's order, and the money that came and went; it decides everything else anew: matching, fees, statuses, balances.
 * Whether an order was covered is not its business: it is told the reserved money and checks it.
 */
export interface NaiveExchange {
  defineAsset(asset: string, scale: number): void
  /** Applies one item of a market's log. */
  apply(item: MarketItem): void
  /** Money that came to a member (or went, below zero) other than by a trade. */
  credit(memberId: number, asset: string, amountMinor: bigint): void
  order(orderId: number): NaiveOrder | undefined
  orders(): readonly NaiveOrder[]
  trades(instrument: string): readonly NaiveTrade[]
  /** Sorted by member, then asset; balances of zero are left out. */
  balances(): readonly NaiveBalance[]
  feesMinor(asset: string): bigint
  /** What rests in the market, best first: [price in ticks, lots]. */
  depth(instrument: string): { readonly bids: [number, number][]; readonly asks: [number, number][] }
  /** Refusals of cancels and amendments, in the order in which they happened. */
  refusals(): readonly { readonly commandId: number; readonly code: string }[]
}

export interface NaiveTrade {
  readonly tradeId: number
  readonly priceTicks: number
  readonly lots: number
  readonly takerSide: 'buy' | 'sell'
  readonly buyOrderId: number
  readonly sellOrderId: number
}

export interface NaiveFill {
  readonly tradeId: number
  readonly priceTicks: number
  readonly lots: number
  readonly quoteMinor: bigint
  readonly feeMinor: bigint
  readonly liquidity: 'maker' | 'taker'
}

export interface NaiveBalance {
  readonly memberId: number
  readonly asset: string
  readonly availableMinor: bigint
  readonly heldMinor: bigint
}

export interface NaiveOrder {
  readonly orderId: number
  readonly memberId: number
  readonly instrument: string
  readonly side: 'buy' | 'sell'
  readonly orderType: 'limit' | 'market'
  priceTicks: bigint
  amountLots: bigint
  readonly quoteTickLots: bigint | undefined
  readonly makerFeePpm: bigint
  readonly takerFeePpm: bigint
  executedLots: bigint
  executedTickLots: bigint
  executedQuoteMinor: bigint
  feeMinor: bigint
  status: 'new' | 'partially_filled' | 'executed' | 'cancelled' | 'closed' | 'rejected'
  reason: string | undefined
  readonly fills: NaiveFill[]
}

interface NaiveMarket {
  readonly instrument: string
  readonly base: string
  readonly quote: string
  readonly baseMinorPerLot: bigint
  readonly quoteMinorPerTickLot: bigint
  status: string
  /** Best price last, and of one price the oldest last. */
  readonly bids: NaiveOrder[]
  readonly asks: NaiveOrder[]
  readonly trades: NaiveTrade[]
}

type NaiveEnd = 'done' | 'less_than_one_lot' | 'no_liquidity' | 'worst_price' | 'fills_limit'

type Enter = Extract<MarketItem, { type: 'EnterOrder' }>
type Amend = Extract<MarketItem, { type: 'AmendEntered' }>
type Cancel = Extract<MarketItem, { type: 'CancelEntered' }>

/** An order is bounded by this many fills per command, as the real one is. */
const FILLS_MAX = 10_000

export function createNaiveExchange(): NaiveExchange {
  const scales = new Map<string, number>()
  const markets = new Map<string, NaiveMarket>()
  const orders = new Map<number, NaiveOrder>()
  /** Everything that a member owns, held or not, by `<member> <asset>`. */
  const owned = new Map<string, bigint>()
  const fees = new Map<string, bigint>()
  const refusals: { commandId: number; code: string }[] = []

  const add = (sums: Map<string, bigint>, key: string, amount: bigint): void => {
    sums.set(key, (sums.get(key) ?? 0n) + amount)
  }

  const sideOf = (market: NaiveMarket, order: NaiveOrder): NaiveOrder[] =>
    order.side === 'buy' ? market.bids : market.asks

  /** The place of the youngest order of this price, or where it would be: after all that are worse. */
  const youngestAt = (side: readonly NaiveOrder[], order: NaiveOrder): number => {
    let low = 0
    let high = side.length
    while (low < high) {
      const middle = (low + high) >> 1
      const other = at(side, middle)
      const worse = order.side === 'buy' ? other.priceTicks < order.priceTicks : other.priceTicks > order.priceTicks
      if (worse) low = middle + 1
      else high = middle
    }
    return low
  }

  const rest = (market: NaiveMarket, order: NaiveOrder): void => {
    const side = sideOf(market, order)
    side.splice(youngestAt(side, order), 0, order)
  }

  const take = (market: NaiveMarket, order: NaiveOrder): void => {
    const side = sideOf(market, order)
    side.splice(side.indexOf(order, youngestAt(side, order)), 1)
  }

  const isResting = (market: NaiveMarket, order: NaiveOrder | undefined): order is NaiveOrder =>
    order !== undefined &&
    order.instrument === market.instrument &&
    (order.status === 'new' || order.status === 'partially_filled')

  const fill = (market: NaiveMarket, taker: NaiveOrder, maker: NaiveOrder, lots: bigint): void => {
    const tickLots = lots * maker.priceTicks
    const quoteMinor = tickLots * market.quoteMinorPerTickLot
    const baseMinor = lots * market.baseMinorPerLot
    const tradeId = market.trades.length + 1
    const [buyer, seller] = taker.side === 'buy' ? [taker, maker] : [maker, taker]
    market.trades.push({
      tradeId,
      priceTicks: Number(maker.priceTicks),
      lots: Number(lots),
      takerSide: taker.side,
      buyOrderId: buyer.orderId,
      sellOrderId: seller.orderId,
    })
    for (const order of [taker, maker]) {
      const received = order.side === 'buy' ? baseMinor : quoteMinor
      const ppm = order === taker ? order.takerFeePpm : order.makerFeePpm
      const exact = received * ppm
      const feeMinor = exact / 1_000_000n + (exact % 1_000_000n === 0n ? 0n : 1n)
      order.executedLots += lots
      order.executedTickLots += tickLots
      order.executedQuoteMinor += quoteMinor
      order.feeMinor += feeMinor
      order.fills.push({
        tradeId,
        priceTicks: Number(maker.priceTicks),
        lots: Number(lots),
        quoteMinor,
        feeMinor,
        liquidity: order === taker ? 'taker' : 'maker',
      })
      const asset = order.side === 'buy' ? market.base : market.quote
      add(owned, `${order.memberId} ${asset}`, received - feeMinor)
      add(fees, asset, feeMinor)
    }
    add(owned, `${buyer.memberId} ${market.quote}`, -quoteMinor)
    add(owned, `${seller.memberId} ${market.base}`, -baseMinor)
  }

  /** Lots that the taker still wants at a price. */
  const wanted = (order: NaiveOrder, priceTicks: bigint): bigint => {
    const byAmount = order.amountLots - order.executedLots
    if (order.quoteTickLots === undefined) return byAmount
    const byQuote = (order.quoteTickLots - order.executedTickLots) / priceTicks
    return order.side === 'buy' || byQuote < byAmount ? byQuote : byAmount
  }

  /** Trades as far as it goes; says why it ended. */
  const match = (market: NaiveMarket, taker: NaiveOrder): NaiveEnd => {
    const makers = taker.side === 'buy' ? market.asks : market.bids
    for (let fillsCount = 0; ; fillsCount++) {
      const isByQuote = taker.quoteTickLots !== undefined
      if (!isByQuote && taker.executedLots === taker.amountLots) return 'done'
      if (isByQuote && taker.executedTickLots === taker.quoteTickLots) return 'done'
      const maker = makers.at(-1)
      if (maker === undefined) return 'no_liquidity'
      const isWorse = taker.side === 'buy' ? maker.priceTicks > taker.priceTicks : maker.priceTicks < taker.priceTicks
      if (isWorse) return 'worst_price'
      const want = wanted(taker, maker.priceTicks)
      if (want === 0n) return 'less_than_one_lot'
      if (fillsCount === FILLS_MAX) return 'fills_limit'
      const open = maker.amountLots - maker.executedLots
      let lots = open
      if (want < open) lots = want
      fill(market, taker, maker, lots)
      maker.status = maker.executedLots === maker.amountLots ? 'executed' : 'partially_filled'
      if (maker.status === 'executed') makers.pop()
    }
  }

  /** The order's state after it went through the book, and its place there if it keeps one. */
  const settle = (market: NaiveMarket, order: NaiveOrder): void => {
    const end = match(market, order)
    if (end === 'done') {
      order.status = 'executed'
    } else if (end === 'less_than_one_lot') {
      order.status = order.executedLots > 0n ? 'executed' : 'rejected'
      order.reason = order.executedLots > 0n ? undefined : 'amount_below_minimum'
    } else if (order.orderType === 'limit' && end !== 'fills_limit') {
      order.status = order.executedLots > 0n ? 'partially_filled' : 'new'
      rest(market, order)
    } else {
      order.status = order.executedLots > 0n ? 'closed' : 'rejected'
      order.reason = end
    }
  }

  const needed = (market: NaiveMarket, order: NaiveOrder): bigint => {
    if (order.side === 'sell') return (order.amountLots - order.executedLots) * market.baseMinorPerLot
    const tickLots =
      order.quoteTickLots === undefined
        ? (order.amountLots - order.executedLots) * order.priceTicks
        : order.quoteTickLots - order.executedTickLots
    return tickLots * market.quoteMinorPerTickLot
  }

  const statusCode = (market: NaiveMarket): string | undefined => {
    if (market.status === 'halted') return 'market_halted'
    if (market.status === 'cancel_only') return 'market_cancel_only'
    return undefined
  }

  const enter = (item: Enter): void => {
    const order: NaiveOrder = {
      orderId: item.orderId,
      memberId: item.memberId,
      instrument: item.instrument,
      side: item.side,
      orderType: item.orderType,
      priceTicks: BigInt(item.priceTicks),
      amountLots: BigInt(item.amountLots),
      quoteTickLots: item.quoteTickLots === undefined ? undefined : BigInt(item.quoteTickLots),
      makerFeePpm: BigInt(item.makerFeePpm),
      takerFeePpm: BigInt(item.takerFeePpm),
      executedLots: 0n,
      executedTickLots: 0n,
      executedQuoteMinor: 0n,
      feeMinor: 0n,
      status: 'rejected',
      reason: undefined,
      fills: [],
    }
    const market = markets.get(item.instrument)
    // Refused one way or the other; the order that has this id stays what it is.
    if (market !== undefined && isResting(market, orders.get(item.orderId))) return
    if (market === undefined) order.reason = 'market_unknown'
    else if (statusCode(market) !== undefined) order.reason = statusCode(market)
    else if (BigInt(item.holdMinor) < needed(market, order)) order.reason = 'hold_too_small'
    else settle(market, order)
    orders.set(item.orderId, order)
  }

  const cancel = (item: Cancel): void => {
    const market = markets.get(item.instrument)
    if (market === undefined) return void refusals.push({ commandId: item.commandId, code: 'market_unknown' })
    if (market.status === 'halted') return void refusals.push({ commandId: item.commandId, code: 'market_halted' })
    const order = orders.get(item.orderId)
    if (!isResting(market, order)) return void refusals.push({ commandId: item.commandId, code: 'order_not_open' })
    take(market, order)
    order.status = 'cancelled'
  }

  const amend = (item: Amend) => {
    const refuse = (code: string): void => void refusals.push({ commandId: item.commandId, code })
    const market = markets.get(item.instrument)
    if (market === undefined) return refuse('market_unknown')
    const code = statusCode(market)
    if (code !== undefined) return refuse(code)
    const order = orders.get(item.orderId)
    if (!isResting(market, order)) return refuse('order_not_open')
    const priceTicks = BigInt(item.priceTicks ?? order.priceTicks)
    const amountLots = BigInt(item.amountLots ?? order.amountLots)
    if (amountLots <= order.executedLots) return refuse('amount_not_above_executed')
    const changed = { ...order, priceTicks, amountLots }
    if (needed(market, order) + BigInt(item.addedHoldMinor) < needed(market, changed)) return refuse('hold_too_small')
    const keepsPlace = priceTicks === order.priceTicks && amountLots < order.amountLots
    if (!keepsPlace) take(market, order)
    order.priceTicks = priceTicks
    order.amountLots = amountLots
    if (!keepsPlace) settle(market, order)
  }

  const openMarket = (item: Extract<MarketItem, { type: 'OpenMarket' }>): void => {
    const { instrument, base, quote, tick, lot, status } = item.market
    if (markets.has(instrument)) return
    const baseMinorPerLot = minorOf(lot, scaleOf(base))
    // One tick of one whole unit of base, for a lot of so many of its units.
    const [tickUnits, tickPlaces] = unitsOf(tick)
    const [lotUnits, lotPlaces] = unitsOf(lot)
    const product = tickUnits * lotUnits * 10n ** BigInt(scaleOf(quote))
    const quoteMinorPerTickLot = product / 10n ** BigInt(tickPlaces + lotPlaces)
    markets.set(instrument, {
      instrument,
      base,
      quote,
      baseMinorPerLot,
      quoteMinorPerTickLot,
      status,
      bids: [],
      asks: [],
      trades: [],
    })
  }

  const scaleOf = (asset: string): number => {
    const scale = scales.get(asset)
    if (scale === undefined) throw new Error(`The asset ${asset} was not defined.`)
    return scale
  }

  return {
    defineAsset: (asset, scale) => void scales.set(asset, scale),
    credit: (memberId, asset, amountMinor) => add(owned, `${memberId} ${asset}`, amountMinor),
    apply: (item) => {
      if (item.type === 'EnterOrder') enter(item)
      else if (item.type === 'CancelEntered') cancel(item)
      else if (item.type === 'AmendEntered') amend(item)
      else if (item.type === 'OpenMarket') openMarket(item)
      else {
        const market = markets.get(item.instrument)
        if (market !== undefined) market.status = item.status
      }
    },
    order: (orderId) => orders.get(orderId),
    orders: () => [...orders.values()],
    trades: (instrument) => markets.get(instrument)?.trades ?? [],
    feesMinor: (asset) => fees.get(asset) ?? 0n,
    refusals: () => refusals,
    balances: () => {
      const held = new Map<string, bigint>()
      for (const market of markets.values()) {
        for (const order of market.bids) add(held, `${order.memberId} ${market.quote}`, needed(market, order))
        for (const order of market.asks) add(held, `${order.memberId} ${market.base}`, needed(market, order))
      }
      return [...owned]
        .map(([key, total]) => {
          const [member = '', asset = ''] = key.split(' ')
          const heldMinor = held.get(key) ?? 0n
          return { memberId: Number(member), asset, availableMinor: total - heldMinor, heldMinor }
        })
        .filter((balance) => balance.availableMinor !== 0n || balance.heldMinor !== 0n)
        .sort((a, b) => a.memberId - b.memberId || (a.asset < b.asset ? -1 : 1))
    },
    depth: (instrument) => {
      const market = markets.get(instrument)
      return { bids: levelsOf(market?.bids ?? []), asks: levelsOf(market?.asks ?? []) }
    },
  }
}

function levelsOf(side: readonly NaiveOrder[]): [number, number][] {
  const levels: [number, number][] = []
  for (const order of [...side].reverse()) {
    const priceTicks = Number(order.priceTicks)
    const lots = Number(order.amountLots - order.executedLots)
    const last = levels.at(-1)
    if (last !== undefined && last[0] === priceTicks) last[1] += lots
    else levels.push([priceTicks, lots])
  }
  return levels
}

/** A decimal as whole units and its number of decimal places: "0.010" is [10, 3]. */
function unitsOf(decimal: string): [bigint, number] {
  const [whole = '0', fraction = ''] = decimal.split('.')
  return [BigInt(whole + fraction), fraction.length]
}

function minorOf(decimal: string, scale: number): bigint {
  const [units, places] = unitsOf(decimal)
  return (units * 10n ** BigInt(scale)) / 10n ** BigInt(places)
}

function at<T>(list: readonly T[], index: number): T {
  const value = list[index]
  if (value === undefined) throw new Error(`There is nothing at ${index}.`)
  return value
}

import { withAsker } from '#mesh/domain/asked-by.ts'
import { feeOf } from '#mesh/domain/money.ts'
import type { Context, Rules } from '#mesh/machine/rules.ts'
import type { AskedBy, OrderCommandRefused, OrderOutcome } from '#mesh/protocol/accounts.ts'
import type { Fill, MachineCode, MarketStatus, OrderStatus, Side } from '#mesh/protocol/common.ts'
import type { DefinitionCommand, MarketDefinition } from '#mesh/protocol/definitions.ts'
import type { MarketEvent, MarketItem } from '#mesh/protocol/engine.ts'
import { Log } from '#mesh/subjects.ts'

type Enter = Extract<MarketItem, { type: 'EnterOrder' }>
type Amend = Extract<MarketItem, { type: 'AmendEntered' }>
type Cause = OrderOutcome['cause']

interface Order {
  readonly enter: Enter
  readonly slot: number
  priceTicks: number
  amountLots: number
  quoteTickLotsLeft: number
  executedLots: number
  holdMinor: bigint
  /** What the command under way did to it. */
  fills: Fill[]
  consumedMinor: bigint
  /** Who asked for it. */
  asker: AskedBy
}

interface Market {
  readonly definition: MarketDefinition
  status: MarketStatus
  /** Best first. */
  readonly book: Record<Side, Order[]>
  tradesCount: number
}

export interface NaiveEngineState {
  readonly markets: Map<string, Market>
}

/**
 * Matches by the letter of the protocol, with arrays and no care for speed: what stands behind the accounts in their own
 * tests, so that they can be tried with every outcome that a market may send.
 */
export function createNaiveEngine(): Rules<NaiveEngineState, MarketItem, MarketEvent> {
  return {
    log: Log.markets,
    initialState: () => ({ markets: new Map() }),
    apply: (state, item, context) => {
      switch (item.type) {
        case 'OpenMarket': {
          const { market } = item
          state.markets.set(market.instrument, {
            definition: market,
            status: market.status,
            book: { buy: [], sell: [] },
            tradesCount: 0,
          })
          return tellDefinitions(item, market.instrument, market.status, context)
        }
        case 'ChangeMarketStatus':
          marketOf(state, item.instrument).status = item.status
          return tellDefinitions(item, item.instrument, item.status, context)
        case 'EnterOrder':
          return enter(marketOf(state, item.instrument), item, context)
        case 'CancelEntered': {
          const market = marketOf(state, item.instrument)
          const order = take(market, item.orderId)
          if (order === undefined) return refuse(item, 'cancelled', 'order_not_open', 0n, context)
          order.asker = item
          return finish(market, order, 'cancelled', item.commandId, 'cancelled', undefined, context)
        }
        case 'AmendEntered':
          return amend(marketOf(state, item.instrument), item, context)
      }
    },
    stateHash: (state) => JSON.stringify([...state.markets], (_, value) => String(value)),
  }
}

/** What one market holds of the orders of an account slot, by asset. */
export function heldByMarkets(state: NaiveEngineState, slot: number): Map<string, bigint> {
  const held = new Map<string, bigint>()
  for (const { definition, book } of state.markets.values()) {
    for (const side of ['buy', 'sell'] as const) {
      const asset = side === 'buy' ? definition.quote : definition.base
      for (const order of book[side]) {
        if (order.slot === slot) held.set(asset, (held.get(asset) ?? 0n) + order.holdMinor)
      }
    }
  }
  return held
}

function enter(market: Market, item: Enter, context: Context<MarketEvent>) {
  const order: Order = {
    enter: item,
    slot: Number(context.source.slice(context.source.lastIndexOf('-') + 1)),
    priceTicks: item.priceTicks,
    amountLots: item.amountLots,
    quoteTickLotsLeft: item.quoteTickLots ?? Number.POSITIVE_INFINITY,
    executedLots: 0,
    holdMinor: BigInt(item.holdMinor),
    fills: [],
    consumedMinor: 0n,
    asker: {},
  }
  const { commandId } = item
  if (market.status === 'halted')
    return finish(market, order, 'placed', commandId, 'rejected', 'market_halted', context)
  if (market.status === 'cancel_only') {
    return finish(market, order, 'placed', commandId, 'rejected', 'market_cancel_only', context)
  }
  const opposite = market.book[item.side === 'buy' ? 'sell' : 'buy']
  if (item.orderType === 'market' && opposite.length === 0) {
    return finish(market, order, 'placed', commandId, 'rejected', 'no_liquidity', context)
  }
  match(market, order, commandId, context)
  settle(market, order, 'placed', commandId, context)
}

function amend(market: Market, item: Amend, context: Context<MarketEvent>) {
  const addedMinor = BigInt(item.addedHoldMinor)
  const order = [...market.book.buy, ...market.book.sell].find(({ enter }) => enter.orderId === item.orderId)
  if (order === undefined) return refuse(item, 'amended', 'order_not_open', addedMinor, context)
  const priceTicks = item.priceTicks ?? order.priceTicks
  const amountLots = item.amountLots ?? order.amountLots
  if (amountLots <= order.executedLots) {
    return refuse(item, 'amended', 'amount_not_above_executed', addedMinor, context)
  }
  if (needed(market, order, priceTicks, amountLots) > order.holdMinor + addedMinor) {
    return refuse(item, 'amended', 'hold_too_small', addedMinor, context)
  }
  order.asker = item
  const keepsPlace = priceTicks === order.priceTicks && amountLots <= order.amountLots
  order.priceTicks = priceTicks
  order.amountLots = amountLots
  order.holdMinor += addedMinor
  if (keepsPlace) return tell(market, order, 'amended', item.commandId, context)
  take(market, item.orderId)
  match(market, order, item.commandId, context)
  settle(market, order, 'amended', item.commandId, context)
}

/** Trades with what stands against it, best and oldest first. */
function match(market: Market, taker: Order, commandId: number, context: Context<MarketEvent>) {
  const { side } = taker.enter
  const book = market.book[side === 'buy' ? 'sell' : 'buy']
  for (let maker = book[0]; maker !== undefined; maker = book[0]) {
    const crosses = side === 'buy' ? maker.priceTicks <= taker.priceTicks : maker.priceTicks >= taker.priceTicks
    if (!crosses) return
    const wanted = taker.amountLots === 0 ? Number.POSITIVE_INFINITY : taker.amountLots - taker.executedLots
    const affordable = Math.floor(taker.quoteTickLotsLeft / maker.priceTicks)
    const lots = Math.min(wanted, affordable, maker.amountLots - maker.executedLots)
    if (lots === 0) return
    taker.quoteTickLotsLeft -= lots * maker.priceTicks
    market.tradesCount++
    for (const [order, liquidity] of [
      [maker, 'maker'],
      [taker, 'taker'],
    ] as const) {
      execute(market, order, liquidity, maker.priceTicks, lots)
    }
    if (maker.executedLots === maker.amountLots) {
      book.shift()
      finish(market, maker, 'matched', commandId, 'executed', undefined, context)
    } else {
      tell(market, maker, 'matched', commandId, context)
    }
  }
}

function execute(market: Market, order: Order, liquidity: Fill['liquidity'], priceTicks: number, lots: number) {
  const { side, makerFeePpm, takerFeePpm } = order.enter
  const quoteMinor = BigInt(priceTicks * lots) * BigInt(market.definition.quoteMinorPerTickLot)
  const baseMinor = BigInt(lots) * BigInt(market.definition.baseMinorPerLot)
  const feeMinor = feeOf(side === 'buy' ? baseMinor : quoteMinor, liquidity === 'maker' ? makerFeePpm : takerFeePpm)
  order.executedLots += lots
  order.consumedMinor += side === 'buy' ? quoteMinor : baseMinor
  order.fills.push({
    tradeId: market.tradesCount,
    priceTicks,
    lots,
    quoteMinor: quoteMinor.toString(),
    feeMinor: feeMinor.toString(),
    liquidity,
  })
}

/** After matching: the order is done, ends with a remainder, or rests. */
function settle(market: Market, order: Order, cause: Cause, commandId: number, context: Context<MarketEvent>) {
  const { orderType, side } = order.enter
  if (order.amountLots > 0 && order.executedLots === order.amountLots) {
    return finish(market, order, cause, commandId, 'executed', undefined, context)
  }
  if (orderType === 'market') return finish(market, order, cause, commandId, 'closed', 'worst_price', context)
  const book = market.book[side]
  const behind = book.findIndex(({ priceTicks }) =>
    side === 'buy' ? priceTicks < order.priceTicks : priceTicks > order.priceTicks,
  )
  book.splice(behind < 0 ? book.length : behind, 0, order)
  tell(market, order, cause, commandId, context)
}

function tell(market: Market, order: Order, cause: Cause, commandId: number, context: Context<MarketEvent>) {
  const neededMinor = needed(market, order, order.priceTicks, order.amountLots)
  const status = order.executedLots > 0 ? 'partially_filled' : 'new'
  outcome(order, cause, commandId, status, undefined, neededMinor, context)
}

function finish(
  _market: Market,
  order: Order,
  cause: Cause,
  commandId: number,
  status: OrderStatus,
  reason: MachineCode | undefined,
  context: Context<MarketEvent>,
) {
  outcome(order, cause, commandId, status, reason, 0n, context)
}

function outcome(
  order: Order,
  cause: Cause,
  commandId: number,
  status: OrderStatus,
  reason: MachineCode | undefined,
  keptMinor: bigint,
  context: Context<MarketEvent>,
) {
  const item: OrderOutcome = {
    type: 'OrderOutcome',
    cause,
    commandId,
    orderId: order.enter.orderId,
    memberId: order.enter.memberId,
    status,
    ...(reason === undefined ? {} : { reason }),
    fills: order.fills,
    consumedMinor: order.consumedMinor.toString(),
    releasedMinor: (order.holdMinor - order.consumedMinor - keptMinor).toString(),
    priceTicks: order.priceTicks,
    amountLots: order.amountLots,
    executedLots: order.executedLots,
    timeUs: context.timeUs,
  }
  context.send(Log.accounts, order.slot, withAsker(item, order.asker))
  order.holdMinor = keptMinor
  order.fills = []
  order.consumedMinor = 0n
  order.asker = {}
}

function needed(market: Market, order: Order, priceTicks: number, amountLots: number): bigint {
  const lots = amountLots - order.executedLots
  if (order.enter.side === 'sell') return BigInt(lots) * BigInt(market.definition.baseMinorPerLot)
  return BigInt(lots * priceTicks) * BigInt(market.definition.quoteMinorPerTickLot)
}

function take(market: Market, orderId: number): Order | undefined {
  for (const book of [market.book.buy, market.book.sell]) {
    const index = book.findIndex(({ enter }) => enter.orderId === orderId)
    if (index >= 0) return book.splice(index, 1)[0]
  }
  return undefined
}

function refuse(
  item: Extract<MarketItem, { type: 'CancelEntered' | 'AmendEntered' }>,
  cause: OrderCommandRefused['cause'],
  code: MachineCode,
  releasedMinor: bigint,
  context: Context<MarketEvent>,
) {
  const { commandId, orderId, memberId } = item
  const slot = Number(context.source.slice(context.source.lastIndexOf('-') + 1))
  const refused: OrderCommandRefused = {
    type: 'OrderCommandRefused',
    cause,
    commandId,
    orderId,
    memberId,
    code,
    releasedMinor: releasedMinor.toString(),
  }
  context.send(Log.accounts, slot, withAsker(refused, item))
}

function tellDefinitions(
  { commandId, replyTo }: { readonly commandId: number; readonly replyTo: string },
  instrument: string,
  status: MarketStatus,
  context: Context<MarketEvent>,
) {
  const item: DefinitionCommand = { type: 'MarketApplied', instrument, status, commandId, replyTo }
  context.send(Log.definitions, 0, item)
}

function marketOf(state: NaiveEngineState, instrument: string): Market {
  const market = state.markets.get(instrument)
  if (market === undefined) throw new RangeError(`no market ${instrument}`)
  return market
}

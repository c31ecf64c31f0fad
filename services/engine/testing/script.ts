import type { Context } from '#mesh/machine/rules.ts'
import type { OrderCommandRefused, OrderOutcome } from '#mesh/protocol/accounts.ts'
import type { MarketStatus } from '#mesh/protocol/common.ts'
import type { MarketDefinition } from '#mesh/protocol/definitions.ts'
import type { MarketEvent, MarketItem } from '#mesh/protocol/engine.ts'
import type { Reply } from '#mesh/protocol/replies.ts'
import type { Log } from '#mesh/subjects.ts'

/** One tick × lot is 2 minor units of quote, one lot 10 minor units of base. */
export const MARKET: MarketDefinition = {
  instrument: 'AAA-BBB',
  base: 'AAA',
  quote: 'BBB',
  tick: '0.2',
  lot: '0.1',
  baseMinorPerLot: '10',
  quoteMinorPerTickLot: '2',
  amountLotsMin: 1,
  makerFeePpm: 1_000,
  takerFeePpm: 2_000,
  slippagePpm: 50_000,
  marketSlot: 0,
  status: 'trading',
}

export const OPEN: MarketItem = { type: 'OpenMarket', market: MARKET, commandId: 1, replyTo: 'gateway-1' }

export interface Said {
  readonly events: MarketEvent[]
  readonly items: { readonly log: Log; readonly slot: number; readonly item: object }[]
  readonly replies: { readonly replyTo: string; readonly reply: Reply; readonly ticket: number | 'here' | undefined }[]
}

/** A context that writes down what was said while one item is applied. */
export function recordingContext(source: string, timeUs: number): { context: Context<MarketEvent>; said: Said } {
  const said: Said = { events: [], items: [], replies: [] }
  const context: Context<MarketEvent> = {
    slot: 0,
    timeUs,
    source,
    emit: (event) => void said.events.push(event),
    send: (log, slot, item) => said.items.push({ log, slot, item }) - 1,
    reply: (replyTo, reply, ticket) => void said.replies.push({ replyTo, reply, ticket }),
  }
  return { context, said }
}

/**
 * A command as people write it: `buy #1 5@100`, `market sell #2 5@90`, `market buy #3 quote 900@100`, `cancel #1`,
 * `amend #1 7@101`, `amend #1 7`, `amend #1 @101`, `status halted`, `open`; `hold 50` says what is reserved (else just
 * what is needed; for an amendment: added, else 0), `client c1` the member's id, `on XXX-YYY` the market, `by 8/2` member
 * and account slot (else 7/1).
 */
export function parseCommand(text: string, commandId: number): { readonly item: MarketItem; readonly source: string } {
  const words = text.split(' ')
  const option = (name: string): string | undefined => {
    const at = words.indexOf(name)
    return at < 0 ? undefined : words.splice(at, 2)[1]
  }
  const hold = option('hold')
  const clientOrderId = option('client')
  const instrument = option('on') ?? MARKET.instrument
  const [member = '7', slot = '1'] = (option('by') ?? '7/1').split('/')
  const orderType = words[0] === 'market' ? 'market' : 'limit'
  if (orderType === 'market') words.shift()
  const [verb = '', id = ''] = words
  const definitions = { source: 'definitions-0' }
  const replyTo = 'gateway-1'
  if (verb === 'open') return { item: { ...OPEN, commandId }, ...definitions }
  if (verb === 'status') {
    const status = id as MarketStatus
    return { item: { type: 'ChangeMarketStatus', instrument, status, commandId, replyTo }, ...definitions }
  }
  const orderId = Number(id.slice(1))
  const common = { commandId, replyTo, orderId, memberId: Number(member), instrument }
  const source = `accounts-${slot}`
  if (verb === 'cancel') return { item: { ...common, type: 'CancelEntered' }, source }
  const byQuote = words[2] === 'quote'
  const [amount = '', price = ''] = (words[byQuote ? 3 : 2] ?? '').split('@')
  if (verb === 'amend') {
    const changes = {
      ...(price === '' ? {} : { priceTicks: Number(price) }),
      ...(amount === '' ? {} : { amountLots: Number(amount) }),
    }
    return { item: { ...common, type: 'AmendEntered', ...changes, addedHoldMinor: hold ?? '0' }, source }
  }
  const side = verb === 'buy' ? 'buy' : 'sell'
  const priceTicks = Number(price)
  const quoteTickLots = byQuote ? Number(amount) : undefined
  const boundLots = Math.floor(Number(amount) / priceTicks)
  const amountLots = byQuote ? (side === 'buy' ? 0 : boundLots) : Number(amount)
  const needed = side === 'buy' ? 2 * (quoteTickLots ?? amountLots * priceTicks) : 10 * amountLots
  const item: MarketItem = {
    ...common,
    type: 'EnterOrder',
    ...(clientOrderId === undefined ? {} : { clientOrderId }),
    side,
    orderType,
    priceTicks,
    amountLots,
    ...(quoteTickLots === undefined ? {} : { quoteTickLots }),
    holdMinor: hold ?? String(needed),
    makerFeePpm: MARKET.makerFeePpm,
    takerFeePpm: MARKET.takerFeePpm,
    createdAtUs: 500,
  }
  return { item, source }
}

/** What was said, one short line each: items for other slots, then events, then replies, each in their order. */
export function describe(said: Said): string[] {
  return [
    ...said.items.map(({ log, slot, item }) => `${log}-${slot}: ${describeItem(item)}`),
    ...said.events.map(describeEvent),
    ...said.replies.map(
      ({ reply, ticket }) => `reply: ${describeReply(reply)}${ticket === undefined ? '' : ` ~${ticket}`}`,
    ),
  ]
}

function describeItem(sent: object): string {
  const item = sent as
    | OrderOutcome
    | OrderCommandRefused
    | { type: 'MarketApplied'; instrument: string; status: string }
  switch (item.type) {
    case 'MarketApplied':
      return `applied ${item.instrument} ${item.status}`
    case 'OrderCommandRefused':
      return `${item.cause} refused #${item.orderId} ${item.code} released ${item.releasedMinor}`
    case 'OrderOutcome': {
      const state = `${item.status}${item.reason === undefined ? '' : `(${item.reason})`}`
      const fills = item.fills.map((fill) => ` ${fill.lots}@${fill.priceTicks} fee ${fill.feeMinor}`).join(',')
      const money = `consumed ${item.consumedMinor} released ${item.releasedMinor}`
      return `${item.cause} #${item.orderId} ${state} ${item.executedLots}/${item.amountLots}@${item.priceTicks}${fills} ${money}`
    }
  }
}

function describeEvent(event: MarketEvent): string {
  switch (event.type) {
    case 'Traded':
      return `trade ${event.tradeId} ${event.takerSide} ${event.lots}@${event.priceTicks}`
    case 'BookChanged': {
      const levels = (side: readonly (readonly [number, number])[]) => side.map((level) => level.join(':')).join(' ')
      return `book ${event.sequence} bids [${levels(event.bids)}] asks [${levels(event.asks)}]`
    }
    case 'MarketOpened':
      return `opened ${event.instrument}`
    case 'MarketStatusChanged':
      return `status ${event.instrument} ${event.status}`
    case 'CommandIgnored':
      return `ignored ${event.code}`
  }
}

function describeReply(reply: Reply): string {
  if (reply.kind === 'order') {
    const { orderId, status, reason, executedQuoteMinor, feeMinor } = reply.order
    const state = `${status}${reason === undefined ? '' : `(${reason})`}`
    return `${reply.cause} #${orderId} ${state} quote ${executedQuoteMinor} fee ${feeMinor} fills ${reply.fills.length}`
  }
  if (reply.kind === 'refused') return `refused #${reply.orderId} ${reply.code}`
  if (reply.kind === 'ledgerRefused') return `refused ${reply.code}`
  return reply.kind
}

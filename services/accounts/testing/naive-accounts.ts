import type { AccountItem, AmendOrder, LedgerCommand, OrderOutcome, PlaceOrder } from '#mesh/protocol/accounts.ts'
import type { MarketDefinition } from '#mesh/protocol/definitions.ts'
import { accountSlotOf } from '#mesh/slots.ts'

interface NaiveOrder {
  readonly place: PlaceOrder
  readonly market: MarketDefinition
  priceTicks: number
  amountLots: number
  executedLots: number
  open: boolean
  amendHold: bigint | undefined
}

/**
 * The balances of one slot, computed anew from what it reads, with plain maps and its own words: what the real rules must
 * agree with after every item. It never forgets an id, knows no events and no order states.
 */
export class NaiveAccounts {
  readonly balances = new Map<string, { available: bigint; held: bigint }>()
  readonly #slot: number
  readonly #accountSlots: number
  readonly #openOrdersMax: number
  readonly #statuses = new Map<number, string>()
  readonly #assets = new Set<string>()
  readonly #markets = new Map<string, MarketDefinition>()
  readonly #orders = new Map<number, NaiveOrder>()
  readonly #ids = new Set<number>()
  readonly #clientIds = new Map<string, number>()
  readonly #requests = new Set<string>()
  readonly #claims = new Map<string, string>()
  readonly #ledger = new Map<string, string>()

  constructor(slot: number, accountSlots: number, openOrdersMax: number) {
    this.#slot = slot
    this.#accountSlots = accountSlots
    this.#openOrdersMax = openOrdersMax
  }

  apply(item: AccountItem): void {
    switch (item.type) {
      case 'AssetKnown':
        this.#assets.add(item.asset.asset)
        return
      case 'MarketKnown':
        this.#markets.set(item.market.instrument, item.market)
        return
      case 'CreateAccount':
        if (!this.#statuses.has(item.memberId)) this.#statuses.set(item.memberId, 'active')
        return
      case 'SetAccountStatus': {
        if (this.#ids.has(item.commandId)) return
        this.#ids.add(item.commandId)
        const before = this.#statuses.get(item.memberId)
        if (before !== undefined && before !== 'closed') this.#statuses.set(item.memberId, item.status)
        return
      }
      case 'PlaceOrder':
        this.#place(item)
        return
      case 'VoidOrder':
        this.#ids.add(item.orderId)
        return
      case 'CancelOrders':
        this.#ids.add(item.commandId)
        return
      case 'AmendOrder': {
        if (this.#ids.has(item.commandId) || this.#isRepeat(item)) return
        this.#ids.add(item.commandId)
        const id = item.orderId ?? this.#clientIds.get(`${item.memberId}/${item.clientOrderId}`)
        const order = this.#orders.get(id ?? 0)
        if (order === undefined || !order.open || order.place.memberId !== item.memberId) return
        if (item.instrument !== undefined && item.instrument !== order.place.instrument) return
        this.#amend(order, item.priceTicks ?? order.priceTicks, item.amountLots ?? order.amountLots)
        return
      }
      case 'OrderOutcome':
        this.#book(item)
        return
      case 'OrderCommandRefused': {
        const order = this.#orders.get(item.orderId)
        if (item.cause === 'amended' && order !== undefined) {
          this.#move(order, order.amendHold ?? 0n)
          order.amendHold = undefined
        }
        return
      }
      case 'Deposit':
      case 'Withdraw':
      case 'Transfer':
        if (this.#isHome(item.reference)) this.#decide(item)
        else if (this.#ledger.has(item.reference)) this.#decide(item)
        return
      case 'ClaimReference':
        if (!this.#claims.has(item.command.reference)) this.#claims.set(item.command.reference, content(item.command))
        return
      case 'ReferenceClaimed':
        if (item.code === undefined) this.#decide(item.command)
        return
      case 'CreditTransfer': {
        const status = this.#statuses.get(item.toMemberId)
        if (item.repeated || status === undefined || status === 'closed' || !this.#assets.has(item.asset)) return
        this.#of(item.toMemberId, item.asset).available += BigInt(item.amountMinor)
        return
      }
      case 'TransferSettled':
        if (!item.repeated && item.code !== undefined) {
          this.#of(item.fromMemberId, item.asset).available += BigInt(item.amountMinor)
        }
        return
      case 'CancelOrder':
        return
    }
  }

  /** By the sender's own id of it. */
  #isRepeat({ type, memberId, requestId }: AmendOrder): boolean {
    if (requestId === undefined) return false
    const key = `${memberId} ${type} ${requestId}`
    if (this.#requests.has(key)) return true
    this.#requests.add(key)
    return false
  }

  /** Which slot keeps a reference is no concern of balances: whoever was asked to, by the rules' own choice. */
  isHome: (reference: string) => boolean = () => true
  #isHome(reference: string): boolean {
    return this.isHome(reference)
  }

  #place(item: PlaceOrder): void {
    const key = `${item.memberId}/${item.clientOrderId}`
    if (this.#ids.has(item.commandId)) return
    if (item.clientOrderId !== undefined && this.#clientIds.has(key)) return
    this.#ids.add(item.commandId)
    if (item.clientOrderId !== undefined) this.#clientIds.set(key, item.commandId)
    const market = this.#markets.get(item.instrument)
    if (market === undefined || this.#statuses.get(item.memberId) !== 'active') return
    const lots = item.quoteTickLots === undefined ? item.amountLots : Math.floor(item.quoteTickLots / item.priceTicks)
    const isQuoteBuy = item.quoteTickLots !== undefined && item.side === 'buy'
    if (!isQuoteBuy && lots < market.amountLotsMin) return
    if (item.quoteTickLots !== undefined && item.amountLots !== (isQuoteBuy ? 0 : lots)) return
    const hold =
      item.side === 'sell'
        ? BigInt(lots) * BigInt(market.baseMinorPerLot)
        : BigInt(item.quoteTickLots ?? item.priceTicks * lots) * BigInt(market.quoteMinorPerTickLot)
    const mine = [...this.#orders.values()].filter(({ open, place }) => open && place.memberId === item.memberId)
    const asset = item.side === 'sell' ? market.base : market.quote
    const available = this.balances.get(`${item.memberId}/${asset}`)?.available ?? 0n
    if (hold > available || mine.length >= this.#openOrdersMax) return
    const { priceTicks, amountLots } = item
    const order = { place: item, market, priceTicks, amountLots, executedLots: 0, open: true, amendHold: undefined }
    this.#orders.set(item.commandId, order)
    this.#move(order, -hold)
  }

  #amend(order: NaiveOrder, priceTicks: number, amountLots: number): void {
    const { place, market } = order
    if (this.#statuses.get(place.memberId) !== 'active') return
    if (place.orderType === 'market' || order.amendHold !== undefined) return
    if (amountLots < market.amountLotsMin || amountLots <= order.executedLots) return
    let worst = 0n
    // The most that is missing, whatever is executed until the amendment arrives.
    for (let executed = order.executedLots; executed <= order.amountLots; executed++) {
      const before = BigInt(order.amountLots - executed)
      const after = BigInt(amountLots - executed)
      const missing =
        place.side === 'sell'
          ? (after - before) * BigInt(market.baseMinorPerLot)
          : (after * BigInt(priceTicks) - before * BigInt(order.priceTicks)) * BigInt(market.quoteMinorPerTickLot)
      if (missing > worst) worst = missing
    }
    const asset = place.side === 'sell' ? market.base : market.quote
    if (worst > this.#of(place.memberId, asset).available) return
    order.amendHold = worst
    this.#move(order, -worst)
  }

  #book(item: OrderOutcome): void {
    const order = this.#orders.get(item.orderId)
    if (order === undefined) throw new RangeError(`no order ${item.orderId}`)
    const { market, place } = order
    const [spent, received] = place.side === 'buy' ? [market.quote, market.base] : [market.base, market.quote]
    this.#of(place.memberId, spent).held -= BigInt(item.consumedMinor)
    this.#move(order, BigInt(item.releasedMinor))
    for (const fill of item.fills) {
      const gross = place.side === 'buy' ? BigInt(fill.lots) * BigInt(market.baseMinorPerLot) : BigInt(fill.quoteMinor)
      this.#of(place.memberId, received).available += gross - BigInt(fill.feeMinor)
      order.executedLots += fill.lots
    }
    if (item.cause === 'amended') order.amendHold = undefined
    order.priceTicks = item.priceTicks
    order.amountLots = item.amountLots
    order.open = item.status === 'new' || item.status === 'partially_filled'
  }

  #decide(command: LedgerCommand): void {
    const { memberId, asset, reference } = command
    if (this.#claims.has(reference) && this.#claims.get(reference) !== content(command)) return
    if (this.#ledger.has(reference)) return
    this.#ledger.set(reference, content(command))
    this.#claims.set(reference, content(command))
    const status = this.#statuses.get(memberId)
    if (status === undefined || status === 'closed' || !this.#assets.has(asset)) return
    const amount = BigInt(command.amountMinor)
    if (command.type === 'Deposit') {
      this.#of(memberId, asset).available += amount
      return
    }
    if (status === 'blocked' || amount > this.#of(memberId, asset).available) return
    this.#of(memberId, asset).available -= amount
  }

  /** From held to available; a negative amount reserves. */
  #move(order: NaiveOrder, amount: bigint): void {
    const { market, place } = order
    const balance = this.#of(place.memberId, place.side === 'sell' ? market.base : market.quote)
    balance.available += amount
    balance.held -= amount
  }

  #of(memberId: number, asset: string): { available: bigint; held: bigint } {
    if (accountSlotOf(memberId, this.#accountSlots) !== this.#slot) throw new RangeError(`${memberId} is elsewhere`)
    const key = `${memberId}/${asset}`
    let balance = this.balances.get(key)
    if (balance === undefined) {
      balance = { available: 0n, held: 0n }
      this.balances.set(key, balance)
    }
    return balance
  }
}

const content = (command: LedgerCommand): string =>
  [
    command.type,
    command.memberId,
    command.asset,
    command.amountMinor,
    'toMemberId' in command && command.toMemberId,
  ].join()

import type { AccountEdgeCommand } from '#mesh/protocol/accounts.ts'
import { accountSlotOf } from '#mesh/slots.ts'

type WithoutEdge<Command> = Command extends AccountEdgeCommand
  ? Omit<Command, 'commandId' | 'replyTo' | 'memberId'>
  : never

/** Random commands of a few members on the first markets: all kinds, good and bad. The same seed gives the same commands. */
export class Trading {
  readonly memberIds: readonly number[]
  readonly #nextId: () => number
  readonly #accountSlots: number
  readonly #orders: { readonly memberId: number; readonly orderId: number }[] = []
  #seed: number
  #count = 0

  constructor(options: { seed: number; members: number; accountSlots: number; nextId: () => number }) {
    this.#seed = options.seed
    this.#nextId = options.nextId
    this.#accountSlots = options.accountSlots
    this.memberIds = Array.from({ length: options.members }, () => options.nextId())
  }

  /** Accounts with money of every kind. */
  opening(): Addressed[] {
    return this.memberIds.flatMap((memberId) => [
      this.#from(memberId, { type: 'CreateAccount' }),
      ...['BTC', 'ETH', 'USDT'].map((asset) =>
        this.#from(memberId, {
          type: 'Deposit',
          reference: `opening ${memberId} ${asset}`,
          asset,
          amountMinor: asset === 'USDT' ? '100000000000000' : '10000000000',
        }),
      ),
    ])
  }

  next(): Addressed {
    const memberId = this.memberIds[this.#below(this.memberIds.length)] ?? 0
    const roll = this.#below(100)
    if (roll < 70) return this.#order(memberId)
    const known = this.#orders[this.#below(this.#orders.length)]
    if (roll < 78 && known !== undefined) {
      return this.#from(known.memberId, { type: 'CancelOrder', orderId: known.orderId })
    }
    if (roll < 86 && known !== undefined) {
      const change = { priceTicks: 990 + this.#below(21), amountLots: 1 + this.#below(20) }
      return this.#from(known.memberId, { type: 'AmendOrder', orderId: known.orderId, ...change })
    }
    if (roll < 88) return this.#from(memberId, { type: 'CancelOrders', side: 'buy' })
    if (roll < 93) {
      const toMemberId = this.memberIds[this.#below(this.memberIds.length)] ?? 0
      const reference = `transfer ${++this.#count}`
      return this.#from(memberId, { type: 'Transfer', reference, toMemberId, asset: 'USDT', amountMinor: '12345' })
    }
    if (roll < 96) {
      const reference = `withdrawal ${++this.#count}`
      return this.#from(memberId, { type: 'Withdraw', reference, asset: 'ETH', amountMinor: '777' })
    }
    if (roll < 98) return this.#from(memberId, { type: 'VoidOrder', orderId: this.#nextId() })
    // Nobody has so much, and there is no such market.
    return this.#order(memberId, roll === 98 ? { amountLots: 1e12 } : { instrument: 'AAA-BBB' })
  }

  #order(memberId: number, other: { amountLots?: number; instrument?: string } = {}): Addressed {
    const isMarket = this.#below(10) === 0
    const side = this.#below(2) === 0 ? 'buy' : 'sell'
    const addressed = this.#from(memberId, {
      type: 'PlaceOrder',
      clientOrderId: `order-${++this.#count}`,
      contentHash: this.#count,
      instrument: ['BTC-USDT', 'ETH-USDT', 'ETH-BTC'][this.#below(3)] ?? '',
      side,
      orderType: isMarket ? 'market' : 'limit',
      priceTicks: isMarket ? (side === 'buy' ? 2000 : 500) : 990 + this.#below(21),
      amountLots: 1 + this.#below(20),
      createdAtUs: 1_750_000_000_000_000 + this.#count,
      ...other,
    })
    this.#orders.push({ memberId, orderId: addressed.command.commandId })
    return addressed
  }

  #from(memberId: number, fields: WithoutEdge<AccountEdgeCommand>): Addressed {
    const command = { commandId: this.#nextId(), replyTo: '', memberId, ...fields } as AccountEdgeCommand
    return { slot: accountSlotOf(memberId, this.#accountSlots), command }
  }

  /** Mulberry32. */
  #below(end: number): number {
    this.#seed = (this.#seed + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.#seed ^ (this.#seed >>> 15), 1 | this.#seed)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % Math.max(1, end)
  }
}

export interface Addressed {
  /** The member's account slot. */
  readonly slot: number
  readonly command: AccountEdgeCommand
}

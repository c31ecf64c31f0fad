import type { CancelAll, Listing, MemberHistory, OrderHistory } from './history.ts'

/** Orders that are at hand; when there are more, those that are over are put away. */
const AT_HAND_MAX = 64
/** Of the newest, so many always are: they are repeated and read again. */
export const NEWEST_AT_HAND = 20
const LISTINGS_MAX = 4

type Page = Pick<MemberHistory, 'orders'> & {
  readonly listings: readonly (Omit<Listing, 'orderIds'> & { readonly orderIds: readonly string[] })[]
}

/**
 * What one member sent and was told. What does not change any more lies outside of the heap, as bytes: the clients of a run of ten
 * minutes keep half a million orders, and a heap with them in it stands still for seconds when it is collected.
 */
export class Notebook {
  readonly memberId: number
  readonly cancelAlls: CancelAll[] = []
  /** Of all, put away or not. */
  ordersCount = 0
  readonly #mayChange: (order: OrderHistory) => boolean
  readonly #pages: Buffer[] = []
  #orders: OrderHistory[] = []
  #listings: Listing[] = []

  constructor(memberId: number, mayChange: (order: OrderHistory) => boolean) {
    this.memberId = memberId
    this.#mayChange = mayChange
  }

  /** The newest last. */
  get atHand(): readonly OrderHistory[] {
    return this.#orders
  }

  addOrder(order: OrderHistory): void {
    this.#orders.push(order)
    this.ordersCount++
    if (this.#orders.length > AT_HAND_MAX) this.#putAway()
  }

  addListing(listing: Listing): void {
    this.#listings.push(listing)
    if (this.#listings.length > LISTINGS_MAX) this.#putAway()
  }

  /** All of it, read back. */
  history(): MemberHistory {
    const pages = this.#pages.map((page) => JSON.parse(page.toString()) as Page)
    const listings = pages.flatMap((page) => page.listings.map((one) => ({ ...one, orderIds: new Set(one.orderIds) })))
    return {
      memberId: this.memberId,
      orders: [...pages.flatMap(({ orders }) => orders), ...this.#orders],
      cancelAlls: this.cancelAlls,
      listings: [...listings, ...this.#listings],
    }
  }

  #putAway(): void {
    const older = this.#orders.slice(0, -NEWEST_AT_HAND)
    const isOver = (order: OrderHistory): boolean => !this.#mayChange(order)
    const page: Page = {
      orders: older.filter(isOver),
      listings: this.#listings.map((one) => ({ ...one, orderIds: [...one.orderIds] })),
    }
    this.#orders = [...older.filter(this.#mayChange), ...this.#orders.slice(-NEWEST_AT_HAND)]
    this.#listings = []
    const text = JSON.stringify(page)
    // Not from a pool: that would keep eight thousand bytes for each.
    const bytes = Buffer.allocUnsafeSlow(Buffer.byteLength(text))
    bytes.write(text)
    this.#pages.push(bytes)
  }
}

import type { OrderWithFills } from '#mesh/protocol/accounts.ts'
import type { Fill, OrderState, OrderStatus, Side } from '#mesh/protocol/common.ts'
import type { Reads } from '../mesh/reads.ts'
import { Problem } from '../problem.ts'
import type { Member, OrderName } from './trading.ts'

export interface FoundOrder {
  readonly order: OrderState
  readonly fills: readonly Fill[]
  /** `<sequence>-…` */
  readonly position: string
}

export interface OrderListing {
  readonly instrument?: string
  readonly side?: Side
  readonly statuses?: readonly OrderStatus[]
  readonly fromUs?: number
  readonly toUs?: number
  readonly limit: number
  readonly cursor?: string
}

export interface OrderPage {
  readonly orders: readonly { readonly order: OrderState; readonly position: string }[]
  readonly cursor?: string
}

/** A member's own orders, never older than what he was told. */
export interface OrderReads {
  /** From the slot's owner while it knows it, else from MySQL. */
  order(member: Member, name: OrderName): Promise<FoundOrder | undefined>
  /** The id of an order that the slot's owner knows by this name. */
  idOf(member: Member, name: OrderName): Promise<number | undefined>
  list(member: Member, listing: OrderListing): Promise<OrderPage>
}

export function createOrderReads(reads: Reads): OrderReads {
  /** Open orders from memory, so that they are there without MySQL. Ids follow time, so the newest come first. */
  const listOpen = async (member: Member, listing: OrderListing): Promise<OrderPage> => {
    const { instrument, side, statuses, fromUs = 0, toUs = Number.MAX_SAFE_INTEGER, limit } = listing
    const before = listing.cursor === undefined ? Number.MAX_SAFE_INTEGER : openCursor(listing.cursor)
    const { orders } = await reads.account(member.slot, {
      read: 'openOrders',
      memberId: member.memberId,
      ...(instrument === undefined ? {} : { instrument }),
      ...(side === undefined ? {} : { side }),
    })
    const wanted = orders
      .filter(({ order }) => statuses === undefined || statuses.includes(order.status))
      .filter(({ order }) => order.createdAtUs >= fromUs && order.createdAtUs < toUs && order.orderId < before)
      .sort((a, b) => b.order.orderId - a.order.orderId)
    const page = wanted.slice(0, limit)
    const last = page.at(-1)
    return wanted.length > limit && last !== undefined
      ? { orders: page, cursor: `open.${last.order.orderId}` }
      : { orders: page }
  }

  const fromHistory = async (member: Member, name: OrderName): Promise<FoundOrder | undefined> => {
    const barrier = await reads.barrier(member.slot)
    const { found } = await reads.history({ query: 'order', memberId: member.memberId, ...name, barrier })
    return found === undefined
      ? undefined
      : { order: found.order, fills: found.fills, position: String(found.sequence) }
  }

  const fromOwner = (member: Member, name: OrderName) =>
    reads.account(member.slot, { read: 'order', memberId: member.memberId, ...name })

  return {
    idOf: async (member, name) => {
      const { found, knownOrderId } = await fromOwner(member, name)
      return found?.order.orderId ?? knownOrderId
    },
    order: async (member, name) => {
      const { found, knownOrderId } = await fromOwner(member, name)
      if (found !== undefined) return withPosition(found)
      return fromHistory(member, knownOrderId === undefined ? name : { orderId: knownOrderId })
    },
    list: async (member, listing) => {
      const { statuses } = listing
      if (statuses?.every((status) => status === 'new' || status === 'partially_filled'))
        return listOpen(member, listing)
      if (listing.cursor?.startsWith('open.')) throw new Problem('cursor_invalid', { field: 'cursor' })
      const barrier = await reads.barrier(member.slot)
      const page = await reads.history({ query: 'orders', memberId: member.memberId, ...listing, barrier })
      return {
        orders: page.orders.map(({ order, sequence }) => ({ order, position: String(sequence) })),
        ...(page.cursor === undefined ? {} : { cursor: page.cursor }),
      }
    },
  }
}

const withPosition = ({ order, fills, position }: OrderWithFills): FoundOrder => ({ order, fills, position })

function openCursor(cursor: string): number {
  const match = /^open\.([1-9][0-9]{0,15})$/.exec(cursor)
  if (match === null) throw new Problem('cursor_invalid', { field: 'cursor' })
  return Number(match[1])
}

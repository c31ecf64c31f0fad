import type { CommandPublisher } from '#mesh/commands.ts'
import { PRICE_TICKS_MAX, TICK_LOTS_MAX } from '#mesh/domain/money.ts'
import { type ParsedAmendment, type ParsedOrder, worstPriceTicks } from '#mesh/edge/new-order.ts'
import { sequenceOf } from '#mesh/edge/order-json.ts'
import type { AccountEdgeCommand, CancelOrders, OrderWithFills, PlaceOrder } from '#mesh/protocol/accounts.ts'
import { type Fill, isOpen, type MachineCode, type OrderState, type Side } from '#mesh/protocol/common.ts'
import type { Reply } from '#mesh/protocol/replies.ts'
import type { ReplyListener } from '#mesh/replies.ts'
import { RpcError } from '#mesh/rpc.ts'
import { Log } from '#mesh/subjects.ts'
import type { ActiveTrace } from '#mesh/telemetry/telemetry.ts'
import { sleep, systemTime, type Time } from '#mesh/time.ts'
import type { Bests } from '../mesh/bests.ts'
import type { Commander } from '../mesh/commander.ts'
import type { Slots } from '../mesh/slots.ts'
import { Problem } from '../problem.ts'
import type { OrderReads } from './reading.ts'

/** For whom a command is. */
export interface Member {
  readonly memberId: number
  readonly slot: number
  /** Of the request, where tracing is on. */
  readonly trace?: ActiveTrace | undefined
}

/** An order named by its id or by the member's own. */
export type OrderName = { readonly orderId: number } | { readonly clientOrderId: string }

export interface OrderResult {
  readonly order: OrderState
  readonly fills: readonly Fill[]
  readonly sequence: string
  /** The answer to an order that was there before. */
  readonly repeated: boolean
}

export interface CancelledAll {
  readonly cancelled: readonly number[]
  readonly refused: readonly { readonly orderId: number; readonly code: MachineCode }[]
  readonly pending: readonly number[]
}

/** What a member does to his orders, each answered with the engine's result. All of them throw Problem. */
export interface Trading {
  place(member: Member, order: ParsedOrder): Promise<OrderResult>
  cancel(member: Member, name: OrderName): Promise<OrderResult>
  amend(member: Member, name: OrderName, change: ParsedAmendment): Promise<OrderResult>
  /** Waits for the engine's answer to each cancel, within bounds. */
  cancelAll(member: Member, filter: { readonly instrument?: string; readonly side?: Side }): Promise<CancelledAll>
}

export interface TradingParts {
  readonly instanceId: string
  readonly nextId: () => number | Promise<number>
  readonly nowUs: () => number
  readonly commander: Commander
  readonly publisher: CommandPublisher
  readonly replies: ReplyListener
  readonly slots: Slots
  readonly bests: Bests
  readonly reads: OrderReads
  readonly resultMsMax: number
  readonly time?: Time
}

/** How often an order under way is looked at again, in milliseconds. */
const LOOK_MS = 50

export function createTrading(parts: TradingParts): Trading {
  const { instanceId, commander, slots, reads, resultMsMax, time = systemTime } = parts

  /** A market order's bound where the client gave none, and the lots of a sell by quote total. */
  const boundOf = async (order: ParsedOrder): Promise<{ priceTicks: number; amountLots: number }> => {
    let { priceTicks, amountLots } = order
    if (priceTicks === 0) {
      const { instrument, marketSlot, slippagePpm } = order.market.definition
      const best = await parts.bests.opposite(order.side, instrument, marketSlot)
      priceTicks = worstPriceTicks(order.side, best, slippagePpm)
      if (best === 0 && order.side === 'sell') priceTicks = highestBound(order)
    }
    if (order.quoteTickLots > 0 && order.side === 'sell') {
      amountLots = Math.max(1, Math.floor(order.quoteTickLots / priceTicks))
    }
    if (priceTicks * amountLots > TICK_LOTS_MAX) throw new Problem('order_value_too_large', { field: 'amount' })
    return { priceTicks, amountLots }
  }

  /** The result of a publish or a wait that failed: by `VoidOrder` the id is spent, or the order is found. */
  const settleUnknown = async (member: Member, placed: PlaceOrder): Promise<OrderResult> => {
    const { orderId, clientOrderId } = { orderId: placed.commandId, clientOrderId: placed.clientOrderId }
    const unknown = (cause: unknown) => new Problem('outcome_unknown', { orderId, clientOrderId }, { cause })
    let reply: Reply
    try {
      const command: AccountEdgeCommand = {
        type: 'VoidOrder',
        commandId: await parts.nextId(),
        replyTo: instanceId,
        memberId: member.memberId,
        orderId,
      }
      reply = await commander.ask(Log.accounts, member.slot, command, member.trace)
    } catch (error) {
      throw unknown(error)
    }
    const isUnreadable = (error: unknown) => error instanceof Problem && error.code === 'slot_unavailable'
    try {
      if (reply.kind !== 'void' || reply.placed) return await outcomeOf(member, orderId, clientOrderId)
      // This one will not be. The same order may have come through an earlier request whose outcome was unknown.
      const earlierId = clientOrderId === undefined ? undefined : await reads.idOf(member, { clientOrderId })
      if (earlierId === undefined) throw new Problem('not_accepted', { orderId, clientOrderId })
      return await outcomeOf(member, earlierId, clientOrderId)
    } catch (error) {
      throw isUnreadable(error) ? unknown(error) : error
    }
  }

  /** An order that is known to be there, once the engine has spoken. */
  const outcomeOf = async (
    member: Member,
    orderId: number,
    clientOrderId: string | undefined,
  ): Promise<OrderResult> => {
    const deadlineMs = time.nowMs() + resultMsMax
    for (;;) {
      const found = await reads.order(member, { orderId })
      if (found !== undefined && isSettled(found.order)) return { ...resultOf(found), repeated: true }
      if (time.nowMs() > deadlineMs) throw new Problem('outcome_unknown', { orderId, clientOrderId })
      await sleep(time, LOOK_MS)
    }
  }

  /** An engine slot's new owner does not know where its predecessor has stored an outcome; the account slot does. */
  const doneAs = async (member: Member, reply: Extract<Reply, { kind: 'order' }>): Promise<OrderResult> => {
    const { order, fills, position, cause } = reply
    if (position !== undefined) return { order, fills, sequence: sequenceOf(position), repeated: false }
    const { orderId, clientOrderId } = order
    const unknown = (error?: unknown) => new Problem('outcome_unknown', { orderId, clientOrderId }, { cause: error })
    const found = await reads.order(member, { orderId }).catch((error: unknown) => {
      throw unknown(error)
    })
    if (found === undefined) throw unknown()
    return { ...resultOf(found), ...(cause === 'placed' ? {} : { fills }), repeated: false }
  }

  const place: Trading['place'] = async (member, order) => {
    const { definition } = order.market
    slots.check(Log.accounts, member.slot)
    slots.check(Log.markets, definition.marketSlot)
    const bound = order.orderType === 'market' ? await boundOf(order) : order
    const next = parts.nextId()
    const command: PlaceOrder = {
      type: 'PlaceOrder',
      commandId: typeof next === 'number' ? next : await next,
      replyTo: instanceId,
      memberId: member.memberId,
      ...(order.clientOrderId === undefined ? undefined : { clientOrderId: order.clientOrderId }),
      contentHash: order.contentHash,
      instrument: definition.instrument,
      side: order.side,
      orderType: order.orderType,
      priceTicks: bound.priceTicks,
      amountLots: bound.amountLots,
      ...(order.quoteTickLots === 0 ? undefined : { quoteTickLots: order.quoteTickLots }),
      createdAtUs: parts.nowUs(),
    }
    let reply: Reply
    try {
      reply = await commander.ask(Log.accounts, member.slot, command, member.trace)
    } catch (error) {
      if (isUnknown(error)) return settleUnknown(member, command)
      throw refusedByBus(error) ?? error
    }
    const { commandId: orderId, clientOrderId } = command
    switch (reply.kind) {
      case 'order':
        return doneAs(member, reply)
      case 'rejected':
        return { order: reply.order, fills: [], sequence: sequenceOf(reply.position ?? ''), repeated: false }
      case 'repeat':
        if (reply.same) return outcomeOf(member, reply.orderId, clientOrderId)
        throw new Problem('client_order_id_conflict', { orderId: reply.orderId, clientOrderId, field: 'clientOrderId' })
      case 'refused':
      case 'ledgerRefused':
        throw new Problem(reply.code, { orderId, clientOrderId })
      default:
        throw new Error(`An order was answered with ${reply.kind}.`)
    }
  }

  /** A cancel or an amendment: nothing happens twice if it is sent again, so an unknown outcome is told as such. */
  const change = async (member: Member, name: OrderName, command: AccountEdgeCommand): Promise<OrderResult> => {
    slots.check(Log.accounts, member.slot)
    let reply: Reply
    try {
      reply = await commander.ask(Log.accounts, member.slot, command, member.trace)
    } catch (error) {
      if (isUnknown(error)) throw new Problem('outcome_unknown', name, { cause: error })
      throw refusedByBus(error) ?? error
    }
    if (reply.kind === 'order') return doneAs(member, reply)
    if (reply.kind === 'refused' || reply.kind === 'ledgerRefused') {
      const orderId = reply.kind === 'refused' && reply.orderId !== 0 ? { orderId: reply.orderId } : {}
      throw new Problem(reply.code, reply.code === 'order_not_found' ? {} : { ...name, ...orderId })
    }
    throw new Error(`A cancel or an amendment was answered with ${reply.kind}.`)
  }

  const fromEdge = async <Type extends string>(type: Type, member: Member) => ({
    type,
    commandId: await parts.nextId(),
    replyTo: instanceId,
    memberId: member.memberId,
  })

  return {
    place,
    cancel: async (member, name) => change(member, name, { ...(await fromEdge('CancelOrder', member)), ...name }),
    amend: async (member, name, { priceTicks, amountLots }) =>
      change(member, name, {
        ...(await fromEdge('AmendOrder', member)),
        ...name,
        ...(priceTicks === undefined ? {} : { priceTicks }),
        ...(amountLots === undefined ? {} : { amountLots }),
      }),
    cancelAll: async (member, filter) => {
      slots.check(Log.accounts, member.slot)
      const command = { ...(await fromEdge('CancelOrders', member)), ...filter }
      return collectCancels(parts, member, command)
    },
  }
}

const isUnknown = (error: unknown): boolean =>
  error instanceof RpcError && (error.code === 'publish_unknown' || error.code === 'reply_timeout')

/** The bus did not take the command: it is not stored, and never will be. */
const refusedByBus = (error: unknown): Problem | undefined =>
  error instanceof RpcError && error.code === 'publish_refused'
    ? new Problem('service_unavailable', { retryAfterSeconds: 1 }, { cause: error })
    : undefined

/** The highest price of a sell that nobody would buy, such that price × amount and the least amount still fit. */
function highestBound({ amountLots, quoteTickLots, market }: ParsedOrder): number {
  const tickLots = quoteTickLots > 0 ? quoteTickLots : TICK_LOTS_MAX
  const lots = amountLots > 0 ? amountLots : market.definition.amountLotsMin
  return Math.max(1, Math.min(PRICE_TICKS_MAX, Math.floor(tickLots / lots)))
}

/** The engine has spoken, or the order never came that far. */
const isSettled = (order: OrderState): boolean => order.receivedAtUs > 0 || !isOpen(order.status)

const resultOf = ({ order, fills, position }: OrderWithFills): Omit<OrderResult, 'repeated'> => ({
  order,
  fills,
  sequence: sequenceOf(position),
})

/** One reply says which orders are being cancelled, then the engine answers each; in whatever order they arrive. */
function collectCancels(parts: TradingParts, member: Member, command: CancelOrders): Promise<CancelledAll> {
  const { replies, publisher, resultMsMax, time = systemTime } = parts
  return new Promise((resolve, reject) => {
    const cancelled: number[] = []
    const refused: { orderId: number; code: MachineCode }[] = []
    let expected: readonly number[] | undefined
    const done = (settle: () => void): void => {
      cancel()
      replies.off(command.commandId)
      settle()
    }
    const finish = (): void => {
      const answered = new Set([...cancelled, ...refused.map(({ orderId }) => orderId)])
      const pending = (expected ?? []).filter((orderId) => !answered.has(orderId))
      done(() => resolve({ cancelled, refused, pending }))
    }
    const cancel = time.after(resultMsMax, () => {
      if (expected === undefined) done(() => reject(new Problem('outcome_unknown')))
      else finish()
    })
    replies.on(command.commandId, (reply) => {
      if (reply.kind === 'cancels') expected = reply.orderIds
      else if (reply.kind === 'order') cancelled.push(reply.order.orderId)
      else if (reply.kind === 'refused' && reply.orderId !== 0) {
        refused.push({ orderId: reply.orderId, code: reply.code })
      } else if (reply.kind === 'refused' || reply.kind === 'ledgerRefused') {
        const { code } = reply
        return done(() => reject(new Problem(code)))
      }
      if (expected !== undefined && cancelled.length + refused.length >= expected.length) finish()
    })
    publisher.append(Log.accounts, member.slot, command, member.trace).catch((error: unknown) => {
      done(() => reject(refusedByBus(error) ?? new Problem('outcome_unknown')))
    })
  })
}

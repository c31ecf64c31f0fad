import type { NatsConnection } from '@nats-io/transport-node'
import { createPool } from 'mysql2'
import { connectionOptions } from '#mesh/mysql.ts'
import type { AccountRead, AccountReadResult } from '#mesh/protocol/accounts.ts'
import type { OrderState } from '#mesh/protocol/common.ts'
import { callRpc } from '#mesh/rpc.ts'
import { accountSlotOf } from '#mesh/slots.ts'
import { Log, slotReadSubject } from '#mesh/subjects.ts'
import { eventually } from '../support/eventually.ts'
import type { FinalBalance, FinalFill, FinalOrder, FinalState } from './checker.ts'
import type { Market } from './trader.ts'

const READ_MS_MAX = 20_000
const MOVE_MS_MAX = 60_000
const READS_AT_ONCE = 50

interface Sources {
  readonly nats: NatsConnection
  readonly mysqlUrl: string
  readonly accountSlots: number
  readonly memberIds: readonly number[]
  readonly markets: ReadonlyMap<string, Market>
}

/** What MySQL and the accounts' memory say when everything has come to rest. */
export async function readFinalState(sources: Sources): Promise<FinalState> {
  const { mysqlUrl, memberIds, markets } = sources
  const ours = new Set(memberIds)
  const marketOf = (instrument: string): Market => {
    const market = markets.get(instrument)
    if (market === undefined) throw new Error(`There is no market ${instrument}.`)
    return market
  }
  const orders: FinalOrder[] = []
  const fills: FinalFill[] = []
  const movements: FinalState['movements'][number][] = []
  const balances: FinalBalance[] = []
  await eachRow(
    mysqlUrl,
    `SELECT member_id, order_id, client_order_id, instrument, side, order_type, price_ticks, amount_lots, executed_lots,
       status, sequence FROM orders`,
    ([memberId, orderId, clientOrderId, instrument, side, type, price, amount, executed, status, sequence]) => {
      const { tick, lot } = marketOf(String(instrument))
      orders.push({
        memberId: Number(memberId),
        orderId: String(orderId),
        clientOrderId: clientOrderId === null ? undefined : String(clientOrderId),
        instrument: String(instrument),
        side: side as FinalOrder['side'],
        type: type as FinalOrder['type'],
        price: Number(price) * tick,
        amount: Number(amount) * lot,
        executed: Number(executed) * lot,
        status: String(status),
        sequence: Number(sequence),
      })
    },
  )
  await eachRow(
    mysqlUrl,
    'SELECT member_id, order_id, instrument, side, trade_id, price_ticks, lots, quote_minor, fee_minor, liquidity FROM fills',
    ([memberId, orderId, instrument, side, tradeId, price, lots, quote, fee, liquidity]) => {
      const { tick, lot } = marketOf(String(instrument))
      fills.push({
        memberId: Number(memberId),
        orderId: String(orderId),
        instrument: String(instrument),
        side: side as FinalFill['side'],
        tradeId: String(tradeId),
        price: Number(price) * tick,
        amount: Number(lots) * lot,
        quote: BigInt(String(quote)),
        fee: BigInt(String(fee)),
        liquidity: liquidity as FinalFill['liquidity'],
      })
    },
  )
  await eachRow(
    mysqlUrl,
    'SELECT member_id, asset, reference, amount_minor FROM movements',
    ([memberId, asset, reference, amount]) =>
      movements.push({
        memberId: Number(memberId),
        asset: String(asset),
        reference: String(reference),
        amount: BigInt(String(amount)),
      }),
  )
  await eachRow(
    mysqlUrl,
    'SELECT member_id, asset, available_minor, held_minor FROM balances',
    ([memberId, asset, available, held]) =>
      balances.push({
        memberId: Number(memberId),
        asset: String(asset),
        available: BigInt(String(available)),
        held: BigInt(String(held)),
      }),
  )
  return {
    orders: orders.filter(({ memberId }) => ours.has(memberId)),
    fills,
    movements,
    balances,
    memory: await readMemory(sources, marketOf),
  }
}

async function eachRow(mysqlUrl: string, sql: string, take: (row: unknown[]) => void): Promise<void> {
  const pool = createPool({ ...connectionOptions(mysqlUrl), connectionLimit: 1, rowsAsArray: true })
  try {
    for await (const row of pool.query(sql).stream({ highWaterMark: 1_000 })) take(row)
  } finally {
    await new Promise((resolve) => pool.end(resolve))
  }
}

async function readMemory(
  { nats, accountSlots, memberIds }: Sources,
  marketOf: (instrument: string) => Market,
): Promise<FinalState['memory']> {
  const orders: FinalOrder[] = []
  const balances: FinalBalance[] = []
  const ask = async <Read extends AccountRead>(
    memberId: number,
    read: Read,
  ): Promise<Extract<AccountReadResult, { read: Read['read'] }>> =>
    // A slot may be on its way to another instance.
    eventually(
      () => callRpc(nats, slotReadSubject(Log.accounts, accountSlotOf(memberId, accountSlots)), read, READ_MS_MAX),
      MOVE_MS_MAX,
    )
  const left = [...memberIds]
  const readOn = async (): Promise<void> => {
    for (let memberId = left.pop(); memberId !== undefined; memberId = left.pop()) {
      const open = await ask(memberId, { read: 'openOrders', memberId })
      for (const { order, position } of open.orders) orders.push(openOrder(order, position, marketOf(order.instrument)))
      const owned = await ask(memberId, { read: 'balances', memberId })
      for (const [asset, available, held] of owned.balances) {
        balances.push({ memberId, asset, available: BigInt(available), held: BigInt(held) })
      }
    }
  }
  await Promise.all(Array.from({ length: READS_AT_ONCE }, readOn))
  return { orders, balances }
}

function openOrder(order: OrderState, position: string, { tick, lot }: Market): FinalOrder {
  return {
    memberId: order.memberId,
    orderId: String(order.orderId),
    clientOrderId: order.clientOrderId,
    instrument: order.instrument,
    side: order.side,
    type: order.orderType,
    price: order.priceTicks * tick,
    amount: order.amountLots * lot,
    executed: order.executedLots * lot,
    status: order.status,
    sequence: Number(position.split('-')[0]),
  }
}

import assert from 'node:assert/strict'
import type { Pool, Row } from '#mesh/mysql.ts'
import type { BalanceAfter } from '#mesh/protocol/accounts.ts'
import type { OrderState } from '#mesh/protocol/common.ts'
import { MARKET, type SlotScenario } from './scenario.ts'

/** The naive twin of the projection: every event on its own, into maps. Then table by table against MySQL. */
export async function assertRows(pool: Pool, scenarios: readonly SlotScenario[]): Promise<void> {
  const orders = new Map<number, { order: OrderState; sequence: number }>()
  const balances = new Map<string, BalanceAfter>()
  const fills: string[] = []
  const movements: string[] = []
  let deposited = 0n
  for (const { events } of scenarios) {
    for (const event of events) {
      if ('order' in event) orders.set(event.order.orderId, { order: event.order, sequence: event.position[0] })
      if ('balances' in event) {
        const memberId = 'order' in event ? event.order.memberId : event.memberId
        for (const balance of event.balances) balances.set(`${memberId} ${balance[0]}`, balance)
      }
      if (event.type === 'OrderChanged') {
        for (const [index, fill] of event.fills.entries()) {
          const base = BigInt(fill.lots) * BigInt(MARKET.baseMinorPerLot)
          const { order, position } = event
          fills.push(
            [
              order.memberId,
              ...position,
              index,
              order.orderId,
              fill.tradeId,
              fill.lots,
              base,
              fill.quoteMinor,
              fill.feeMinor,
            ].join(' '),
          )
        }
      }
      if (event.type === 'BalanceChanged') {
        movements.push([event.memberId, ...event.position, event.reference, event.amountMinor].join(' '))
        if (event.asset === 'USDT') deposited += BigInt(event.amountMinor)
      }
    }
  }
  const rows = async (sql: string): Promise<string[]> => {
    const [found] = await pool.query<Row[]>(sql)
    return found.map((row) => Object.values(row).join(' ')).sort()
  }
  assert.deepEqual(
    await rows(
      'SELECT order_id, status, executed_lots, executed_quote_minor, fee_minor, sequence, COALESCE(client_order_id, "-") FROM orders',
    ),
    [...orders.values()]
      .map(({ order: o, sequence }) =>
        [o.orderId, o.status, o.executedLots, o.executedQuoteMinor, o.feeMinor, sequence, o.clientOrderId ?? '-'].join(
          ' ',
        ),
      )
      .sort(),
  )
  assert.deepEqual(
    await rows('SELECT member_id, asset, available_minor, held_minor FROM balances'),
    [...balances].map(([key, [, available, held]]) => `${key} ${available} ${held}`).sort(),
  )
  assert.deepEqual(
    await rows(
      'SELECT member_id, sequence, item, event, fill, order_id, trade_id, lots, base_minor, quote_minor, fee_minor FROM fills',
    ),
    fills.sort(),
  )
  assert.deepEqual(
    await rows('SELECT member_id, sequence, item, event, reference, amount_minor FROM movements'),
    movements.sort(),
  )
  const [[totals]] = await pool.query<Row[]>(
    "SELECT SUM(deposits_minor - withdrawals_minor) AS deposited FROM asset_totals WHERE asset = 'USDT'",
  )
  assert.equal(BigInt(totals?.deposited ?? 0), deposited)
  const [[ledger]] = await pool.query<Row[]>(
    "SELECT SUM(delta_minor) AS total FROM ledger_entries WHERE asset = 'USDT'",
  )
  const [[held]] = await pool.query<Row[]>("SELECT SUM(available_minor) AS total FROM balances WHERE asset = 'USDT'")
  assert.equal(BigInt(ledger?.total ?? 0), BigInt(held?.total ?? 0))
}

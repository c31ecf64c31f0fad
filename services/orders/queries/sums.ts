import type { OrdersQuery, ResultOf } from '#mesh/protocol/orders.ts'
import { type Database, select } from './sql.ts'

type BalancesQuery = Extract<OrdersQuery, { query: 'balances' }>
type TotalsQuery = Extract<OrdersQuery, { query: 'totals' }>

export async function listBalances({ pool }: Database, { memberId }: BalancesQuery): Promise<ResultOf<BalancesQuery>> {
  const rows = await select(
    pool,
    'SELECT asset, available_minor, held_minor FROM balances WHERE member_id = ? ORDER BY asset',
    [memberId],
  )
  const balances = rows.map((row) => ({
    asset: row.asset,
    availableMinor: String(row.available_minor),
    heldMinor: String(row.held_minor),
  }))
  return { query: 'balances', balances }
}

export async function sumTotals({ pool }: Database): Promise<ResultOf<TotalsQuery>> {
  const [assets, markets] = await Promise.all([
    select(
      pool,
      `SELECT asset, SUM(deposits_minor) AS deposits, SUM(withdrawals_minor) AS withdrawals, SUM(fees_minor) AS fees,
         SUM(deposits_minor - withdrawals_minor + transfers_minor + trades_minor - fees_minor) AS balances
       FROM asset_totals GROUP BY asset ORDER BY asset`,
      [],
    ),
    select(
      pool,
      `SELECT instrument, SUM(orders) AS orders, SUM(rejected) AS rejected, SUM(fills) AS fills,
         SUM(executed_lots) AS lots, SUM(executed_quote_minor) AS quote
       FROM market_totals GROUP BY instrument ORDER BY instrument`,
      [],
    ),
  ])
  return {
    query: 'totals',
    assets: assets.map((row) => ({
      asset: row.asset,
      balancesMinor: String(row.balances),
      depositsMinor: String(row.deposits),
      withdrawalsMinor: String(row.withdrawals),
      feesMinor: String(row.fees),
    })),
    markets: markets.map((row) => ({
      instrument: row.instrument,
      ordersCount: Number(row.orders),
      rejectedCount: Number(row.rejected),
      fillsCount: Number(row.fills),
      executedLots: String(row.lots),
      executedQuoteMinor: String(row.quote),
    })),
  }
}

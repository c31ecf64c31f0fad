import { formatMinor } from '#mesh/edge/decimal.ts'
import type { Definitions } from '#mesh/edge/definitions.ts'
import { tradeJson } from '#mesh/edge/order-json.ts'
import { formatTime } from '#mesh/edge/time.ts'
import { type Endpoint, endpoint, ok } from '../http/endpoint.ts'
import type { Reads } from '../mesh/reads.ts'
import { Accounts, LedgerPage, LedgerQuery } from '../schemas/accounts.ts'
import { TradePage, TradesQuerySchema } from '../schemas/orders.ts'
import { balanceOf, scaleOf } from './balances.ts'
import { idOf, listingOf, marketNamed } from './parameters.ts'

interface Parts {
  readonly reads: Reads
  readonly definitions: Definitions
}

const HISTORY_CODES = [
  'invalid_value',
  'cursor_invalid',
  'query_invalid',
  'projection_behind',
  'database_unavailable',
] as const

export function historyEndpoints({ reads, definitions }: Parts): Endpoint[] {
  return [
    endpoint({
      method: 'GET',
      path: '/accounts',
      access: 'read',
      kind: 'read',
      tag: 'Accounts',
      summary: 'Balances',
      answers: { 200: Accounts },
      codes: ['slot_halted', 'slot_unavailable'],
      handle: async ({ memberId, slot }) => {
        const { status, balances } = await reads.account(slot, { read: 'balances', memberId })
        return ok(JSON.stringify({ status, accounts: balances.map((balance) => balanceOf(balance, definitions)) }))
      },
    }),

    endpoint({
      method: 'GET',
      path: '/accounts/ledger',
      access: 'read',
      kind: 'read',
      tag: 'Accounts',
      summary: 'What changed the balances, newest first',
      query: LedgerQuery,
      answers: { 200: LedgerPage },
      codes: HISTORY_CODES,
      handle: async ({ query, memberId, slot }) => {
        const barrier = await reads.barrier(slot)
        const page = await reads.history({
          query: 'ledger',
          memberId,
          barrier,
          ...listingOf(query),
          ...(query.asset === undefined ? {} : { asset: query.asset }),
        })
        const entries = page.entries.map((entry) => {
          const scale = scaleOf(entry.asset, definitions)
          return {
            id: entry.position,
            asset: entry.asset,
            cause: entry.cause,
            amount: formatMinor(entry.deltaMinor, scale),
            fee: formatMinor(entry.feeMinor, scale),
            available: formatMinor(entry.availableMinor, scale),
            held: formatMinor(entry.heldMinor, scale),
            orderId: entry.orderId === undefined ? null : String(entry.orderId),
            reference: entry.reference ?? null,
            time: formatTime(entry.timeUs),
          }
        })
        return ok(JSON.stringify({ entries, cursor: page.cursor ?? null }))
      },
    }),

    endpoint({
      method: 'GET',
      path: '/trades',
      access: 'read',
      kind: 'read',
      tag: 'Orders',
      summary: "The member's executions, newest first",
      query: TradesQuerySchema,
      answers: { 200: TradePage },
      codes: HISTORY_CODES,
      handle: async ({ query, memberId, slot }) => {
        const barrier = await reads.barrier(slot)
        const page = await reads.history({
          query: 'trades',
          memberId,
          barrier,
          ...listingOf(query),
          ...(query.instrument === undefined ? {} : { instrument: query.instrument }),
          ...(query.orderId === undefined ? {} : { orderId: idOf(query.orderId, 'orderId') }),
        })
        const trades = page.trades.map((trade) => tradeJson(trade, marketNamed(definitions, trade.instrument)))
        return ok(`{"trades":[${trades.join(',')}],"cursor":${JSON.stringify(page.cursor ?? null)}}`)
      },
    }),
  ]
}

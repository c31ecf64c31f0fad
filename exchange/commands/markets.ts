import type { Command } from '../command.ts'
import { table } from '../table.ts'

interface MarketInfo {
  readonly instrument: string
  readonly status: string
  readonly tick: string
  readonly lot: string
  readonly makerFeePpm: number
  readonly takerFeePpm: number
}

export const marketCommands: readonly Command[] = [
  {
    name: 'markets',
    arguments: [],
    options: {},
    summary: 'All markets, with status, tick, lot and fees.',
    help: `Fees are in parts per million. A market is halted and opened again with PATCH /admin/markets/<instrument>; see /docs.`,
    example: 'markets',
    run: async (connections) => {
      const { markets } = (await (await connections.api()).call('GET', '/markets')) as { markets: MarketInfo[] }
      const rows = markets.map((one) => [
        one.instrument,
        one.status,
        one.tick,
        one.lot,
        one.makerFeePpm,
        one.takerFeePpm,
      ])
      return {
        json: { markets },
        text: table(['MARKET', 'STATUS', 'TICK', 'LOT', 'MAKER PPM', 'TAKER PPM'], rows),
      }
    },
  },
]

import type { AssetDefinition, MarketDefinition } from '#mesh/protocol/definitions.ts'
import { type Step, stepOf } from './decimal.ts'

/** A market with everything worked out that reading and writing its orders needs. */
export interface Market {
  readonly definition: MarketDefinition
  readonly tick: Step
  readonly lot: Step
  readonly baseScale: number
  readonly quoteScale: number
  readonly quoteMinorPerTickLot: bigint
}

export function marketOf(definition: MarketDefinition, base: AssetDefinition, quote: AssetDefinition): Market {
  return {
    definition,
    tick: stepOf(definition.tick),
    lot: stepOf(definition.lot),
    baseScale: base.scale,
    quoteScale: quote.scale,
    quoteMinorPerTickLot: BigInt(definition.quoteMinorPerTickLot),
  }
}

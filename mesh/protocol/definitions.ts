import type { MachineCode, MarketStatus, MinorString } from './common.ts'

export interface AssetDefinition {
  /** `[A-Z0-9]{2,10}` */
  readonly asset: string
  /** Decimal places of the minor unit, 0..18. Never changes. */
  readonly scale: number
}

/** A market as every machine and gateway knows it. Tick, lot and slot never change. */
export interface MarketDefinition {
  /** `<base>-<quote>` */
  readonly instrument: string
  readonly base: string
  readonly quote: string
  /** The price step, a decimal in quote per base: `"0.01"`. */
  readonly tick: string
  /** The amount step, a decimal in base: `"0.00001"`. */
  readonly lot: string
  readonly baseMinorPerLot: MinorString
  /** Minor units of quote for one tick × one lot; a whole number by the rule on ticks and lots. */
  readonly quoteMinorPerTickLot: MinorString
  /** Smallest amount of a new order, in lots, at least 1. */
  readonly amountLotsMin: number
  /** Parts per million, 0..100 000. */
  readonly makerFeePpm: number
  readonly takerFeePpm: number
  /** How far a market order without a worst price may go from the best opposite price, in parts per million. */
  readonly slippagePpm: number
  readonly marketSlot: number
  readonly status: MarketStatus
}

interface FromEdge {
  readonly commandId: number
  /** Instance that waits for the reply. */
  readonly replyTo: string
}

/** Commands in the DEFINITIONS log, from an admin. Repeats with the same content are accepted again. */
export type DefinitionCommand =
  | (FromEdge & { readonly type: 'DefineAsset'; readonly asset: string; readonly scale: number })
  | (FromEdge & {
      readonly type: 'DefineMarket'
      readonly instrument: string
      readonly base: string
      readonly quote: string
      readonly tick: string
      readonly lot: string
      readonly amountMin?: string
      readonly makerFeePpm: number
      readonly takerFeePpm: number
      readonly slippagePpm: number
    })
  | (FromEdge & {
      readonly type: 'SetFees'
      readonly instrument: string
      readonly makerFeePpm: number
      readonly takerFeePpm: number
    })
  | (FromEdge & { readonly type: 'SetMarketStatus'; readonly instrument: string; readonly status: MarketStatus })
  // from an engine slot: it has stored the market, or its new status
  | {
      readonly type: 'MarketApplied'
      readonly instrument: string
      readonly status: MarketStatus
      readonly commandId: number
      readonly replyTo: string
    }

/** What gateways and projections read in `events.definitions.0`. The last event about an asset or market is what it is. */
export type DefinitionEvent =
  | { readonly type: 'AssetDefined'; readonly asset: AssetDefinition }
  | { readonly type: 'MarketDefined'; readonly market: MarketDefinition }
  | { readonly type: 'DefinitionRefused'; readonly commandId: number; readonly code: MachineCode }

import assert from 'node:assert/strict'
import { PackedInvalid, type Packer, type Unpacker } from '#mesh/domain/packed.ts'
import type { Context } from '#mesh/machine/rules.ts'
import type { AccountEvent } from '#mesh/protocol/accounts.ts'
import type { MarketDefinition } from '#mesh/protocol/definitions.ts'
import { Books } from './books.ts'
import { FeeDiscounts, type PackedDiscounts } from './fee-discounts.ts'
import { RecordsHash } from './hashes.ts'
import { Members } from './members.ts'
import { OpenOrders } from './open-orders.ts'
import { References } from './references.ts'
import { RememberedIds } from './remembered-ids.ts'

/** All slots of a mesh have the same, from its first start on: they decide what a replay gives. */
export interface AccountsSettings {
  readonly accountSlots: number
  readonly marketSlots: number
  /** Per member. */
  readonly openOrdersMax: number
  /** Per slot. */
  readonly rememberedIdsMax: number
  readonly rememberedUs: number
}

/** A market as the rules need it. Assets are rows of the books. */
export interface KnownMarket {
  readonly instrument: string
  readonly base: number
  readonly quote: number
  readonly baseMinorPerLot: bigint
  readonly quoteMinorPerTickLot: bigint
  readonly amountLotsMin: number
  readonly makerFeePpm: number
  readonly takerFeePpm: number
  readonly marketSlot: number
}

export interface AccountsState {
  readonly slot: number
  readonly settings: AccountsSettings
  readonly assetRows: Map<string, number>
  readonly marketRows: Map<string, number>
  readonly markets: KnownMarket[]
  readonly members: Members
  readonly feeDiscounts: FeeDiscounts
  readonly books: Books
  readonly orders: OpenOrders
  readonly remembered: RememberedIds
  readonly references: References
}

export type AccountsContext = Context<AccountEvent>

export function initialAccountsState(slot: number, settings: AccountsSettings): AccountsState {
  const members = new Members()
  return {
    slot,
    settings,
    assetRows: new Map(),
    marketRows: new Map(),
    markets: [],
    members,
    feeDiscounts: new FeeDiscounts(),
    books: new Books(members),
    orders: new OpenOrders(members),
    remembered: new RememberedIds(rememberedLimits(settings)),
    references: new References(),
  }
}

export function marketAt(state: AccountsState, row: number): KnownMarket {
  const market = state.markets[row]
  assert(market !== undefined, 'an order is in a known market')
  return market
}

export function learnAsset(state: AccountsState, asset: string): void {
  if (!state.assetRows.has(asset)) state.assetRows.set(asset, state.books.addAsset(asset))
}

export function learnMarket(state: AccountsState, market: MarketDefinition): void {
  const base = state.assetRows.get(market.base)
  const quote = state.assetRows.get(market.quote)
  assert(base !== undefined && quote !== undefined, "a market's assets are known before it")
  const row = state.marketRows.get(market.instrument) ?? state.markets.length
  state.marketRows.set(market.instrument, row)
  state.markets[row] = {
    // One string for all orders of the market.
    instrument: state.markets[row]?.instrument ?? market.instrument,
    base,
    quote,
    baseMinorPerLot: BigInt(market.baseMinorPerLot),
    quoteMinorPerTickLot: BigInt(market.quoteMinorPerTickLot),
    amountLotsMin: market.amountLotsMin,
    makerFeePpm: market.makerFeePpm,
    takerFeePpm: market.takerFeePpm,
    marketSlot: market.marketSlot,
  }
}

/** Grows with every change of what `packAccounts` or the tables in it write. */
export const ACCOUNTS_PACKED_VERSION = 1

export function packAccounts(state: AccountsState, packer: Packer): void {
  packer.json(state.settings)
  packer.json({
    assets: [...state.assetRows],
    markets: state.markets.map(({ baseMinorPerLot, quoteMinorPerTickLot, ...market }) => ({
      ...market,
      baseMinorPerLot: String(baseMinorPerLot),
      quoteMinorPerTickLot: String(quoteMinorPerTickLot),
    })),
    feeDiscounts: state.feeDiscounts.packed(),
  })
  for (const table of [state.members, state.books, state.orders, state.remembered, state.references]) table.pack(packer)
}

type PackedMarket = Omit<KnownMarket, 'baseMinorPerLot' | 'quoteMinorPerTickLot'> &
  Readonly<Record<'baseMinorPerLot' | 'quoteMinorPerTickLot', string>>

/** @throws PackedInvalid where it was packed under other settings */
export function unpackAccounts(slot: number, settings: AccountsSettings, packed: Unpacker): AccountsState {
  const packedSettings = packed.json() as AccountsSettings
  for (const name of Object.keys(settings) as (keyof AccountsSettings)[]) {
    if (packedSettings[name] === settings[name]) continue
    throw new PackedInvalid(`It was packed with ${name} ${packedSettings[name]}, not ${settings[name]}.`)
  }
  const known = packed.json() as {
    assets: [string, number][]
    markets: PackedMarket[]
    feeDiscounts?: PackedDiscounts
  }
  const markets = known.markets.map((market) => ({
    ...market,
    baseMinorPerLot: BigInt(market.baseMinorPerLot),
    quoteMinorPerTickLot: BigInt(market.quoteMinorPerTickLot),
  }))
  const members = Members.unpack(packed)
  return {
    slot,
    settings,
    assetRows: new Map(known.assets),
    marketRows: new Map(markets.map(({ instrument }, row) => [instrument, row])),
    markets,
    members,
    feeDiscounts: FeeDiscounts.restore(known.feeDiscounts),
    books: Books.unpack(members, packed),
    orders: OpenOrders.unpack(members, packed),
    remembered: RememberedIds.unpack(rememberedLimits(settings), packed),
    references: References.unpack(packed),
  }
}

const rememberedLimits = ({ rememberedIdsMax, rememberedUs }: AccountsSettings) => ({
  countMax: rememberedIdsMax,
  ageUsMax: rememberedUs,
})

/** Kinds of records in the hash. */
const Kind = {
  asset: 1,
  market: 2,
  member: 3,
  feeDiscount: 4,
  balance: 10,
  order: 20,
  remembered: 30,
  reference: 40,
} as const

export function accountsStateHash(state: AccountsState): string {
  const hash = new RecordsHash()
  for (const asset of state.assetRows.keys()) hash.begin(Kind.asset).text(asset).end()
  for (const market of state.markets) {
    const { baseMinorPerLot, quoteMinorPerTickLot, base, quote, ...rest } = market
    hash.begin(Kind.market).bigint(baseMinorPerLot).bigint(quoteMinorPerTickLot)
    hash.text(state.books.ofAsset(base).asset).text(state.books.ofAsset(quote).asset).text(JSON.stringify(rest)).end()
  }
  state.members.addTo(hash, Kind.member)
  state.feeDiscounts.addTo(hash, Kind.feeDiscount)
  state.books.addTo(hash, Kind.balance)
  state.orders.addTo(hash, Kind.order, (market) => marketAt(state, market).instrument)
  state.remembered.addTo(hash, Kind.remembered)
  state.references.addTo(hash, Kind.reference)
  return hash.digest()
}

import { formatDecimal, parseDecimal } from '#mesh/domain/money.ts'
import { PackedInvalid, type Packer, type Unpacker } from '#mesh/domain/packed.ts'
import type { Context, Rules } from '#mesh/machine/rules.ts'
import type { AccountDefinition } from '#mesh/protocol/accounts.ts'
import type { MachineCode, MarketStatus } from '#mesh/protocol/common.ts'
import type {
  AssetDefinition,
  DefinitionCommand,
  DefinitionEvent,
  MarketDefinition,
} from '#mesh/protocol/definitions.ts'
import type { MarketItem } from '#mesh/protocol/engine.ts'
import { Log } from '#mesh/subjects.ts'
import { RecordsHash } from './hashes.ts'

/** All are fixed from the first start of a mesh on. */
export interface DefinitionsSettings {
  readonly accountSlots: number
  readonly marketSlots: number
}

/** A market and how far it has come. */
interface Market {
  definition: MarketDefinition
  /** What `DefineMarket` said, by which a repeat is known. */
  readonly definedAs: string
  /** Its engine slot has it; before that nobody else hears of it. */
  isOpen: boolean
  /** Who else asked for it meanwhile. */
  readonly waiting: { readonly commandId: number; readonly replyTo: string }[]
}

export interface DefinitionsState {
  readonly settings: DefinitionsSettings
  readonly assets: Map<string, AssetDefinition>
  readonly markets: Map<string, Market>
}

type DefinitionsContext = Context<DefinitionEvent>
type DefineAsset = Extract<DefinitionCommand, { type: 'DefineAsset' }>
type DefineMarket = Extract<DefinitionCommand, { type: 'DefineMarket' }>
type SetFees = Extract<DefinitionCommand, { type: 'SetFees' }>
type SetMarketStatus = Extract<DefinitionCommand, { type: 'SetMarketStatus' }>
type MarketApplied = Extract<DefinitionCommand, { type: 'MarketApplied' }>
type EdgeCommand = Exclude<DefinitionCommand, MarketApplied>

const ASSET = /^[A-Z0-9]{2,10}$/
const ASSETS_MAX = 50_000
const MARKETS_MAX = 200_000
const FEE_PPM_MAX = 100_000
const SLIPPAGE_PPM_MAX = 1_000_000
const SCALE_MAX = 18
/** Ticks, lots and amounts are decimals of at most so many places. */
const STEP_SCALE = 36
const WAITING_MAX = 16

/** The machine of the definitions: which assets and markets there are. It tells the engine and account slots. */
export function createDefinitionsRules(
  settings: DefinitionsSettings,
): Rules<DefinitionsState, DefinitionCommand, DefinitionEvent> {
  return {
    log: Log.definitions,
    initialState: () => ({ settings, assets: new Map(), markets: new Map() }),
    apply: (state, item, context) => {
      if (context.source === 'cmd') {
        if (isEdgeCommand(item)) applyEdgeCommand(state, item, context)
      } else if (item.type === 'MarketApplied' && context.source.startsWith(`${Log.markets}-`)) {
        applied(state, item, context)
      } else {
        throw new TypeError(`${item.type} does not come from ${context.source}`)
      }
    },
    stateHash,
    snapshots: { version: 1, pack, unpack: (_slot, packed) => unpack(settings, packed) },
  }
}

function applyEdgeCommand(state: DefinitionsState, command: EdgeCommand, context: DefinitionsContext) {
  switch (command.type) {
    case 'DefineAsset':
      return defineAsset(state, command, context)
    case 'DefineMarket':
      return defineMarket(state, command, context)
    case 'SetFees':
      return setFees(state, command, context)
    case 'SetMarketStatus':
      return setMarketStatus(state, command, context)
  }
}

function defineAsset(state: DefinitionsState, command: DefineAsset, context: DefinitionsContext) {
  const { commandId, replyTo, asset, scale } = command
  if (!ASSET.test(asset)) return refuse(command, 'definition_invalid', context)
  if (!isWithin(scale, 0, SCALE_MAX)) return refuse(command, 'definition_invalid', context)
  const known = state.assets.get(asset)
  if (known !== undefined && known.scale !== scale) return refuse(command, 'asset_exists', context)
  if (known === undefined && state.assets.size >= ASSETS_MAX) return refuse(command, 'definition_invalid', context)

  const definition: AssetDefinition = known ?? { asset, scale }
  if (known === undefined) {
    state.assets.set(asset, definition)
    context.emit({ type: 'AssetDefined', asset: definition })
    tellAccounts(state, { type: 'AssetKnown', asset: definition }, context)
  }
  context.reply(replyTo, { kind: 'defined', commandId, asset: definition }, 'here')
}

function defineMarket(state: DefinitionsState, command: DefineMarket, context: DefinitionsContext) {
  const { commandId, replyTo, instrument } = command
  const known = state.markets.get(instrument)
  if (known !== undefined) {
    if (known.definedAs !== contentOf(command)) return refuse(command, 'market_exists', context)
    if (known.isOpen) {
      return context.reply(replyTo, { kind: 'defined', commandId, market: known.definition }, 'here')
    }
    if (known.waiting.length < WAITING_MAX) known.waiting.push({ commandId, replyTo })
    return
  }
  const definition = marketOf(state, command)
  if (typeof definition === 'string') return refuse(command, definition, context)
  state.markets.set(instrument, { definition, definedAs: contentOf(command), isOpen: false, waiting: [] })
  sendToEngine(definition, { type: 'OpenMarket', market: definition, commandId, replyTo }, context)
}

function setFees(state: DefinitionsState, command: SetFees, context: DefinitionsContext) {
  const { commandId, replyTo, instrument, makerFeePpm, takerFeePpm } = command
  const market = state.markets.get(instrument)
  if (market === undefined || !market.isOpen) return refuse(command, 'market_unknown', context)
  if (!isWithin(makerFeePpm, 0, FEE_PPM_MAX)) return refuse(command, 'definition_invalid', context)
  if (!isWithin(takerFeePpm, 0, FEE_PPM_MAX)) return refuse(command, 'definition_invalid', context)

  const before = market.definition
  if (before.makerFeePpm !== makerFeePpm || before.takerFeePpm !== takerFeePpm) {
    market.definition = { ...before, makerFeePpm, takerFeePpm }
    context.emit({ type: 'MarketDefined', market: market.definition })
    tellAccounts(state, { type: 'MarketKnown', market: market.definition }, context)
  }
  context.reply(replyTo, { kind: 'defined', commandId, market: market.definition }, 'here')
}

/** The engine alone knows a market's status: it is asked to change it, and what it says then is told on. */
function setMarketStatus(state: DefinitionsState, command: SetMarketStatus, context: DefinitionsContext) {
  const { commandId, replyTo, instrument, status } = command
  const market = state.markets.get(instrument)
  if (market === undefined || !market.isOpen) return refuse(command, 'market_unknown', context)
  if (!STATUSES.has(status)) return refuse(command, 'definition_invalid', context)
  sendToEngine(market.definition, { type: 'ChangeMarketStatus', instrument, status, commandId, replyTo }, context)
}

/** An engine slot has stored a market, or its new status. */
function applied(state: DefinitionsState, item: MarketApplied, context: DefinitionsContext) {
  const market = state.markets.get(item.instrument)
  if (market === undefined) throw new RangeError(`no market ${item.instrument} was sent to an engine slot`)
  const isNew = !market.isOpen
  const isChanged = market.definition.status !== item.status
  market.isOpen = true
  if (isChanged) market.definition = { ...market.definition, status: item.status }
  if (isNew) tellAccounts(state, { type: 'MarketKnown', market: market.definition }, context)
  if (isNew || isChanged) context.emit({ type: 'MarketDefined', market: market.definition })
  for (const { commandId, replyTo } of [item, ...market.waiting]) {
    context.reply(replyTo, { kind: 'defined', commandId, market: market.definition }, 'here')
  }
  market.waiting.length = 0
}

/** The market that a command defines, or why it is refused: the first that holds. */
function marketOf(state: DefinitionsState, command: DefineMarket): MarketDefinition | MachineCode {
  const { instrument, base, quote, makerFeePpm, takerFeePpm, slippagePpm } = command
  if (instrument !== `${base}-${quote}` || base === quote) return 'definition_invalid'
  const baseAsset = state.assets.get(base)
  const quoteAsset = state.assets.get(quote)
  if (baseAsset === undefined || quoteAsset === undefined) return 'asset_unknown'

  const tick = parseStep(command.tick)
  const lot = parseStep(command.lot)
  const amountMin = command.amountMin === undefined ? lot : parseStep(command.amountMin)
  if (tick === undefined || lot === undefined || amountMin === undefined) return 'definition_invalid'
  const baseMinorPerLot = wholeMinor(lot, STEP_SCALE, baseAsset.scale)
  if (baseMinorPerLot === undefined) return 'definition_invalid'
  const quoteMinorPerTickLot = wholeMinor(tick * lot, 2 * STEP_SCALE, quoteAsset.scale)
  if (quoteMinorPerTickLot === undefined) return 'definition_invalid'
  const amountLotsMin = amountMin / lot
  if (amountMin % lot !== 0n || amountLotsMin > BigInt(Number.MAX_SAFE_INTEGER)) return 'definition_invalid'
  if (!isWithin(makerFeePpm, 0, FEE_PPM_MAX) || !isWithin(takerFeePpm, 0, FEE_PPM_MAX)) return 'definition_invalid'
  if (!isWithin(slippagePpm, 0, SLIPPAGE_PPM_MAX)) return 'definition_invalid'
  if (state.markets.size >= MARKETS_MAX) return 'definition_invalid'
  return {
    instrument,
    base,
    quote,
    tick: formatDecimal(tick, STEP_SCALE),
    lot: formatDecimal(lot, STEP_SCALE),
    baseMinorPerLot: baseMinorPerLot.toString(),
    quoteMinorPerTickLot: quoteMinorPerTickLot.toString(),
    amountLotsMin: Number(amountLotsMin),
    makerFeePpm,
    takerFeePpm,
    slippagePpm,
    marketSlot: state.markets.size % state.settings.marketSlots,
    status: 'trading',
  }
}

/** A decimal above zero, in units of 10^−STEP_SCALE. */
function parseStep(text: string): bigint | undefined {
  const units = parseDecimal(text, STEP_SCALE)
  return units === undefined || units === 0n ? undefined : units
}

/** A number of units of 10^−unitScale in minor units of an asset, if it is a whole number that a balance can hold. */
function wholeMinor(units: bigint, unitScale: number, assetScale: number): bigint | undefined {
  const divisor = 10n ** BigInt(unitScale - assetScale)
  return units % divisor === 0n && units / divisor < 2n ** 63n ? units / divisor : undefined
}

function tellAccounts(state: DefinitionsState, item: AccountDefinition, context: DefinitionsContext) {
  for (let slot = 0; slot < state.settings.accountSlots; slot++) context.send(Log.accounts, slot, item)
}

function sendToEngine(market: MarketDefinition, item: MarketItem, context: DefinitionsContext) {
  context.send(Log.markets, market.marketSlot, item)
}

function refuse(command: EdgeCommand, code: MachineCode, context: DefinitionsContext) {
  const { commandId, replyTo } = command
  context.emit({ type: 'DefinitionRefused', commandId, code })
  context.reply(replyTo, { kind: 'ledgerRefused', commandId, code })
}

const contentOf = (command: DefineMarket): string =>
  JSON.stringify([
    command.base,
    command.quote,
    command.tick,
    command.lot,
    command.amountMin ?? command.lot,
    command.makerFeePpm,
    command.takerFeePpm,
    command.slippagePpm,
  ])

const STATUSES: ReadonlySet<unknown> = new Set<MarketStatus>(['trading', 'cancel_only', 'halted'])

const isWithin = (value: unknown, min: number, max: number): boolean =>
  Number.isSafeInteger(value) && Number(value) >= min && Number(value) <= max

/** Fields that are texts, by command; what they say is judged by the rules. */
const TEXTS: Readonly<Record<EdgeCommand['type'], readonly string[]>> = {
  DefineAsset: ['asset'],
  DefineMarket: ['instrument', 'base', 'quote', 'tick', 'lot'],
  SetFees: ['instrument'],
  SetMarketStatus: ['instrument'],
}

/** Whether an item of the edge has the shape that the rules rely on; one that has not is passed over. */
function isEdgeCommand(item: unknown): item is EdgeCommand {
  if (typeof item !== 'object' || item === null) return false
  const command: { readonly [field: string]: unknown } = { ...item }
  const { type, commandId, replyTo, amountMin } = command
  if (!isWithin(commandId, 1, Number.MAX_SAFE_INTEGER) || typeof replyTo !== 'string') return false
  if (amountMin !== undefined && typeof amountMin !== 'string') return false
  if (typeof type !== 'string' || !Object.hasOwn(TEXTS, type)) return false
  return TEXTS[type as EdgeCommand['type']].every((field) => typeof command[field] === 'string')
}

function pack({ settings, assets, markets }: DefinitionsState, packer: Packer): void {
  packer.json({ settings, assets: [...assets.values()], markets: [...markets.values()] })
}

function unpack({ accountSlots, marketSlots }: DefinitionsSettings, packed: Unpacker): DefinitionsState {
  const { settings, assets, markets } = packed.json() as {
    readonly settings: DefinitionsSettings
    readonly assets: AssetDefinition[]
    readonly markets: Market[]
  }
  if (settings.accountSlots !== accountSlots || settings.marketSlots !== marketSlots) {
    throw new PackedInvalid('It was packed with other numbers of slots.')
  }
  return {
    settings,
    assets: new Map(assets.map((asset) => [asset.asset, asset])),
    markets: new Map(markets.map((market) => [market.definition.instrument, market])),
  }
}

const Kind = { asset: 1, market: 2 } as const

function stateHash(state: DefinitionsState): string {
  const hash = new RecordsHash()
  for (const asset of state.assets.values()) hash.begin(Kind.asset).text(asset.asset).number(asset.scale).end()
  for (const market of state.markets.values()) hash.begin(Kind.market).text(JSON.stringify(market)).end()
  return hash.digest()
}

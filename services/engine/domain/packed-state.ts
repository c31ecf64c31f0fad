import { PackedInvalid, type Packer, type Unpacker } from '#mesh/domain/packed.ts'
import type { MarketStatus } from '#mesh/protocol/common.ts'
import type { MarketDefinition } from '#mesh/protocol/definitions.ts'
import { OrderRecords } from './order-records.ts'
import { createMarket, type EngineState, initialState } from './state.ts'

interface PackedMarket {
  readonly definition: MarketDefinition
  readonly status: MarketStatus
  readonly tradesCount: number
  readonly sequence: number
}

/** The markets in the order in which they were opened, each with its book and records. */
export function packEngine({ markets }: EngineState, packer: Packer): void {
  packer.numbers([markets.size])
  for (const { definition, status, tradesCount, sequence, book, records } of markets.values()) {
    const market: PackedMarket = { definition, status, tradesCount, sequence }
    packer.json(market).bytes(book.snapshot())
    records.pack(packer)
  }
}

export function unpackEngine(slot: number, packed: Unpacker): EngineState {
  const state = initialState(slot)
  const [count = 0] = packed.numbers()
  for (let index = 0; index < count; index++) {
    const { definition, status, tradesCount, sequence } = packed.json() as PackedMarket
    const book = packed.bytes()
    const market = createMarket(definition, state.execution, OrderRecords.unpack(packed))
    const restored = market.book.restore(book)
    if (restored !== 'accepted') throw new PackedInvalid(`The book of ${definition.instrument}: ${restored}.`)
    state.markets.set(definition.instrument, Object.assign(market, { status, tradesCount, sequence }))
  }
  return state
}

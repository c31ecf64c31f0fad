import { createDigest, type Digest } from './digest.ts'
import type { EngineState, Market } from './state.ts'

/** Over everything that decides what comes next. Holds follow from what rests, so they are in it. */
export function stateHash(state: EngineState): string {
  const digest = createDigest()
  digest.number(state.markets.size)
  for (const instrument of [...state.markets.keys()].sort()) {
    const market = state.markets.get(instrument)
    if (market !== undefined) addMarket(digest, market)
  }
  return digest.hex()
}

function addMarket(digest: Digest, market: Market): void {
  const { definition, book, records } = market
  digest.text(definition.instrument)
  digest.text(definition.base)
  digest.text(definition.quote)
  digest.text(definition.baseMinorPerLot)
  digest.text(definition.quoteMinorPerTickLot)
  digest.number(definition.marketSlot)
  digest.text(market.status)
  digest.number(market.tradesCount)
  digest.number(market.sequence)
  digest.number(book.ordersCount)
  digest.text(book.stateHash())
  book.forEachOrder((_orderId, place) => {
    const record = records.read(place)
    digest.number(record.memberId)
    digest.number(record.accountSlot)
    digest.text(record.clientOrderId ?? '')
    digest.number(record.makerFeePpm)
    digest.number(record.takerFeePpm)
    digest.number(record.executedLots)
    digest.minor(record.executedTickLots & 0xffffffffffffffffn)
    digest.minor(record.executedTickLots >> 64n)
    digest.minor(record.feeMinor)
    digest.number(record.createdAtUs)
    digest.number(record.receivedAtUs)
  })
}

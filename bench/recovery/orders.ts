import type { AccountEdgeCommand } from '#mesh/protocol/accounts.ts'
import type { MarketDefinition } from '#mesh/protocol/definitions.ts'

export const ASSETS = ['BTC', 'USDT'] as const

export const MARKET: MarketDefinition = {
  instrument: 'BTC-USDT',
  base: 'BTC',
  quote: 'USDT',
  tick: '0.01',
  lot: '0.00001',
  baseMinorPerLot: '1000',
  quoteMinorPerTickLot: '10',
  amountLotsMin: 1,
  makerFeePpm: 1_000,
  takerFeePpm: 2_000,
  slippagePpm: 50_000,
  marketSlot: 0,
  status: 'trading',
}

/** Commands of the edge that travel as one message: about as many as arrive together under load. */
const BATCH = 50
const MIDDLE_TICKS = 5_000_000
const FIRST_ID = 2 ** 50
/** A member may have a thousand open orders. */
const RESTING_OF_MEMBER = 500

export interface OrderMix {
  /** That stay in the book, far from its middle. */
  readonly resting: number
  /** That trade: pairs of a buy and a sell of one size at one price, as in the benchmark of the whole path. */
  readonly trading: number
}

/** Accounts with money; then the resting orders; then those that trade. By message. */
export function* orderMessages({ resting, trading }: OrderMix): Generator<AccountEdgeCommand[]> {
  const members = Math.max(100, Math.ceil(resting / RESTING_OF_MEMBER))
  const random = seeded(7)
  let nextId = FIRST_ID + members
  const memberId = (n: number): number => FIRST_ID + (n % members)
  const batches = function* (
    count: number,
    make: (n: number) => AccountEdgeCommand[],
  ): Generator<AccountEdgeCommand[]> {
    for (let from = 0; from < count; from += BATCH) {
      yield Array.from({ length: Math.min(BATCH, count - from) }, (_, index) => make(from + index)).flat()
    }
  }
  const ids = (n: number) => ({ commandId: nextId++, replyTo: '', memberId: memberId(n) })
  const place = (n: number, side: 'buy' | 'sell', priceTicks: number, amountLots: number): AccountEdgeCommand => {
    const base = ids(n)
    return {
      type: 'PlaceOrder',
      ...base,
      clientOrderId: `recovery-${base.commandId - FIRST_ID}`,
      contentHash: base.commandId * 3,
      instrument: MARKET.instrument,
      side,
      orderType: 'limit',
      priceTicks,
      amountLots,
      createdAtUs: 1_700_000_000_000_000 + n,
    }
  }
  yield* batches(members, (n) => [
    { type: 'CreateAccount', ...ids(n) },
    ...ASSETS.map((asset): AccountEdgeCommand => {
      const content = { reference: `gift ${n} ${asset}`, asset, amountMinor: String(10n ** 15n) }
      return { type: 'Deposit', ...ids(n), ...content }
    }),
  ])
  yield* batches(resting, (n) => {
    const side = n % 2 === 0 ? 'buy' : 'sell'
    const away = 10_000 + Math.floor(random() * 100_000)
    return [
      place(n, side, side === 'buy' ? MIDDLE_TICKS - away : MIDDLE_TICKS + away, 1 + Math.floor(random() * 1_000)),
    ]
  })
  let priceTicks = 0
  let amountLots = 0
  let isBuyFirst = false
  yield* batches(trading, (n) => {
    if (n % 2 === 0) {
      priceTicks = MIDDLE_TICKS + Math.floor((random() * 2 - 1) * 500)
      amountLots = 1_000 + Math.floor(random() * 9_000)
      isBuyFirst = random() < 0.5
    }
    return [place(n + 1, isBuyFirst === (n % 2 === 0) ? 'buy' : 'sell', priceTicks, amountLots)]
  })
}

/** Mulberry32. */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** Orders that about half match: pairs of a buy and a sell of one size at one price near a middle that all know. */

interface Market {
  readonly instrument: string
  /** The price's middle, in ticks, and how far from it orders go. */
  readonly middleTicks: number
  readonly bandTicks: number
  readonly priceDecimals: number
  /** Lots of the smallest and the largest order. */
  readonly lotsMin: number
  readonly lotsMax: number
  readonly amountDecimals: number
}

/** The first markets of a new exchange. Bodies of one market all have the same length. */
const MARKETS: readonly Market[] = [
  {
    instrument: 'BTC-USDT',
    middleTicks: 5_000_000,
    bandTicks: 500,
    priceDecimals: 2,
    lotsMin: 1_000,
    lotsMax: 9_999,
    amountDecimals: 5,
  },
  {
    instrument: 'ETH-USDT',
    middleTicks: 300_000,
    bandTicks: 200,
    priceDecimals: 2,
    lotsMin: 1_000,
    lotsMax: 9_999,
    amountDecimals: 4,
  },
  {
    instrument: 'ETH-BTC',
    middleTicks: 6_000,
    bandTicks: 50,
    priceDecimals: 5,
    lotsMin: 100,
    lotsMax: 999,
    amountDecimals: 3,
  },
]

/** What each member needs so that no order fails, in minor units. */
export const GIFT = { BTC: 1_000n * 10n ** 8n, ETH: 10_000n * 10n ** 8n, USDT: 10_000_000n * 10n ** 8n }

export interface WorkloadOrder {
  readonly member: number
  readonly body: string
}

/** `next(n)` is called with n = 0, 1, 2, …; order n has the clientOrderId `<name>-<n>`. Members take turns. */
export function createWorkload(name: string, membersCount: number, seed: number): (n: number) => WorkloadOrder {
  const random = seeded(seed)
  let start = ''
  let end = ''
  let buysFirst = false
  let order: number[] = []

  return (n) => {
    if (n % membersCount === 0) order = shuffled(membersCount, random)
    if (n % 2 === 0) {
      const market = MARKETS[(n >> 1) % MARKETS.length] ?? MARKETS[0]
      if (market === undefined) throw new Error('there is a market')
      const ticks = market.middleTicks + Math.floor((random() * 2 - 1) * market.bandTicks)
      const lots = market.lotsMin + Math.floor(random() * (market.lotsMax - market.lotsMin + 1))
      start = `{"instrument":"${market.instrument}","side":"`
      end = `","price":"${decimal(ticks, market.priceDecimals)}","amount":"${decimal(lots, market.amountDecimals)}","clientOrderId":"${name}-`
      buysFirst = random() < 0.5
    }
    const side = buysFirst === (n % 2 === 0) ? 'buy' : 'sell'
    return { member: order[n % membersCount] ?? 0, body: `${start}${side}${end}${n}"}` }
  }
}

/** Trailing zeros stay: they cost nothing to send, and lengths do not vary. */
function decimal(units: number, decimals: number): string {
  const digits = String(units).padStart(decimals + 1, '0')
  return `${digits.slice(0, -decimals)}.${digits.slice(-decimals)}`
}

function shuffled(count: number, random: () => number): number[] {
  const order = Array.from({ length: count }, (_, index) => index)
  for (let at = count - 1; at > 0; at--) {
    const other = Math.floor(random() * (at + 1))
    const moved = order[at] ?? 0
    order[at] = order[other] ?? 0
    order[other] = moved
  }
  return order
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

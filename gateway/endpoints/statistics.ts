import { formatMinor } from '#mesh/edge/decimal.ts'
import type { Definitions } from '#mesh/edge/definitions.ts'
import type { Market } from '#mesh/edge/market.ts'
import { formatTime } from '#mesh/edge/time.ts'
import type { TickerPush } from '#mesh/protocol/push.ts'
import type { MemberDay, StatementLine } from '#mesh/protocol/stats.ts'
import { type Endpoint, endpoint, ok } from '../http/endpoint.ts'
import type { PublicCache } from '../mesh/public-cache.ts'
import type { Reads } from '../mesh/reads.ts'
import { Problem } from '../problem.ts'
import * as schemas from '../schemas/statistics.ts'
import { candleFields, tickerFields, volumeOf } from '../stream/public-json.ts'
import { scaleOf } from './balances.ts'
import { cachedIn, listingOf, marketNamed, timeOf } from './parameters.ts'

interface Parts {
  readonly reads: Reads
  readonly definitions: Definitions
  readonly cache: PublicCache
  readonly marketSlots: number
  readonly nowUs: () => number
}

const CANDLES_DEFAULT = 500
const SECOND_US = 1_000_000
const DAY_US = 86_400 * SECOND_US
const SERVICE_CODES = ['service_unavailable', 'service_timeout'] as const
const FRESHNESS = 'At most one second old; `refresh=true` passes the cache by.'

export function statisticsEndpoints({ reads, definitions, cache, marketSlots, nowUs }: Parts): Endpoint[] {
  const cached = cachedIn(cache)
  const tickers = async (): Promise<Map<string, TickerPush>> => {
    const slots = Array.from({ length: marketSlots }, (_, slot) => reads.liveStatistics(slot, { read: 'tickers' }))
    return new Map((await Promise.all(slots)).flatMap((answer) => answer.tickers))
  }

  return [
    endpoint({
      method: 'GET',
      path: '/markets/{instrument}/candles',
      access: 'public',
      kind: 'public',
      tag: 'Markets',
      summary: 'Candles, oldest first',
      description: `By the time of the trade in the market's log. ${FRESHNESS}`,
      query: schemas.CandlesQuery,
      answers: { 200: schemas.Candles },
      codes: ['market_unknown', 'invalid_value', 'database_unavailable', ...SERVICE_CODES],
      handle: ({ params, query }) => {
        const market = marketNamed(definitions, params.instrument)
        const { instrument } = market.definition
        const { interval } = query
        const startS = secondOf(query.start, 'start')
        const endS = secondOf(query.end, 'end')
        if (startS !== undefined && endS !== undefined && endS < startS) {
          throw new Problem('invalid_value', { field: 'end', message: 'The end is before the start.' })
        }
        const limit = query.limit === undefined ? CANDLES_DEFAULT : Number(query.limit)
        const fill = query.fill === 'true'
        const key = `candles:${instrument}:${interval}:${startS ?? ''}:${endS ?? ''}:${limit}:${fill}`
        return cached(query, key, async () => {
          const bounds = { ...(startS === undefined ? {} : { startS }), ...(endS === undefined ? {} : { endS }) }
          const answer = await reads.statistics({ query: 'candles', instrument, interval, limit, fill, ...bounds })
          const candles = answer.candles.map((candle) => `{${candleFields(candle, market)}}`)
          return `{"instrument":"${instrument}","interval":"${interval}","candles":[${candles.join()}]}`
        })
      },
    }),

    endpoint({
      method: 'GET',
      path: '/markets/{instrument}/ticker',
      access: 'public',
      kind: 'public',
      tag: 'Markets',
      summary: 'The last 24 hours of a market',
      description: FRESHNESS,
      query: schemas.RefreshQuery,
      answers: { 200: schemas.Ticker },
      codes: ['market_unknown', ...SERVICE_CODES],
      handle: ({ params, query }) => {
        const market = marketNamed(definitions, params.instrument)
        const { instrument, marketSlot } = market.definition
        return cached(query, `ticker:${instrument}`, async () => {
          const { ticker } = await reads.liveStatistics(marketSlot, { read: 'ticker', instrument })
          return tickerJson(ticker, market)
        })
      },
    }),

    endpoint({
      method: 'GET',
      path: '/tickers',
      access: 'public',
      kind: 'public',
      tag: 'Markets',
      summary: 'The last 24 hours of all markets',
      description: FRESHNESS,
      query: schemas.RefreshQuery,
      answers: { 200: schemas.Tickers },
      codes: SERVICE_CODES,
      handle: ({ query }) =>
        cached(query, 'tickers', async () => {
          const known = await tickers()
          const all = definitions
            .markets()
            .map((market) => tickerJson(known.get(market.definition.instrument) ?? neverTraded(nowUs()), market))
          return `{"tickers":[${all.join()}]}`
        }),
    }),

    endpoint({
      method: 'GET',
      path: '/statistics',
      access: 'public',
      kind: 'public',
      tag: 'Markets',
      summary: 'What the whole exchange traded',
      description: FRESHNESS,
      query: schemas.RefreshQuery,
      answers: { 200: schemas.Statistics },
      codes: ['database_unavailable', ...SERVICE_CODES],
      handle: ({ query }) =>
        cached(query, 'statistics', async () => {
          const [known, ever] = await Promise.all([tickers(), reads.statistics({ query: 'markets' })])
          const everOf = new Map(ever.markets.map((one) => [one.instrument, one]))
          const sums = new Map<string, { scale: number; day: bigint; ever: bigint }>()
          let trades24h = 0
          let trades = 0
          for (const { definition, quoteScale, quoteMinorPerTickLot } of definitions.markets()) {
            const sum = sums.get(definition.quote) ?? { scale: quoteScale, day: 0n, ever: 0n }
            sums.set(definition.quote, sum)
            const ticker = known.get(definition.instrument)
            const all = everOf.get(definition.instrument)
            sum.day += BigInt(ticker?.tickLots ?? 0) * quoteMinorPerTickLot
            sum.ever += BigInt(all?.tickLots ?? 0) * quoteMinorPerTickLot
            trades24h += ticker?.tradesCount ?? 0
            trades += all?.trades ?? 0
          }
          return JSON.stringify({
            time: formatTime(nowUs()),
            markets: definitions.markets().length,
            trades24h,
            trades,
            volumes: [...sums]
              .sort(([a], [b]) => (a < b ? -1 : 1))
              .map(([asset, sum]) => ({
                asset,
                volume24h: formatMinor(sum.day.toString(), sum.scale),
                volume: formatMinor(sum.ever.toString(), sum.scale),
              })),
          })
        }),
    }),

    endpoint({
      method: 'GET',
      path: '/accounts/statistics',
      access: 'read',
      kind: 'read',
      tag: 'Accounts',
      summary: 'What the member traded, by day and market, newest first',
      query: schemas.MemberStatisticsQuery,
      answers: { 200: schemas.MemberStatistics },
      codes: [
        'invalid_value',
        'cursor_invalid',
        'query_invalid',
        'projection_behind',
        'database_unavailable',
        ...SERVICE_CODES,
      ],
      handle: async ({ query, memberId, slot }) => {
        const barrier = await reads.barrier(slot)
        const page = await reads.statistics({
          query: 'member',
          memberId,
          barrier,
          ...daysOf(query),
          ...(query.instrument === undefined ? {} : { instrument: query.instrument }),
        })
        const days = page.days.map((day) => memberDay(day, marketNamed(definitions, day.instrument)))
        return ok(JSON.stringify({ days, feeDiscountPpm: page.feeDiscountPpm, cursor: page.cursor ?? null }))
      },
    }),

    endpoint({
      method: 'GET',
      path: '/accounts/statements',
      access: 'read',
      kind: 'read',
      tag: 'Accounts',
      summary: 'What moved the balances, day by day, newest first',
      query: schemas.StatementsQuery,
      answers: { 200: schemas.Statements },
      codes: ['invalid_value', 'cursor_invalid', 'query_invalid', 'database_unavailable', ...SERVICE_CODES],
      handle: async ({ query, memberId }) => {
        const asset = query.asset === undefined ? {} : { asset: query.asset }
        const page = await reads.statistics({ query: 'statements', memberId, ...daysOf(query), ...asset })
        const lines = page.lines.map((line) => statementLine(line, scaleOf(line.asset, definitions)))
        return ok(JSON.stringify({ lines, cursor: page.cursor ?? null }))
      },
    }),
  ]
}

/** The first second that is not before it. */
function secondOf(text: string | undefined, field: string): number | undefined {
  return text === undefined ? undefined : Math.ceil(timeOf(text, field) / SECOND_US)
}

const tickerJson = (ticker: TickerPush, market: Market): string =>
  `{"instrument":"${market.definition.instrument}",${tickerFields(ticker, market)}}`

const neverTraded = (timeUs: number): TickerPush => ({
  tradeId: 0,
  timeUs,
  openTicks: null,
  highTicks: null,
  lowTicks: null,
  lastTicks: null,
  lots: '0',
  tickLots: '0',
  tradesCount: 0,
})

/** Days that are in the period, or in a part of it. */
function daysOf(query: Parameters<typeof listingOf>[0]) {
  const { fromUs, toUs, ...page } = listingOf(query)
  return {
    ...page,
    ...(fromUs === undefined ? {} : { fromDay: Math.floor(fromUs / DAY_US) }),
    ...(toUs === undefined ? {} : { toDay: Math.ceil(toUs / DAY_US) }),
  }
}

const dayText = (day: number): string => formatTime(day * DAY_US).slice(0, 10)

const statementLine = (line: StatementLine, scale: number) => ({
  day: dayText(line.day),
  asset: line.asset,
  opening: formatMinor(line.openingMinor, scale),
  deposits: formatMinor(line.depositsMinor, scale),
  withdrawals: formatMinor(line.withdrawalsMinor, scale),
  transfers: formatMinor(line.transfersMinor, scale),
  trades: formatMinor(line.tradesMinor, scale),
  fees: formatMinor(line.feesMinor, scale),
  closing: formatMinor(line.closingMinor, scale),
})

function memberDay(day: MemberDay, market: Market) {
  return {
    day: dayText(day.day),
    instrument: day.instrument,
    trades: day.trades,
    volume: volumeOf(BigInt(day.lots), market),
    quoteVolume: formatMinor(day.quoteMinor, market.quoteScale),
    baseFee: formatMinor(day.baseFeeMinor, market.baseScale),
    quoteFee: formatMinor(day.quoteFeeMinor, market.quoteScale),
  }
}

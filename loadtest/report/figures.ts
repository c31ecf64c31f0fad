/** The part of artillery's result that the report is made from. */
export interface ArtilleryResult {
  readonly aggregate: {
    readonly counters: Readonly<Record<string, number>>
    readonly summaries: Readonly<Record<string, Readonly<Record<string, number>>>>
    readonly firstMetricAt: number
    readonly lastMetricAt: number
  }
}

/** One second of one of artillery's workers, as the processor writes it. */
interface WrittenSecond {
  readonly atMs: number
  readonly latenciesMs: readonly number[]
  readonly failed: number
}

export interface Second {
  /** Since the first one, in seconds. */
  readonly at: number
  readonly answers: number
  readonly failed: number
  readonly p50Ms: number
  readonly p95Ms: number
  readonly p99Ms: number
}

export interface Figures {
  readonly beganAtMs: number
  readonly seconds: number
  readonly orders: number
  readonly failed: number
  /** Accepted, while all users were at it: without the seconds in which they begin and end. */
  readonly perSecond: number
  readonly matchedShare: number
  /** As artillery counts them: from sending to the answer. */
  readonly p50Ms: number
  readonly p95Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  /** From when an order was due to its answer. */
  readonly dueP99Ms: number
  readonly answers: readonly (readonly [what: string, count: number])[]
  readonly series: readonly Second[]
  /** How many answers took up to so many milliseconds, counted from when the order was due. */
  readonly distribution: readonly { readonly upToMs: number; readonly count: number }[]
}

/** Upper edges of the distribution's bars; the last has no end. */
const EDGES_MS = [1, 2, 3, 5, 8, 12, 20, 30, 50, 80, 120, 200, 300, 500, 1_000, Number.POSITIVE_INFINITY]

export const secondsOf = (lines: string): WrittenSecond[] =>
  lines
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))

export function figuresOf({ aggregate }: ArtilleryResult, written: readonly WrittenSecond[]): Figures {
  const { counters, summaries, firstMetricAt, lastMetricAt } = aggregate
  const times = summaries['http.response_time'] ?? {}
  const seconds = Math.max(1, (lastMetricAt - firstMetricAt) / 1000)
  const accepted = counters['http.codes.201'] ?? 0
  const orders = counters['http.requests'] ?? 0
  const series = seriesOf(written)
  const latencies = written.flatMap(({ latenciesMs }) => latenciesMs).sort((a, b) => a - b)
  return {
    beganAtMs: firstMetricAt,
    seconds,
    orders,
    failed: orders - accepted,
    perSecond: steadyRate(series),
    matchedShare: (counters['orders.matched_at_once'] ?? 0) / Math.max(1, accepted),
    p50Ms: times.median ?? 0,
    p95Ms: times.p95 ?? 0,
    p99Ms: times.p99 ?? 0,
    maxMs: times.max ?? 0,
    dueP99Ms: percentile(latencies, 0.99),
    answers: answersOf(counters),
    series,
    distribution: distributionOf(latencies),
  }
}

/** Status codes, and what artillery or the processor calls an error. */
function answersOf(counters: Readonly<Record<string, number>>): [string, number][] {
  const named = Object.entries(counters).flatMap(([name, count]): [string, number][] => {
    if (name.startsWith('http.codes.')) return [[`HTTP ${name.slice('http.codes.'.length)}`, count]]
    return name.startsWith('errors.') ? [[name.slice('errors.'.length), count]] : []
  })
  return named.sort(([, a], [, b]) => b - a)
}

function seriesOf(written: readonly WrittenSecond[]): Second[] {
  const firstMs = Math.min(...written.map(({ atMs }) => atMs))
  const bySecond = Map.groupBy(written, ({ atMs }) => (atMs - firstMs) / 1000)
  return [...bySecond]
    .sort(([a], [b]) => a - b)
    .map(([at, parts]) => {
      const latencies = parts.flatMap(({ latenciesMs }) => latenciesMs).sort((a, b) => a - b)
      return {
        at,
        answers: latencies.length,
        failed: parts.reduce((sum, { failed }) => sum + failed, 0),
        p50Ms: percentile(latencies, 0.5),
        p95Ms: percentile(latencies, 0.95),
        p99Ms: percentile(latencies, 0.99),
      }
    })
}

/** Users come within a second, so the last ones end a second later than the first. */
const EDGE_SECONDS = 2

function steadyRate(series: readonly Second[]): number {
  const steady = series.slice(EDGE_SECONDS, -EDGE_SECONDS)
  const accepted = steady.reduce((sum, { answers, failed }) => sum + answers - failed, 0)
  return accepted / Math.max(1, steady.length)
}

function distributionOf(ascending: readonly number[]): Figures['distribution'] {
  let from = 0
  return EDGES_MS.map((upToMs) => {
    let to = from
    while (to < ascending.length && (ascending[to] ?? 0) <= upToMs) to++
    const count = to - from
    from = to
    return { upToMs, count }
  })
}

const percentile = (ascending: readonly number[], share: number): number =>
  ascending[Math.max(0, Math.ceil(ascending.length * share) - 1)] ?? 0

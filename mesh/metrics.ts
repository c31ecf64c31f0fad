import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

/** Every metric of this process; served at `/metrics` on its health port. */
const registry = new Registry()

export const metricsContentType: string = registry.contentType

type Collector = () => Promise<void> | void
const collectors = new Set<Collector>()

/** Sets gauges when they are asked for, and not before. Returns what ends that. */
export function onScrape(collector: Collector): () => void {
  collectors.add(collector)
  return () => void collectors.delete(collector)
}

/** What one collector cannot tell is missing; the rest is told. */
export async function metricsText(): Promise<string> {
  await Promise.allSettled([...collectors].map(async (collect) => collect()))
  return registry.metrics()
}

/** Event loop delay, memory, garbage collection and CPU of the process. */
export function measureProcess(): void {
  collectDefaultMetrics({ register: registry })
}

export function counter<Label extends string>(
  name: string,
  help: string,
  labelNames: readonly Label[],
): Counter<Label> {
  return new Counter({ name, help, labelNames, registers: [registry] })
}

export function gauge<Label extends string>(name: string, help: string, labelNames: readonly Label[]): Gauge<Label> {
  return new Gauge({ name, help, labelNames, registers: [registry] })
}

/** `buckets`: their upper bounds, ascending. */
export function histogram<Label extends string>(
  name: string,
  help: string,
  labelNames: readonly Label[],
  buckets: readonly number[],
): Histogram<Label> {
  return new Histogram({ name, help, labelNames, buckets: [...buckets], registers: [registry] })
}

/** For batches: 1, 2, 5, 10, … up to 5000. */
export const COUNT_BUCKETS: readonly number[] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000]

/** For durations, in seconds: from 1 ms to 10 s. */
export const SECONDS_BUCKETS: readonly number[] = [
  0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
]

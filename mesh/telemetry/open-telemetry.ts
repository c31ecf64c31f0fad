import { AsyncLocalStorage } from 'node:async_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  DiagLogLevel,
  diag,
  type HrTime,
  ROOT_CONTEXT,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { defaultResource, type Resource, resourceFromAttributes } from '@opentelemetry/resources'
import { NodeSDK } from '@opentelemetry/sdk-node'
import { AlwaysOnSampler, BatchSpanProcessor, type IdGenerator, TracerProvider } from '@opentelemetry/sdk-trace'
import type { Logger } from 'pino'
import { VERSION } from '../version.ts'
import { callerOf } from './caller.ts'
import { createFineClock } from './clock.ts'
import type { TelemetryConfig } from './config.ts'
import { type EdgeRules, EdgeTrace } from './edge-trace.ts'
import type { ActiveTrace, SpanRecord, Telemetry } from './telemetry.ts'
import { newTraceId, spanIdOf, type Traceparent, traceIdOf } from './traceparent.ts'

/** Traces that a process writes afterwards, at most: an exchange that fails is not made to fail faster. */
const AFTERWARDS_PER_SECOND_MAX = 50
const STOP_MS_MAX = 1_000
/** How often it is told that spans cannot be sent, in milliseconds. */
const COMPLAINT_MS = 60_000
const QUEUE = { maxQueueSize: 8_192, maxExportBatchSize: 512, scheduledDelayMillis: 500, exportTimeoutMillis: 5_000 }

/** Spans go in batches to a collector that speaks OTLP over HTTP; what it does not take in time is dropped. */
export function createTelemetry(
  service: { readonly name: string; readonly instanceId: string },
  { ratio, slowUs }: TelemetryConfig,
  log: Logger,
): Telemetry {
  complainInto(log)
  const clock = createFineClock()
  const ids = new GivenIds()
  const processor = new BatchSpanProcessor({ exporter: new OTLPTraceExporter(), ...QUEUE })
  // What is sampled was decided at the edge, and its ids with it.
  const common = { idGenerator: ids, sampler: new AlwaysOnSampler(), spanProcessors: [processor] }
  const sdk = new NodeSDK({
    ...common,
    resource: resourceOf(service.name, { 'service.instance.id': service.instanceId }),
    autoDetectResources: false,
    // Metrics are Prometheus', logs are pino's, and contexts travel beside the items.
    metricReaders: [],
    logRecordProcessors: [],
    instrumentations: [],
    textMapPropagator: null,
  })
  sdk.start()
  const tracers = new Map<string, Tracer>([[service.name, trace.getTracer('exchange-mesh', VERSION)]])
  /** A trace that is written afterwards has spans of other services. */
  const tracerOf = (name: string): Tracer => {
    let tracer = tracers.get(name)
    if (tracer === undefined) {
      tracer = new TracerProvider({ ...common, resource: resourceOf(name) }).getTracer('exchange-mesh', VERSION)
      tracers.set(name, tracer)
    }
    return tracer
  }
  const running = new AsyncLocalStorage<ActiveTrace>()
  const perSecond = createAllowance(AFTERWARDS_PER_SECOND_MAX, clock.nowUs)

  const record = (span: SpanRecord): void => {
    const { self, parent, attributes = {}, links = [], error } = span
    ids.next(self)
    const context = parent === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, contextOf(parent))
    const recorded = tracerOf(span.service ?? service.name).startSpan(
      span.name,
      {
        kind: KINDS[span.kind ?? 'internal'],
        startTime: timeOf(span.startUs),
        attributes,
        links: links.map((link) => ({ context: contextOf(link) })),
      },
      context,
    )
    if (error !== undefined) recorded.setStatus({ code: SpanStatusCode.ERROR, message: error })
    // Clocks of two machines differ: work that ended before it began took no time.
    recorded.end(timeOf(Math.max(span.startUs, span.endUs)))
  }
  const rules: EdgeRules = { telemetry: { nowUs: clock.nowUs, record }, slowUs, mayTellAfterwards: perSecond }
  const telemetry: Telemetry = {
    nowUs: clock.nowUs,
    record,
    sampling: ratio,
    begin: (headers) => {
      const { sampling } = telemetry
      if (sampling === 'off') return undefined
      const caller = headers === undefined ? undefined : callerOf(headers)
      const traceId = caller === undefined ? newTraceId() : traceIdOf(caller)
      return new EdgeTrace(rules, traceId, caller, Math.random() < sampling)
    },
    active: () => running.getStore(),
    run: (active, work) => running.run(active, work),
    stop: async () => {
      clock.stop()
      await Promise.race([sdk.shutdown().catch(() => {}), sleep(STOP_MS_MAX)])
    },
  }
  return telemetry
}

const resourceOf = (name: string, more: Readonly<Record<string, string>> = {}): Resource =>
  defaultResource().merge(
    resourceFromAttributes({
      'service.name': name,
      'service.namespace': 'exchange',
      'service.version': VERSION,
      ...more,
    }),
  )

/** Ids are made before their spans are. */
class GivenIds implements IdGenerator {
  #traceId = ''
  #spanId = ''

  next(self: Traceparent): void {
    this.#traceId = traceIdOf(self)
    this.#spanId = spanIdOf(self)
  }

  generateTraceId(): string {
    return this.#traceId
  }

  generateSpanId(): string {
    return this.#spanId
  }
}

const KINDS = {
  internal: SpanKind.INTERNAL,
  server: SpanKind.SERVER,
  client: SpanKind.CLIENT,
  producer: SpanKind.PRODUCER,
  consumer: SpanKind.CONSUMER,
} as const

const timeOf = (us: number): HrTime => [Math.floor(us / 1_000_000), (us % 1_000_000) * 1_000]

const contextOf = (span: Traceparent): SpanContext => ({
  traceId: traceIdOf(span),
  spanId: spanIdOf(span),
  traceFlags: TraceFlags.SAMPLED,
  isRemote: true,
})

/** So many in each second. */
function createAllowance(perSecond: number, nowUs: () => number): () => boolean {
  let second = 0
  let taken = 0
  return () => {
    const now = Math.floor(nowUs() / 1_000_000)
    if (now !== second) {
      second = now
      taken = 0
    }
    return ++taken <= perSecond
  }
}

/** What OpenTelemetry complains of, once a minute: a collector that is away is no reason to fill a log. */
function complainInto(log: Logger): void {
  let silentUntilMs = 0
  const complain = (message: string, ...details: unknown[]): void => {
    if (performance.now() < silentUntilMs) return
    silentUntilMs = performance.now() + COMPLAINT_MS
    log.warn({ details: [message, ...details].map(String) }, 'spans cannot be sent')
  }
  const nothing = (): void => {}
  diag.setLogger(
    { error: complain, warn: complain, info: nothing, debug: nothing, verbose: nothing },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
  )
}

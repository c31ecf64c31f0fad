import type { EdgeTrace } from './edge-trace.ts'
import type { Traceparent } from './traceparent.ts'

/**
 * Tracing of a process. Where no endpoint is configured there is none, and who would use it asks for nothing but that. Spans are
 * written when they are over, with explicit times: a span's id is made before, so that it can travel while the work goes on.
 */
export interface Telemetry {
  /** Microseconds since 1970. */
  nowUs(): number
  record(span: SpanRecord): void
  /** May change at any time. */
  sampling: Sampling
  /** A request or a message that comes in; sampled or not. Nothing while tracing is off. */
  begin(headers?: EdgeHeaders): EdgeTrace | undefined
  /** What runs at the moment on behalf of a request. */
  active(): ActiveTrace | undefined
  /** Everything that the work does, awaits included, belongs to the trace. */
  run<Result>(trace: ActiveTrace, work: () => Result): Result
  /** Sends what is recorded, within a second. */
  stop(): Promise<void>
}

/** Share of the requests and messages, 0..1, that have spans in every service they pass; `off`: and nothing else is noted of any. */
export type Sampling = number | 'off'

export type Attributes = Record<string, string | number | boolean>

export interface SpanRecord {
  readonly name: string
  readonly self: Traceparent
  /** None: the first of its trace. */
  readonly parent?: Traceparent | undefined
  readonly kind?: 'server' | 'client' | 'producer' | 'consumer'
  readonly startUs: number
  readonly endUs: number
  readonly attributes?: Attributes | undefined
  /** Spans of other traces that it worked for, or that worked for it. */
  readonly links?: readonly Traceparent[] | undefined
  /** Code of what went wrong. */
  readonly error?: string | undefined
  /** The service whose work it was, where another one writes it afterwards. */
  readonly service?: string | undefined
}

/** Headers of a request, as Node has them, or of a message. */
export type EdgeHeaders = Readonly<Record<string, string | string[] | undefined>>

/** What runs on behalf of one request, here or in another process. */
export interface ActiveTrace {
  /** The span that what is done now belongs to. None: it is not sampled. */
  readonly span: Traceparent | undefined
  /** Something about it that the span tells. */
  note(key: string, value: string | number | boolean): void
  /** A command is on its way to a log. */
  append?(item: object): Appending
}

/** A command that is on its way to a log. */
export interface Appending {
  /** Travels with the command. */
  readonly span: Traceparent | undefined
  stored(sequence: number): void
  failed(code: string): void
}

/** The order that a command or an item is about, and other things that spans tell of it. */
export function attributesOf(item: unknown): Attributes {
  const { commandId, orderId, memberId, type } = Object(item) as Readonly<Record<string, unknown>>
  const attributes: Attributes = {}
  const about = typeof orderId === 'number' ? orderId : type === 'PlaceOrder' ? commandId : undefined
  if (typeof about === 'number') attributes['exchange.order.id'] = String(about)
  if (typeof commandId === 'number') attributes['exchange.command.id'] = String(commandId)
  if (typeof memberId === 'number') attributes['exchange.member.id'] = String(memberId)
  return attributes
}

export function nameOf(item: unknown): string {
  const { type } = Object(item) as { readonly type?: unknown }
  return typeof type === 'string' ? type : 'item'
}

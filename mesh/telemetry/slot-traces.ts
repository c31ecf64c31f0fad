import { LOG_OF_SERVICE, Log, sourceName } from '../subjects.ts'
import { areHops, decodeTraces, encodeRuns, type Run, type Way, type WrittenRun } from './beside.ts'
import { type Attributes, attributesOf, nameOf, type Telemetry } from './telemetry.ts'
import { childOf, isTraceparent, newTrace, type Traceparent } from './traceparent.ts'

/** A pair's sending end, as far as it matters here. */
interface Pair {
  readonly subject: string
  readonly count: number
  readonly stored: { readonly count: number }
}

/** A message of the slot's log, with what travels beside its items. */
interface Message {
  readonly sequence: number
  readonly timeUs: number
  readonly traces?: string | undefined
}

interface PairHeader {
  readonly first: number
  readonly ways?: readonly WrittenRun[]
}

interface OpenSpan {
  readonly self: Traceparent
  readonly parent: Traceparent
  readonly name: string
  readonly startUs: number
  readonly attributes: Attributes
}

/** The sampled items and events of one frame. */
export interface DraftTraces {
  readonly spans: readonly OpenSpan[]
  /** Events by their place in the frame. */
  readonly events: readonly (readonly [index: number, span: Traceparent])[]
}

/**
 * Follows items through one slot: which span a sampled one has here, what of it is told to the next slot and in the frame, and how
 * long it waited. It hears what the fold does and tells it nothing; whatever it holds, the same input gives the same bytes.
 */
export class SlotTraces {
  readonly #telemetry: Telemetry
  readonly #log: Log
  readonly #slot: string
  #isOn = true
  #beganUs = 0
  #message: Message = { sequence: 0, timeUs: 0 }
  /** Of a message of the edge: its sampled items. */
  #sampled: ReadonlyMap<number, Traceparent> | undefined
  /** Of a message between slots: the count of its first item, its runs, and the one under way. */
  #first = 0
  #runs: readonly WrittenRun[] = NO_RUNS
  #nextRun = 0
  #run: WrittenRun | undefined
  /** One way for all items of the message, or of the run, that are not sampled. */
  #shared: Way | undefined
  #current: Way | undefined
  #spans: OpenSpan[] = []
  #events: [number, Traceparent][] = []
  readonly #sent = new Map<string, Run[]>()

  constructor(telemetry: Telemetry, log: Log, slot: number) {
    this.#telemetry = telemetry
    this.#log = log
    this.#slot = sourceName(log, slot)
  }

  /** Work on what has arrived begins. */
  begin(): void {
    this.#isOn = this.#telemetry.sampling !== 'off'
    this.#beganUs = this.#telemetry.nowUs()
  }

  /** A message from the edge, or one from another slot with its first line. */
  arrive(message: Message, header?: PairHeader): void {
    this.#message = message
    this.#nextRun = 0
    this.#run = undefined
    this.#runs = NO_RUNS
    this.#sampled = undefined
    this.#shared = undefined
    if (!this.#isOn) return
    if (header === undefined) {
      if (message.traces) this.#sampled = decodeTraces(message.traces)
      this.#shared = this.#way('')
    } else {
      this.#first = header.first
      if (Array.isArray(header.ways)) this.#runs = header.ways
    }
  }

  /** An item is about to be applied. */
  enter(index: number, item: unknown): void {
    const parent = this.#runs === NO_RUNS ? this.#sampled?.get(index) : this.#follow(this.#first + index)
    const shared = this.#shared
    this.#current =
      parent === undefined || shared === undefined ? shared : { hops: shared.hops, span: this.#open(parent, item) }
  }

  /** To the run of this item of the pair. A sampled item has a run of its own, which says its span. */
  #follow(count: number): Traceparent | undefined {
    for (let run = this.#runs[this.#nextRun]; run !== undefined && run?.[0] <= count; run = this.#runs[this.#nextRun]) {
      this.#run = run
      this.#nextRun++
      this.#shared = areHops(run[1]) ? this.#way(`${run[1]},`) : undefined
    }
    const span = this.#run?.[0] === count ? this.#run[2] : undefined
    return isTraceparent(span) ? span : undefined
  }

  #way(hopsBefore: string): Way {
    return { hops: `${hopsBefore}${this.#message.timeUs},${this.#beganUs}`, span: undefined }
  }

  #open(parent: Traceparent, item: unknown): Traceparent {
    const self = childOf(parent)
    const { sequence, timeUs } = this.#message
    this.#spans.push({
      self,
      parent,
      name: `${SERVICE_OF_LOG.get(this.#log)} ${nameOf(item)}`,
      startUs: this.#beganUs,
      attributes: {
        ...attributesOf(item),
        'exchange.slot': this.#slot,
        'exchange.log.sequence': sequence,
        'exchange.log.wait_us': Math.max(0, this.#beganUs - timeUs),
      },
    })
    return self
  }

  /** The item under way said something, at this place in the frame. */
  emitted(index: number): void {
    const span = this.#current?.span
    if (span !== undefined) this.#events.push([index, span])
  }

  /** The item under way sends the pair's last item. Hops are of use on the way to the market alone. */
  sent(pair: Pair, log: Log): void {
    const way = this.#current
    const wanted = log === Log.markets || way?.span !== undefined ? way : undefined
    let runs = this.#sent.get(pair.subject)
    if (runs === undefined) {
      if (wanted === undefined) return
      runs = []
      this.#sent.set(pair.subject, runs)
    }
    // Each sampled item has a run of its own, also where one item sends several.
    if (runs.at(-1)?.way === wanted && wanted?.span === undefined) return
    runs.push({ first: pair.count, way: wanted })
    while (runs.length > 1 && (runs[1]?.first ?? 0) <= pair.stored.count + 1) runs.shift()
  }

  get current(): Way | undefined {
    return this.#current
  }

  /** For the first line of a message with the items first..last of the pair. */
  waysOf({ subject }: Pair, first: number, last: number): string {
    const runs = this.#sent.get(subject)
    if (runs === undefined) return ''
    let from = 0
    while (from + 1 < runs.length && (runs[from + 1]?.first ?? 0) <= first) from++
    let to = from
    while (to < runs.length && (runs[to]?.first ?? 0) <= last) to++
    const told = runs.slice(from, to)
    return told.some(({ way }) => way !== undefined) ? encodeRuns(told) : ''
  }

  /** What was sampled since the last call, if anything. */
  takeDraft(): DraftTraces | undefined {
    if (this.#spans.length === 0 && this.#events.length === 0) return undefined
    const draft = { spans: this.#spans, events: this.#events }
    this.#spans = []
    this.#events = []
    return draft
  }

  /** The frame and all that it caused are stored: each item has its span, linked with the frame's, which is a trace of its own. */
  stored({ spans }: DraftTraces, itemsCount: number): void {
    const [one] = spans
    if (one === undefined) return
    const endUs = this.#telemetry.nowUs()
    const frame = newTrace()
    for (const span of spans) this.#telemetry.record({ ...span, kind: 'consumer', endUs, links: [frame] })
    this.#telemetry.record({
      name: `frame ${this.#slot}`,
      self: frame,
      startUs: Math.min(...spans.map(({ startUs }) => startUs)),
      endUs,
      attributes: { 'exchange.slot': this.#slot, 'exchange.items': itemsCount, 'exchange.items.sampled': spans.length },
      links: spans.map(({ self }) => self),
    })
  }
}

const NO_RUNS: readonly WrittenRun[] = []

const SERVICE_OF_LOG: ReadonlyMap<Log, string> = new Map(
  [...LOG_OF_SERVICE].map(([service, log]) => [log, service] as const),
)

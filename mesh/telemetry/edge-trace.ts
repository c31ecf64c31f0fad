import { decodeHops } from './beside.ts'
import {
  type ActiveTrace,
  type Appending,
  type Attributes,
  attributesOf,
  nameOf,
  type SpanRecord,
  type Telemetry,
} from './telemetry.ts'
import { childOf, newSpanId, type Traceparent, traceparentOf } from './traceparent.ts'

/** What all requests of an edge share. */
export interface EdgeRules {
  readonly telemetry: Pick<Telemetry, 'nowUs' | 'record'>
  readonly slowUs: number
  /** Whether there is room for one more trace that is written afterwards. */
  mayTellAfterwards(): boolean
}

/** What came back for a command. */
interface Replied {
  readonly hops?: string | undefined
  readonly span?: Traceparent | undefined
}

export interface Ending {
  /** `POST /order` */
  readonly name: string
  /** Default: server. */
  readonly kind?: 'server' | 'consumer'
  readonly code: string | undefined
  /** Of an answer over HTTP. */
  readonly status?: number
  /** The exchange failed; what a client did wrong is no failure. */
  readonly isFailed: boolean
}

/**
 * A request, from its first byte here to its answer. Sampled, it has spans in every service that it passes. Else it only notes
 * times, and what its reply says of the hops, and becomes a whole trace at its end if it failed or was slow.
 */
export class EdgeTrace implements ActiveTrace {
  readonly traceId: string
  readonly beganUs: number
  span: Traceparent | undefined
  readonly #rules: EdgeRules
  /** The caller's span. */
  readonly #parent: Traceparent | undefined
  #attributes: Attributes | undefined
  #appendings: EdgeAppending[] | undefined
  #replied: Replied | undefined
  #repliedUs = 0

  constructor(rules: EdgeRules, traceId: string, parent: Traceparent | undefined, isSampled: boolean) {
    this.#rules = rules
    this.traceId = traceId
    this.#parent = parent
    this.beganUs = rules.telemetry.nowUs()
    if (isSampled) this.sample(true)
  }

  sample(isSampled: boolean): void {
    this.span = isSampled ? traceparentOf(this.traceId, newSpanId()) : undefined
  }

  note(key: string, value: string | number | boolean): void {
    this.#attributes ??= {}
    this.#attributes[key] = value
  }

  append(item: object): Appending {
    const appending = new EdgeAppending(this.#rules.telemetry, this.span, item)
    if (this.#appendings === undefined) this.#appendings = [appending]
    else this.#appendings.push(appending)
    return appending
  }

  /** The answer of a machine to the last command. */
  replied(reply: object): void {
    this.#repliedUs = this.#rules.telemetry.nowUs()
    this.#replied = reply
  }

  /** The order that it is about, where there is one. */
  get orderId(): string | undefined {
    const id = this.#appendings?.[0]?.attributes()['exchange.order.id']
    return id === undefined ? undefined : String(id)
  }

  /** Returns why it was written afterwards, if it was. */
  end(ending: Ending): 'failed' | 'slow' | undefined {
    const endUs = this.#rules.telemetry.nowUs()
    if (this.span !== undefined) {
      this.#record(this.span, ending, endUs)
      if (this.#replied?.span !== undefined) this.#recordReply(this.#replied.span, endUs)
      return undefined
    }
    const why = ending.isFailed ? 'failed' : endUs - this.beganUs > this.#rules.slowUs ? 'slow' : undefined
    if (why === undefined || !this.#rules.mayTellAfterwards()) return undefined
    this.note('exchange.trace.afterwards', why)
    this.#recordAfterwards(ending, endUs)
    return why
  }

  #record(self: Traceparent, { name, kind, code, status, isFailed }: Ending, endUs: number): void {
    const about = this.#appendings?.[0]?.attributes()
    this.#rules.telemetry.record({
      name,
      self,
      parent: this.#parent,
      kind: kind ?? 'server',
      startUs: this.beganUs,
      endUs,
      attributes: {
        ...about,
        ...(code === undefined ? {} : { 'exchange.code': code }),
        ...(status === undefined ? {} : { 'http.response.status_code': status }),
        ...this.#attributes,
      },
      error: isFailed ? (code ?? 'failed') : undefined,
    })
  }

  #recordReply(parent: Traceparent, endUs: number): void {
    const self = childOf(parent)
    this.#rules.telemetry.record({ name: 'reply', self, parent, kind: 'consumer', startUs: this.#repliedUs, endUs })
  }

  /** As the services would have, from the times that the reply brought along. What did not answer has no spans. */
  #recordAfterwards(ending: Ending, endUs: number): void {
    const { telemetry } = this.#rules
    const root = traceparentOf(this.traceId, newSpanId())
    this.#record(root, ending, endUs)
    let parent = root
    for (const appending of this.#appendings ?? []) {
      parent = childOf(root)
      telemetry.record(appending.asSpan(parent, root))
    }
    const last = this.#appendings?.at(-1)
    if (last === undefined || this.#replied === undefined) return
    for (const work of worksOf(decodeHops(this.#replied.hops ?? ''), last.type)) {
      const self = childOf(parent)
      telemetry.record({
        ...work,
        self,
        parent,
        kind: 'consumer',
        attributes: { ...last.attributes(), ...work.attributes },
      })
      parent = self
    }
    this.#recordReply(parent, endUs)
  }
}

/** A command between the edge and its log. */
export class EdgeAppending implements Appending {
  readonly span: Traceparent | undefined
  readonly #telemetry: Pick<Telemetry, 'nowUs' | 'record'>
  readonly #parent: Traceparent | undefined
  readonly #item: object
  readonly #startUs: number
  #endUs = 0
  #failed: string | undefined

  constructor(telemetry: Pick<Telemetry, 'nowUs' | 'record'>, parent: Traceparent | undefined, item: object) {
    this.#telemetry = telemetry
    this.#parent = parent
    this.#item = item
    this.#startUs = telemetry.nowUs()
    this.span = parent === undefined ? undefined : childOf(parent)
  }

  stored(sequence: number): void {
    this.#end({ 'exchange.log.sequence': sequence }, undefined)
  }

  failed(code: string): void {
    this.#failed = code
    this.#end({}, code)
  }

  #end(attributes: Attributes, error: string | undefined): void {
    this.#endUs = this.#telemetry.nowUs()
    if (this.span === undefined || this.#parent === undefined) return
    const span = this.asSpan(this.span, this.#parent)
    this.#telemetry.record({ ...span, attributes: { ...span.attributes, ...attributes }, error })
  }

  get type(): string {
    return nameOf(this.#item)
  }

  attributes(): Attributes {
    return attributesOf(this.#item)
  }

  asSpan(self: Traceparent, parent: Traceparent): SpanRecord {
    return {
      name: `append ${this.type}`,
      self,
      parent,
      kind: 'producer',
      startUs: this.#startUs,
      // One that is not known to be stored ends with the request; nobody knows when else.
      endUs: this.#endUs === 0 ? this.#telemetry.nowUs() : this.#endUs,
      attributes: { 'messaging.system': 'nats', ...this.attributes() },
      error: this.#failed,
    }
  }
}

/** What the market gets of a command. */
const ENTERED: Readonly<Record<string, string>> = {
  PlaceOrder: 'EnterOrder',
  CancelOrder: 'CancelEntered',
  CancelOrders: 'CancelEntered',
  AmendOrder: 'AmendEntered',
}

type Work = Pick<SpanRecord, 'name' | 'service' | 'startUs' | 'endUs' | 'attributes'>

/** From the hops of a reply: of the engine, or of accounts, where they refused. */
function worksOf(hops: readonly number[], type: string): Work[] {
  const waited = (storedUs: number, startUs: number): Attributes => ({
    'exchange.log.wait_us': Math.max(0, startUs - storedUs),
  })
  const [accountsStoredUs = 0, accountsUs = 0, marketsStoredUs = 0, engineUs = 0, sentUs = 0] = hops
  const accounts = {
    name: `accounts ${type}`,
    service: 'accounts',
    startUs: accountsUs,
    endUs: marketsStoredUs,
    attributes: waited(accountsStoredUs, accountsUs),
  }
  if (hops.length === 3) return [accounts]
  if (hops.length !== 5) return []
  const engine = {
    name: `engine ${ENTERED[type] ?? type}`,
    service: 'engine',
    startUs: engineUs,
    endUs: sentUs,
    attributes: waited(marketsStoredUs, engineUs),
  }
  return [accounts, engine]
}

import type { NatsConnection } from '@nats-io/transport-node'
import { formatMinor } from '#mesh/edge/decimal.ts'
import type { Definitions } from '#mesh/edge/definitions.ts'
import { orderJson } from '#mesh/edge/order-json.ts'
import { parseFrame, parseFrameHeader } from '#mesh/frames.ts'
import type { Pool, Row } from '#mesh/mysql.ts'
import type { AccountEvent, AccountRead, AccountReadResult, PlaceOrder } from '#mesh/protocol/accounts.ts'
import type { Fill, OrderState } from '#mesh/protocol/common.ts'
import { decodeItem } from '#mesh/protocol/compact.ts'
import type { OrdersQuery, ResultOf } from '#mesh/protocol/orders.ts'
import { callRpc, RpcError } from '#mesh/rpc.ts'
import { accountSlotOf } from '#mesh/slots.ts'
import type { MeshShape } from '#mesh/streams.ts'
import {
  EVENTS_STREAM,
  framesSubject,
  Log,
  pairSubject,
  Rpc,
  STREAM_OF_LOG,
  slotReadSubject,
  sourceName,
} from '#mesh/subjects.ts'
import { decodeTraces } from '#mesh/telemetry/beside.ts'
import { type Traceparent, traceIdOf } from '#mesh/telemetry/traceparent.ts'
import { timeOf } from '#services/guid/domain/timeline.ts'
import { eventsOf, isLast, memberOf, type OrderEvent, orderOf, type Step, stepOf } from '../domain/way.ts'
import { createLogs, type Logs, type Stored } from './logs.ts'

/** Everything that is known of one order: what it is, what happened to it and where that is written. */
export interface Way {
  readonly orderId: string
  readonly memberId: string
  readonly accountSlot: number
  readonly marketSlot: number | null
  /** As members see it. */
  readonly order: unknown
  /** Who has told what it is: the account slot's owner from memory, MySQL, or the events alone. */
  readonly orderFrom: 'memory' | 'mysql' | 'events'
  readonly steps: readonly Step[]
  /** False: more happened than the streams were searched for. */
  readonly isWhole: boolean
  readonly ledger: readonly LedgerRow[]
  /** The last change of the order that MySQL has, as a sequence in the account slot; null where it does not have the order. */
  readonly writtenSequence: number | null
  /** Null: it was not sampled. It may have a trace all the same, written afterwards because it was slow or failed. */
  readonly traceId: string | null
}

interface LedgerRow {
  readonly position: string
  readonly timeUs: number
  readonly asset: string
  readonly delta: string
  readonly fee: string
  readonly available: string
  readonly held: string
}

/**
 * By the order's id alone: the id tells when it was made, and so where in the streams it is. For an order whose events are gone from
 * there, the member has to be told, unless it has fills.
 * @throws RpcError `order_not_found`, `too_many_lookups`
 */
export type FindWay = (orderId: number, memberId: number | undefined) => Promise<Way>

interface Parts {
  readonly nats: NatsConnection
  readonly shape: MeshShape
  readonly definitions: Definitions
  readonly pool: Pool | undefined
}

/** Ids are in the order of time to about a second, and clocks of several machines differ. */
const BEFORE_MS = 5_000
/** How long an order may take from its id to the log: a gateway's patience, and a broker's queue. */
const AFTER_MS = 30_000
const PAIR_MS = 10_000
const ANSWER_MS_MAX = 3_000
const INPUTS_MAX = 20
/** At once: each may read a good deal of the streams. */
const LOOKUPS_MAX = 4
const LEDGER_ROWS_MAX = 500
const SECOND_US = 1_000_000
const decoder = new TextDecoder()

export function createFindWay({ nats, shape, definitions, pool }: Parts): FindWay {
  const logs = createLogs(nats)

  const findOne: FindWay = async (orderId, memberHint) => {
    const slotHint = memberHint === undefined ? undefined : accountSlotOf(memberHint, shape.accountSlots)
    const first = await findFirst(logs, orderId, slotHint)
    const memberId = first === undefined ? (memberHint ?? (await memberOfFills(pool, orderId))) : memberOf(first.event)
    if (memberId === undefined) throw notFound(orderId)
    const slot = accountSlotOf(memberId, shape.accountSlots)
    const [remembered, written] = await Promise.all([
      askOwner(nats, slot, { read: 'order', memberId, orderId }),
      query(nats, { query: 'order', memberId, orderId }),
    ])
    const { events, isWhole } = await follow(logs, slot, orderId, first, written?.found?.sequence)
    const last = events.map(({ event }) => orderOf(event)).findLast((order) => order !== undefined)
    const order = remembered?.found?.order ?? written?.found?.order ?? last
    if (order === undefined && events.length === 0) throw notFound(orderId)
    const market = order === undefined ? undefined : definitions.market(order.instrument)

    const found = await Promise.all([
      ...eventsWithInputs(events).map((event) => inputStep(logs, slot, event, orderId)),
      ...(first?.event.type === 'OrderPlaced' && market !== undefined
        ? [marketSteps(logs, slot, market.definition.marketSlot, orderId, first.frameTimeUs)]
        : []),
    ])
    const command = found.flatMap(({ command: one }) => one ?? [])[0]
    const span = found.flatMap((one) => one.span ?? [])[0]
    const steps = [
      ...(order === undefined ? [] : [takenStep(order, command)]),
      ...found.flatMap(({ steps: some }) => some),
      ...events.map(stepOf),
    ].sort((a, b) => a.atUs - b.atUs || rankOf(a) - rankOf(b))
    const fills = remembered?.found?.fills ?? written?.found?.fills ?? fillsOf(events)
    const shownSequence = String(events.at(-1)?.position[0] ?? written?.found?.sequence ?? 0)
    return {
      orderId: String(orderId),
      memberId: String(memberId),
      accountSlot: slot,
      marketSlot: market?.definition.marketSlot ?? null,
      order:
        order === undefined || market === undefined ? null : JSON.parse(orderJson(order, market, shownSequence, fills)),
      orderFrom: remembered?.found !== undefined ? 'memory' : written?.found !== undefined ? 'mysql' : 'events',
      steps,
      isWhole,
      ledger: order === undefined ? [] : await ledgerOf(order),
      writtenSequence: written?.found?.sequence ?? null,
      traceId: span === undefined ? null : traceIdOf(span),
    }
  }

  let underWay = 0
  return async (orderId, memberId) => {
    if (underWay >= LOOKUPS_MAX) throw new RpcError('too_many_lookups', 'Many orders are being looked up: try again.')
    underWay++
    try {
      return await findOne(orderId, memberId)
    } finally {
      underWay--
    }
  }

  async function ledgerOf({ orderId, memberId, createdAtUs, updatedAtUs }: OrderState): Promise<LedgerRow[]> {
    const period = { fromUs: createdAtUs - SECOND_US, toUs: updatedAtUs + SECOND_US }
    const found = await query(nats, { query: 'ledger', memberId, ...period, limit: LEDGER_ROWS_MAX })
    return (found?.entries ?? [])
      .filter((entry) => entry.orderId === orderId)
      .map((entry): LedgerRow => {
        const scale = definitions.asset(entry.asset)?.scale ?? 0
        return {
          position: entry.position,
          timeUs: entry.timeUs,
          asset: entry.asset,
          delta: formatMinor(entry.deltaMinor, scale),
          fee: formatMinor(entry.feeMinor, scale),
          available: formatMinor(entry.availableMinor, scale),
          held: formatMinor(entry.heldMinor, scale),
        }
      })
      .reverse()
  }
}

const notFound = (orderId: number): RpcError =>
  new RpcError(
    'order_not_found',
    `There is no order ${orderId}, or it is older than the streams: then its member is needed.`,
  )

/** The first event of the order: it was placed, or refused. */
async function findFirst(logs: Logs, orderId: number, slot: number | undefined): Promise<OrderEvent | undefined> {
  const madeAtMs = timeOf(orderId)
  if (madeAtMs > Date.now() + BEFORE_MS) return undefined
  let found: OrderEvent | undefined
  const subject =
    slot === undefined ? framesSubject(Log.accounts, '*' as unknown as number) : framesSubject(Log.accounts, slot)
  const stretch = { stream: EVENTS_STREAM, subject, fromMs: madeAtMs - BEFORE_MS, toMs: madeAtMs + AFTER_MS }
  await logs.scan(stretch, (message) => {
    ;[found] = eventsIn(message, orderId)
    return found === undefined ? 'on' : 'done'
  })
  return found
}

/** From its first event on to its last; where that is too far, at least to what MySQL knows as its last change. */
async function follow(
  logs: Logs,
  slot: number,
  orderId: number,
  first: OrderEvent | undefined,
  writtenSequence: number | undefined,
): Promise<{ readonly events: readonly OrderEvent[]; readonly isWhole: boolean }> {
  const events: OrderEvent[] = []
  const subject = framesSubject(Log.accounts, slot)
  const take = (message: Stored): 'on' | 'done' => {
    events.push(...eventsIn(message, orderId))
    return events.some(({ event }) => isLast(event)) ? 'done' : 'on'
  }
  if (first !== undefined) {
    const isWhole = await logs.scan({ stream: EVENTS_STREAM, subject, fromMs: first.frameTimeUs / 1_000 - 1 }, take)
    if (isWhole) return { events, isWhole }
  }
  const reached = events.at(-1)?.position[0] ?? 0
  if (writtenSequence === undefined || writtenSequence <= reached) return { events, isWhole: first !== undefined }
  const input = await logs.at(STREAM_OF_LOG[Log.accounts], writtenSequence)
  if (input !== undefined) {
    await logs.scan({ stream: EVENTS_STREAM, subject, fromMs: input.timeUs / 1_000 - 1 }, (message) => {
      events.push(...eventsIn(message, orderId))
      return parseFrameHeader(message.data).inTo[0] >= writtenSequence ? 'done' : 'on'
    })
  }
  return { events, isWhole: false }
}

/** Most frames are about others: they are not parsed. */
function eventsIn(message: Stored, orderId: number): OrderEvent[] {
  const { buffer, byteOffset, length } = message.data
  if (!Buffer.from(buffer, byteOffset, length).includes(String(orderId))) return []
  return eventsOf(parseFrame<AccountEvent>(message.data), orderId, message)
}

/** An order may be filled thousands of times: the inputs of its first events and its last ones are looked up, each once. */
function eventsWithInputs(events: readonly OrderEvent[]): OrderEvent[] {
  const bySequence = new Map(events.toReversed().map((event) => [event.position[0], event]))
  const all = [...bySequence.values()].reverse()
  return all.length <= 2 * INPUTS_MAX ? all : [...all.slice(0, INPUTS_MAX), ...all.slice(-INPUTS_MAX)]
}

interface Found {
  readonly steps: readonly Step[]
  readonly command?: PlaceOrder
  /** Of its command, where the order is sampled. */
  readonly span?: Traceparent | undefined
}

/** What the account slot read when it said this: the command, or the market's outcome. */
async function inputStep(logs: Logs, slot: number, { event, position }: OrderEvent, orderId: number): Promise<Found> {
  const message = await logs.at(STREAM_OF_LOG[Log.accounts], position[0])
  if (message === undefined) return { steps: [] }
  const source = /\.from\.(.+)$/.exec(message.subject)?.[1]
  const item = itemAbout(message, orderId)
  const step: Step = {
    atUs: message.timeUs,
    kind: source === undefined ? 'command' : 'outcome',
    words:
      source === undefined
        ? `The command is stored in the log of accounts ${slot}`
        : `The outcome from ${source} is stored in the log of accounts ${slot}`,
    stream: message.stream,
    subject: message.subject,
    sequence: message.sequence,
    position: null,
  }
  const isPlacing = event.type === 'OrderPlaced' || event.type === 'OrderRejected'
  if (!isPlacing || !isPlaceOrder(item)) return { steps: [step] }
  return { steps: [step], command: item, span: decodeTraces(message.traces ?? '').get(position[1]) }
}

/** The way through the market: the order enters its log, and the frame that covers it is stored. */
async function marketSteps(
  logs: Logs,
  accountSlot: number,
  marketSlot: number,
  orderId: number,
  placedAtUs: number,
): Promise<Found> {
  const steps: Step[] = []
  const fromMs = placedAtUs / 1_000 - 1_000
  const entered = pairSubject(Log.markets, marketSlot, sourceName(Log.accounts, accountSlot))
  const stretch = { stream: STREAM_OF_LOG[Log.markets], subject: entered, fromMs, toMs: fromMs + PAIR_MS }
  let entry: Stored | undefined
  await logs.scan(stretch, (message) => {
    if (itemAbout(message, orderId) === undefined) return 'on'
    entry = message
    return 'done'
  })
  if (entry === undefined) return { steps }
  const { sequence, timeUs } = entry
  steps.push({
    ...placeOf(entry),
    atUs: timeUs,
    kind: 'market',
    words: `The order is in the log of engine ${marketSlot}`,
  })
  const frames = { stream: EVENTS_STREAM, subject: framesSubject(Log.markets, marketSlot), fromMs: timeUs / 1_000 - 1 }
  await logs.scan({ ...frames, toMs: timeUs / 1_000 + PAIR_MS }, (message) => {
    if (parseFrameHeader(message.data).inTo[0] < sequence) return 'on'
    const words = `Engine ${marketSlot} has matched it, and its frame is stored`
    steps.push({ ...placeOf(message), atUs: message.timeUs, kind: 'matched', words })
    return 'done'
  })
  return { steps }
}

const placeOf = ({ stream, subject, sequence }: Stored) => ({ stream, subject, sequence, position: null })

/** The item of a log's message that is about this order. */
function itemAbout({ data }: Stored, orderId: number): unknown {
  const line = decoder
    .decode(data)
    .split('\n')
    .find((one) => one.includes(String(orderId)))
  return line === undefined ? undefined : decodeItem(line)
}

const isPlaceOrder = (item: unknown): item is PlaceOrder =>
  typeof item === 'object' && item !== null && 'type' in item && item.type === 'PlaceOrder'

function takenStep(order: OrderState, command: PlaceOrder | undefined): Step {
  const by = command?.origin ?? (command?.replyTo || 'the edge')
  return {
    atUs: order.createdAtUs,
    kind: 'taken',
    words: `Taken by ${by}`,
    stream: null,
    subject: null,
    sequence: null,
    position: null,
  }
}

/** What has the same time to the microsecond is told in this order. */
const KINDS: readonly Step['kind'][] = [
  'taken',
  'command',
  'reserved',
  'refused',
  'market',
  'matched',
  'outcome',
  'booked',
]
const rankOf = ({ kind }: Step): number => KINDS.indexOf(kind)

const fillsOf = (events: readonly OrderEvent[]): Fill[] =>
  events.flatMap(({ event }) => (event.type === 'OrderChanged' ? event.fills : []))

/** Undefined where the slot has no owner just now. */
async function askOwner(nats: NatsConnection, slot: number, read: Extract<AccountRead, { read: 'order' }>) {
  type Result = Extract<AccountReadResult, { read: 'order' }>
  return await callRpc<Result>(nats, slotReadSubject(Log.accounts, slot), read, ANSWER_MS_MAX).catch(unlessRefused)
}

/** Undefined where MySQL does not answer. */
async function query<Query extends OrdersQuery>(nats: NatsConnection, question: Query) {
  return await callRpc<ResultOf<Query>>(nats, Rpc.ordersQuery, question, ANSWER_MS_MAX).catch(unlessRefused)
}

function unlessRefused(error: unknown): undefined {
  if (!(error instanceof RpcError)) throw error
  return undefined
}

async function memberOfFills(pool: Pool | undefined, orderId: number): Promise<number | undefined> {
  if (pool === undefined) return undefined
  const sql = 'SELECT member_id FROM fills WHERE order_id = ? LIMIT 1'
  const [[row]] = await pool.query<Row[]>(sql, [orderId]).catch((): [Row[]] => [[]])
  return row === undefined ? undefined : Number(row.member_id)
}

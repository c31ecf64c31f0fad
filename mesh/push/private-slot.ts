import Type, { type Static } from 'typebox'
import { type Bus, streamsOf, telemetryOf } from '#mesh/bus.ts'
import { checked } from '#mesh/checked.ts'
import { comparePositions, parsePosition, positionText, START } from '#mesh/domain/position.ts'
import { PrivateRing } from '#mesh/domain/private-ring.ts'
import { type Frame, type Position, parseFrame } from '#mesh/frames.ts'
import type { AccountEvent } from '#mesh/protocol/accounts.ts'
import type { PrivateChannel, PushPrivateRead, PushPrivateResult } from '#mesh/protocol/push.ts'
import { RpcError } from '#mesh/rpc.ts'
import type { Service } from '#mesh/service.ts'
import { EVENTS_STREAM, framesSubject, Log, pushSubject } from '#mesh/subjects.ts'
import { headersWith } from '#mesh/telemetry/rpc.ts'
import { childOf, type Traceparent } from '#mesh/telemetry/traceparent.ts'
import { sleep, systemTime } from '#mesh/time.ts'
import { encodeTold } from './private-message.ts'
import { type PushedSlot, runPusher } from './runtime.ts'
import { frameBefore } from './since.ts'

/** A member's part in an event. */
export interface PrivateText {
  readonly memberId: number
  /** Members of a JSON object, without its braces. */
  readonly text: string
}

/** What a channel tells of an event; nothing of most. */
export type PrivateWriter = (
  event: AccountEvent & { readonly position: Position },
  timeUs: number,
) => PrivateText | undefined

interface PrivatePusherOptions {
  readonly service: Service
  readonly name: string
  readonly accountSlots: number
  readonly replicas: number
  readonly channels: Readonly<Partial<Record<PrivateChannel, PrivateWriter>>>
  /** Resolves when the event can be written: what it names is defined. */
  readonly untilKnown: (event: AccountEvent) => Promise<void> | undefined
  readonly charsMax: number
}

/** So long a member can ask for what he missed. */
const KEPT_MS = 300_000
/** Times of the slots run apart by what the machines lag. */
const MARGIN_MS = 30_000
const ANSWER_CHARS_MAX = 256 * 1024
/** How long a new owner is waited for that is not yet where its predecessor was. */
const CATCH_UP_MS_MAX = 2_000
const LOOK_MS = 20

/** Tells members what happened to them, from the frames of the account slots. */
export const runPrivatePusher = (options: PrivatePusherOptions): Promise<void> =>
  runPusher<AccountEvent>({
    ...options,
    source: Log.accounts,
    slots: options.accountSlots,
    open: async (slot) => {
      const { nats } = options.service
      const sinceUs = (Date.now() - KEPT_MS - MARGIN_MS) * 1_000
      const afterFrame = await frameBefore(nats, sinceUs)
      return new PrivateSlot(options, afterFrame, await beginOf(nats, slot, afterFrame))
    },
  })

/** Where memory begins that has the frames after this one. `undefined`: with the first of them. */
async function beginOf(nats: Bus, slot: number, afterFrame: number): Promise<Position | undefined> {
  const last = await streamsOf(nats).last(EVENTS_STREAM, framesSubject(Log.accounts, slot))
  if (last === undefined || afterFrame === 0) return START
  return last.seq > afterFrame ? undefined : endOf(parseFrame<AccountEvent>(last.data))
}

/** The slot's log is known up to here with this frame. */
function endOf({ header, events }: Frame<AccountEvent>): Position {
  const end: Position = [header.inTo[0], header.inTo[1], 0]
  const last = events.at(-1)?.position ?? START
  return comparePositions(last, end) > 0 ? last : end
}

type Rings = ReadonlyMap<PrivateChannel, { readonly ring: PrivateRing; readonly write: PrivateWriter }>

class PrivateSlot implements PushedSlot<AccountEvent> {
  readonly afterFrame: number
  readonly #options: PrivatePusherOptions
  #rings: Rings | undefined

  constructor(options: PrivatePusherOptions, afterFrame: number, begin: Position | undefined) {
    this.#options = options
    this.afterFrame = afterFrame
    if (begin !== undefined) this.#rings = this.#newRings(begin)
  }

  take(frame: Frame<AccountEvent>, frameSequence: number, tells: boolean): void | Promise<void> {
    for (const event of frame.events) {
      const known = this.#options.untilKnown(event)
      if (known !== undefined) return known.then(() => this.take(frame, frameSequence, tells))
    }
    const { header, events } = frame
    const end = endOf(frame)
    this.#rings ??= this.#newRings([header.inFrom[0], header.inFrom[1], 0])
    for (const [channel, { ring, write }] of this.#rings) {
      for (const [index, event] of events.entries()) {
        const written = write(event, header.timeUs)
        if (written === undefined) continue
        const { memberId, text } = written
        const told = ring.add(memberId, event.position, header.timeUs, text)
        if (tells) this.#tell(channel, memberId, encodeTold(told), frame.traces?.get(index))
      }
      ring.advance(end, header.timeUs)
    }
  }

  /** `parent`: where the event is of a sampled order. */
  #tell(channel: PrivateChannel, memberId: number, message: string, parent: Traceparent | undefined): void {
    const { nats } = this.#options.service
    const telemetry = telemetryOf(nats)
    const subject = pushSubject(channel, memberId)
    if (parent === undefined || telemetry === undefined) {
      nats.publish(subject, message)
      return
    }
    const self = childOf(parent)
    const startUs = telemetry.nowUs()
    nats.publish(subject, message, { headers: headersWith(self) })
    const attributes = { 'exchange.channel': channel, 'exchange.member.id': String(memberId) }
    telemetry.record({
      name: `tell ${channel}`,
      self,
      parent,
      kind: 'producer',
      startUs,
      endUs: telemetry.nowUs(),
      attributes,
    })
  }

  async answer(request: unknown): Promise<PushPrivateResult> {
    const read: PushPrivateRead = parseRead(request)
    if (read.read === 'behind') return this.#behind(read)
    if (read.position === undefined) {
      const ring = this.#ringOf(read.channel)
      return { read: 'after', position: positionText(ring.end), messages: [], isAll: true, isLost: false }
    }
    return this.#after(read, positionOf(read.position))
  }

  async #after(
    { channel, memberId }: Extract<PushPrivateRead, { read: 'after' }>,
    position: Position,
  ): Promise<PushPrivateResult> {
    const deadlineMs = performance.now() + CATCH_UP_MS_MAX
    while (comparePositions(position, this.#ringOf(channel).end) > 0 && performance.now() < deadlineMs) {
      await sleep(systemTime, LOOK_MS)
    }
    const ring = this.#ringOf(channel)
    const isAhead = comparePositions(position, ring.end) > 0
    const found = isAhead ? undefined : ring.after(memberId, position, ANSWER_CHARS_MAX)
    if (found === undefined) {
      return { read: 'after', position: positionText(ring.end), messages: [], isAll: true, isLost: true }
    }
    const { told, isAll } = found
    const reached = told.at(-1)?.position ?? position
    return { read: 'after', position: positionText(reached), messages: told.map(encodeTold), isAll, isLost: false }
  }

  #behind({ channel, members }: Extract<PushPrivateRead, { read: 'behind' }>): PushPrivateResult {
    const ring = this.#ringOf(channel)
    const behind: number[] = []
    for (const [index, [memberId, text]] of members.entries()) {
      const position = positionOf(text)
      if (comparePositions(position, ring.end) > 0 || ring.hasAfter(memberId, position)) behind.push(index)
    }
    return { read: 'behind', behind }
  }

  #ringOf(channel: PrivateChannel): PrivateRing {
    const found = this.#rings?.get(channel)
    if (found === undefined) throw new RpcError('request_invalid', `${this.#options.name} does not tell ${channel}.`)
    return found.ring
  }

  #newRings(begin: Position): Rings {
    const limits = { keptUs: KEPT_MS * 1_000, charsMax: this.#options.charsMax }
    const channels = Object.entries(this.#options.channels) as [PrivateChannel, PrivateWriter][]
    return new Map(channels.map(([channel, write]) => [channel, { ring: new PrivateRing(begin, limits), write }]))
  }
}

const Closed = { additionalProperties: false } as const
const Channel = Type.Union([Type.Literal('orders'), Type.Literal('fills'), Type.Literal('balances')])
const Id = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER })
const ReadRequest = Type.Union([
  Type.Object(
    {
      read: Type.Literal('after'),
      channel: Channel,
      memberId: Id,
      position: Type.Optional(Type.String({ maxLength: 64 })),
    },
    Closed,
  ),
  Type.Object(
    {
      read: Type.Literal('behind'),
      channel: Channel,
      members: Type.Array(Type.Tuple([Id, Type.String({ maxLength: 64 })]), { maxItems: 10_000 }),
    },
    Closed,
  ),
])
const parseRead: (value: unknown) => Static<typeof ReadRequest> = checked(ReadRequest)

/** @throws RpcError */
function positionOf(text: string): Position {
  const position = parsePosition(text)
  if (position === undefined) throw new RpcError('request_invalid', `"${text}" is no position.`)
  return position
}

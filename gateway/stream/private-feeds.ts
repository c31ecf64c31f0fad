import { setTimeout as sleep } from 'node:timers/promises'
import type { NatsConnection, Subscription } from '@nats-io/transport-node'
import type { Logger } from 'pino'
import { telemetryOf } from '#mesh/bus.ts'
import { comparePositions, parsePosition, positionText, START } from '#mesh/domain/position.ts'
import type { Position } from '#mesh/frames.ts'
import type { PushPrivateRead, PushPrivateResult } from '#mesh/protocol/push.ts'
import { decodeTold, type PrivateMessage } from '#mesh/push/private-message.ts'
import { callRpc } from '#mesh/rpc.ts'
import { PushChannel, pusherReadSubject, pusherTakenSubject, pushSubject } from '#mesh/subjects.ts'
import { spanOf } from '#mesh/telemetry/rpc.ts'
import { childOf } from '#mesh/telemetry/traceparent.ts'
import type { PrivateKind } from './channels.ts'

/** Where a member's private messages go: one connection, which takes all of them or ends. */
export interface PrivateSink {
  sendPrivate(message: string): void
  /** Resolves when there is room for more; `false`: the connection is over. */
  drained(): Promise<boolean>
}

/** One member on one private channel of one connection. */
export interface PrivateFollow {
  readonly channel: PrivateKind
  readonly memberId: number
  /** Of the last message that went out; START before it is known where that is. */
  readonly position: string
}

export interface PrivateFeeds {
  /** `after`: the client has seen everything up to there. */
  follow(
    channel: PrivateKind,
    member: { memberId: number; slot: number },
    after: Position | undefined,
    sink: PrivateSink,
  ): PrivateFollow
  leave(follow: PrivateFollow): void
  stop(): void
}

class Follow implements PrivateFollow {
  readonly channel: PrivateKind
  readonly memberId: number
  readonly slot: number
  readonly sink: PrivateSink
  at: Position | undefined
  /** Messages go out as they come; else what came before them is being asked for. */
  isLive = false
  isOver = false
  /** What came meanwhile. */
  waiting: PrivateMessage[] = []

  constructor(
    channel: PrivateKind,
    member: { memberId: number; slot: number },
    at: Position | undefined,
    sink: PrivateSink,
  ) {
    this.channel = channel
    this.memberId = member.memberId
    this.slot = member.slot
    this.at = at
    this.sink = sink
  }

  get position(): string {
    return positionText(this.at ?? START)
  }
}

const PUSHER: Record<PrivateKind, string> = { orders: 'push-orders', fills: 'push-orders', balances: 'push-accounts' }
const CHANNELS: readonly PrivateKind[] = [PushChannel.orders, PushChannel.fills, PushChannel.balances]
const ASK_MS_MAX = 4_000
const RETRY_MS = 200
const COMPARE_MS = 5_000
/** Messages that wait while those before them are asked for; beyond it they are asked for as well. */
const WAITING_MAX = 1_000
/** Members in one question. */
const COMPARED_MAX = 2_000

/**
 * Private messages from the pushers to the connections. Each says what came before it, so that a missing one is noticed and asked
 * for; and from time to time, or when something broke on the way, it is asked whether one is missing that nothing came after.
 */
export function createPrivateFeeds(nats: NatsConnection, log: Logger): PrivateFeeds {
  const telemetry = telemetryOf(nats)
  const topics = new Map<string, { readonly follows: Set<Follow>; readonly subscription: Subscription }>()
  const subjectOf = ({ channel, memberId }: PrivateFollow): string => pushSubject(channel, memberId)

  const ask = <Read extends PushPrivateRead>(channel: PrivateKind, slot: number, read: Read) =>
    callRpc<Extract<PushPrivateResult, { read: Read['read'] }>>(
      nats,
      pusherReadSubject(PUSHER[channel], slot),
      read,
      ASK_MS_MAX,
    )

  const askUntilAnswered = async (follow: Follow) => {
    const { channel, memberId, slot } = follow
    for (;;) {
      const position = follow.at === undefined ? {} : { position: positionText(follow.at) }
      try {
        return await ask(channel, slot, { read: 'after', channel, memberId, ...position })
      } catch (error) {
        if (follow.isOver || nats.isClosed()) throw error
        await sleep(RETRY_MS)
      }
    }
  }

  /** Tells what a follower has not had yet, and from then on what comes. */
  const catchUp = async (follow: Follow): Promise<void> => {
    follow.isLive = false
    const { channel, memberId, sink } = follow
    for (;;) {
      const { position, messages, isAll, isLost } = await askUntilAnswered(follow)
      if (follow.isOver) return
      const reached = parsePosition(position)
      if (isLost || follow.at === undefined) {
        const type = isLost ? 'reload' : 'position'
        sink.sendPrivate(`{"type":"${type}","channel":"${channel}","memberId":"${memberId}","position":"${position}"}`)
      }
      for (const message of messages) tell(follow, decodeTold(message))
      follow.at = reached
      if (isAll && follow.waiting.length < WAITING_MAX) {
        follow.isLive = true
        for (const message of follow.waiting.splice(0)) takeOne(follow, message)
        return
      }
      // What was left out of a full waiting room is asked for as well.
      follow.waiting = []
      if (!(await sink.drained())) return
    }
  }
  const begin = (follow: Follow): void => {
    catchUp(follow).catch((err: unknown) => {
      if (!follow.isOver) log.error({ err, memberId: follow.memberId }, 'a private channel cannot be followed')
    })
  }

  const tell = (follow: Follow, message: PrivateMessage): void => {
    follow.at = message.position
    follow.sink.sendPrivate(jsonOf(follow.channel, message))
  }
  const takeOne = (follow: Follow, message: PrivateMessage): void => {
    if (follow.isOver) return
    if (!follow.isLive || follow.at === undefined) {
      if (follow.waiting.length < WAITING_MAX) follow.waiting.push(message)
      return
    }
    if (comparePositions(message.position, follow.at) <= 0) return
    if (comparePositions(message.previous, follow.at) <= 0) tell(follow, message)
    else begin(follow)
  }

  const compare = async (channel: PrivateKind, slot: number, follows: readonly Follow[]): Promise<void> => {
    for (let from = 0; from < follows.length; from += COMPARED_MAX) {
      const part = follows.slice(from, from + COMPARED_MAX)
      const members = part.map(({ memberId, position }) => [memberId, position] as const)
      const { behind } = await ask(channel, slot, { read: 'behind', channel, members })
      for (const index of behind) {
        const follow = part[index]
        if (follow?.isLive && !follow.isOver && follow.position === members[index]?.[1]) begin(follow)
      }
    }
  }
  const compareAll = (wanted: (channel: PrivateKind, slot: number) => boolean): void => {
    const live = [...topics.values()].flatMap(({ follows }) => [...follows]).filter(({ isLive }) => isLive)
    for (const channel of CHANNELS) {
      const bySlot = Map.groupBy(
        live.filter((one) => one.channel === channel),
        ({ slot }) => slot,
      )
      for (const [slot, follows] of bySlot) {
        // Who cannot be asked now is asked the next time, or when the slot is taken.
        if (wanted(channel, slot)) compare(channel, slot, follows).catch(() => {})
      }
    }
  }
  const hearing = [...new Set(Object.values(PUSHER))].map((pusher) =>
    nats.subscribe(pusherTakenSubject(pusher, '*'), {
      callback: (error, message) => {
        if (error !== null) return
        const taken = Number(message.subject.slice(message.subject.lastIndexOf('.') + 1))
        compareAll((channel, slot) => PUSHER[channel] === pusher && slot === taken)
      },
    }),
  )
  void (async () => {
    for await (const { type } of nats.status()) if (type === 'reconnect') compareAll(() => true)
  })()
  const comparing = setInterval(() => compareAll(() => true), COMPARE_MS)

  return {
    follow: (channel, member, after, sink) => {
      const follow = new Follow(channel, member, after, sink)
      const subject = subjectOf(follow)
      const topic = topics.get(subject)
      if (topic !== undefined) topic.follows.add(follow)
      else {
        const follows = new Set([follow])
        const subscription = nats.subscribe(subject, {
          callback: (error, message) => {
            if (error !== null) return
            const parent = telemetry === undefined ? undefined : spanOf(message)
            const startUs = telemetry?.nowUs() ?? 0
            const told = decodeTold(message.string())
            for (const follow of follows) takeOne(follow, told)
            if (parent === undefined || telemetry === undefined) return
            const self = childOf(parent)
            const attributes = { 'exchange.channel': channel, 'exchange.connections': follows.size }
            telemetry.record({ name: `push ${channel}`, self, parent, startUs, endUs: telemetry.nowUs(), attributes })
          },
        })
        topics.set(subject, { follows, subscription })
      }
      if (after !== undefined) {
        const { memberId, position } = follow
        sink.sendPrivate(`{"type":"position","channel":"${channel}","memberId":"${memberId}","position":"${position}"}`)
      }
      begin(follow)
      return follow
    },
    leave: (given) => {
      const subject = subjectOf(given)
      const topic = topics.get(subject)
      if (topic === undefined || !(given instanceof Follow)) return
      given.isOver = true
      topic.follows.delete(given)
      if (topic.follows.size > 0) return
      topic.subscription.unsubscribe()
      topics.delete(subject)
    },
    stop: () => {
      clearInterval(comparing)
      for (const subscription of hearing) subscription.unsubscribe()
      for (const { subscription, follows } of topics.values()) {
        subscription.unsubscribe()
        for (const follow of follows) follow.isOver = true
      }
      topics.clear()
    },
  }
}

const jsonOf = (
  channel: PrivateKind,
  { positionText: position, previousText: previous, text }: PrivateMessage,
): string => `{"type":"${channel}","channel":"${channel}","position":"${position}","previous":"${previous}",${text}}`

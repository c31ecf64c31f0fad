import { setTimeout as sleep } from 'node:timers/promises'
import { type ConsumerMessages, DeliverPolicy, type JetStreamClient } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import type { ReadMessage, StreamReader } from './bus.ts'

/**
 * Settings of every ordered reader: with the client's defaults it stalls up to 30 s after a server's restart.
 */
export const READER_OPTIONS = { expires: 2_000, idle_heartbeat: 500, max_messages: 500 } as const

/** A server answers every request of an idle reader within `expires`. Who hears nothing for longer has lost its consumer. */
const SILENT_MS_MAX = READER_OPTIONS.expires + 1_000
/** What was delivered comes before the heartbeat that says so. */
const MISSED_MS_MAX = 500
const LOOK_MS = 250
const RETRY_MS = 200

/**
 * The messages of the subjects that match, in order. The client's own consumer waits for the one server that holds it, however
 * long that is away; here another is made where the last message ended. At once after a reconnect: a server that has started anew
 * knows of no consumer, which would be noticed seconds later.
 */
export async function openReader(
  nats: NatsConnection,
  js: JetStreamClient,
  place: { readonly stream: string; readonly subject: string; readonly fromSequence: number },
): Promise<StreamReader> {
  let nextSequence = place.fromSequence
  let isStopped = false
  const open = async (): Promise<ConsumerMessages> => {
    const consumer = await js.consumers.get(place.stream, {
      filter_subjects: place.subject,
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: nextSequence,
    })
    return consumer.consume(READER_OPTIONS)
  }
  let messages = await open()
  let loseConsumer = (): void => {}
  void (async () => {
    for await (const { type } of nats.status()) {
      if (isStopped) return
      if (type === 'reconnect') loseConsumer()
    }
  })()
  const reopen = async (): Promise<void> => {
    while (!isStopped && !nats.isClosed()) {
      try {
        messages = await open()
        if (isStopped) messages.stop()
        return
      } catch {
        await sleep(RETRY_MS)
      }
    }
  }

  async function* read(): AsyncGenerator<ReadMessage> {
    while (!isStopped && !nats.isClosed()) {
      const watch = watchFor(messages)
      loseConsumer = watch.lose
      try {
        for await (const message of messages) {
          watch.hold(message.info.deliverySequence)
          nextSequence = message.seq + 1
          yield message
          watch.wait()
        }
      } finally {
        watch.end()
      }
      if (!watch.isLost) return
      await reopen()
    }
  }

  return {
    [Symbol.asyncIterator]: read,
    stop: () => {
      isStopped = true
      messages.stop()
    },
  }
}

/**
 * Ends the messages when the server is silent while somebody waits for the next one, or says that it has delivered what never
 * came: the client can lose what arrives while it makes a consumer anew, as it does after a stretch of work without heartbeats.
 */
function watchFor(messages: ConsumerMessages) {
  let heardAtMs = performance.now()
  let missedAtMs = Number.POSITIVE_INFINITY
  let isWaiting = true
  let isLost = false
  const lose = (): void => {
    isLost = true
    messages.stop()
  }
  /** Messages that this consumer has brought here. Where it is in the stream says nothing: it passes over what is for others. */
  let brought = 0
  const look = setInterval(() => {
    const nowMs = performance.now()
    if (isWaiting && (nowMs - heardAtMs >= SILENT_MS_MAX || nowMs - missedAtMs >= MISSED_MS_MAX)) lose()
  }, LOOK_MS)
  void (async () => {
    for await (const status of messages.status()) {
      if (status.type === 'ordered_consumer_recreated') brought = 0
      // And what is left of a request when its time is up: the server is there, and has nothing.
      if (status.type === 'heartbeat' || status.type === 'discard') heardAtMs = performance.now()
      if (status.type === 'heartbeat' && status.lastConsumerSequence > brought) {
        missedAtMs = Math.min(missedAtMs, performance.now())
      }
    }
  })()
  return {
    hold: (count: number) => {
      brought = count
      isWaiting = false
    },
    wait: () => {
      isWaiting = true
      heardAtMs = performance.now()
      missedAtMs = Number.POSITIVE_INFINITY
    },
    lose,
    end: () => clearInterval(look),
    get isLost() {
      return isLost
    },
  }
}

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
const LOOK_MS = 250
const RETRY_MS = 200

/**
 * The messages of the subjects that match, in order. The client's own consumer waits for the one server that holds it, however
 * long that is away; here another is made where the last message ended.
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
      try {
        for await (const message of messages) {
          watch.hold()
          nextSequence = message.seq + 1
          yield message
          watch.wait()
        }
      } finally {
        watch.end()
      }
      if (!watch.wasSilent) return
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

/** Ends the messages when the server is silent while somebody waits for the next one. */
function watchFor(messages: ConsumerMessages) {
  let heardAtMs = performance.now()
  let isWaiting = true
  let wasSilent = false
  const look = setInterval(() => {
    if (!isWaiting || performance.now() - heardAtMs < SILENT_MS_MAX) return
    wasSilent = true
    messages.stop()
  }, LOOK_MS)
  void (async () => {
    // What is left of a request when its time is up: the server is there, and has nothing.
    for await (const { type } of messages.status()) if (type === 'discard') heardAtMs = performance.now()
  })()
  return {
    hold: () => {
      isWaiting = false
    },
    wait: () => {
      isWaiting = true
      heardAtMs = performance.now()
    },
    end: () => clearInterval(look),
    get wasSilent() {
      return wasSilent
    },
  }
}

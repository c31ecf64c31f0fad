import { type ChannelModel, type ConfirmChannel, type ConsumeMessage, connect, type Options } from 'amqplib'
import type { CommandName, Ingest, Result, SourceMessage, Taken } from '#mesh/ingest/source.ts'
import { IngestStopped } from '#mesh/ingest/source.ts'
import { Acks } from './acks.ts'
import { DEAD_LETTERS_QUEUE, declareTopology, QUEUES, RESULTS_EXCHANGE } from './topology.ts'

export interface SessionOptions {
  readonly url: string
  readonly prefetch: number
  readonly name: string
  readonly ingest: Ingest
}

/** One connection to the broker, from the first message to whatever ends it. */
export interface Session {
  /** Why it ended; undefined when it was closed on purpose. */
  readonly ended: Promise<unknown>
  /** Fulfilled when the broker has all of them. */
  publish(results: readonly Result[]): Promise<void>
  /** Begins to take messages. */
  consume(): Promise<void>
  /** Takes no more messages, and resolves when those under way are done or so much time has passed. */
  drain(msMax: number): Promise<void>
  close(): Promise<void>
}

const HEARTBEAT_S = 5
const CONNECT_MS_MAX = 5_000

export async function openSession({ url, prefetch, name, ingest }: SessionOptions): Promise<Session> {
  const withHeartbeat = new URL(url)
  withHeartbeat.searchParams.set('heartbeat', String(HEARTBEAT_S))
  const connection = await connect(withHeartbeat.href, {
    timeout: CONNECT_MS_MAX,
    noDelay: true,
    clientProperties: { connection_name: name },
  })
  const { promise: ended, resolve: end } = Promise.withResolvers<unknown>()
  let failure: unknown
  let isAlive = true
  connection.on('error', (error) => {
    failure ??= error
  })
  connection.on('close', (error) => {
    isAlive = false
    end(failure ?? error)
  })
  /** Whatever goes wrong ends the connection: what is not acknowledged is delivered again. */
  const fail = (error: unknown): void => {
    failure ??= error
    isAlive = false
    connection.close().catch(() => end(failure))
  }
  try {
    await declareTopology(connection)
    const publisher = await openPublisher(connection, fail)
    const consumer = await openConsumer(
      { connection, prefetch, fail, isAlive: () => isAlive },
      async (message, queue) => {
        const taken = await ingest.take(sourceOf(message, QUEUES[queue]))
        if (taken.is === 'rejected') await publisher.result(taken.result)
        if (taken.is === 'dead') await publisher.dead(message, queue, taken)
      },
    )
    return {
      ended,
      publish: (results) => Promise.all(results.map(publisher.result)).then(() => {}),
      ...consumer,
      close: () => connection.close(),
    }
  } catch (error) {
    fail(error)
    throw error
  }
}

function sourceOf({ content, properties }: ConsumeMessage, command: CommandName): SourceMessage {
  const headers: Record<string, unknown> = properties.headers ?? {}
  const header = (name: string): string | undefined => {
    const value = headers[name]
    return typeof value === 'string' ? value : undefined
  }
  return {
    body: content,
    authorization: header('authorization'),
    onBehalfOf: header('x-member-id'),
    messageId: properties.messageId,
    command,
    trace: { traceparent: header('traceparent'), 'uber-trace-id': header('uber-trace-id') },
  }
}

interface ConsumerOptions {
  readonly connection: ChannelModel
  readonly prefetch: number
  readonly fail: (error: unknown) => void
  readonly isAlive: () => boolean
}

type Queue = keyof typeof QUEUES

async function openConsumer(
  { connection, prefetch, fail, isAlive }: ConsumerOptions,
  /** Fulfilled when the message may be acknowledged. */
  handle: (message: ConsumeMessage, queue: Queue) => Promise<void>,
): Promise<Pick<Session, 'consume' | 'drain'>> {
  const channel = await connection.createChannel()
  channel.on('error', fail)
  await channel.prefetch(prefetch)
  const acks = new Acks((deliveryTag) => {
    // An acknowledgement needs the tag alone.
    if (isAlive()) channel.ack({ fields: { deliveryTag } } as ConsumeMessage, true)
  })
  const underWay = new Set<Promise<void>>()
  const take = (message: ConsumeMessage, queue: Queue): void => {
    const done = handle(message, queue).then(
      () => acks.done(message.fields.deliveryTag),
      (error: unknown) => {
        if (!(error instanceof IngestStopped)) fail(error)
      },
    )
    underWay.add(done)
    void done.then(() => underWay.delete(done))
  }
  const tags: string[] = []
  return {
    consume: async () => {
      for (const queue of Object.keys(QUEUES) as Queue[]) {
        const { consumerTag } = await channel.consume(queue, (message) => {
          if (message !== null) take(message, queue)
          else fail(new Error(`The broker ended the consumer of ${queue}: was the queue removed?`))
        })
        tags.push(consumerTag)
      }
    },
    drain: async (msMax) => {
      if (!isAlive()) return
      await Promise.all(tags.map((tag) => channel.cancel(tag)))
      await Promise.race([Promise.all(underWay), new Promise((resolve) => setTimeout(resolve, msMax).unref())])
      acks.flush()
    },
  }
}

interface Publisher {
  result(result: Result): Promise<void>
  dead(message: ConsumeMessage, queue: string, why: Extract<Taken, { is: 'dead' }>): Promise<void>
}

async function openPublisher(connection: ChannelModel, fail: (error: unknown) => void): Promise<Publisher> {
  const channel = await connection.createConfirmChannel()
  channel.on('error', fail)
  // Only dead letters must have a queue. A message that comes back is confirmed all the same.
  channel.on('return', () => fail(new Error(`There is no queue ${DEAD_LETTERS_QUEUE} any more.`)))
  return {
    result: ({ id, memberId, outcome, requestId, body }) =>
      confirmed(channel, RESULTS_EXCHANGE, `${memberId}.${outcome}`, Buffer.from(body), {
        persistent: true,
        contentType: 'application/json',
        messageId: id,
        type: outcome,
        ...(requestId === undefined ? {} : { correlationId: requestId }),
      }),
    dead: (message, queue, why) => {
      const { properties, content } = message
      // The token is nobody's business, and a reason is ours alone to give.
      const { authorization: _, 'x-field': __, ...headers } = properties.headers ?? {}
      const reason = {
        'x-code': why.code,
        ...(why.field === undefined ? {} : { 'x-field': why.field }),
        'x-queue': queue,
        'x-dead-at': new Date().toISOString(),
      }
      const kept = (with_: object): Promise<void> =>
        confirmed(channel, '', DEAD_LETTERS_QUEUE, content, {
          persistent: true,
          mandatory: true,
          headers: { ...with_, ...reason },
          ...(properties.messageId === undefined ? {} : { messageId: properties.messageId }),
          ...(properties.contentType === undefined ? {} : { contentType: properties.contentType }),
        })
      return kept(headers).catch((error: unknown) => {
        // More headers than the client can write.
        if (error instanceof RangeError) return kept({})
        throw error
      })
    },
  }
}

function confirmed(
  channel: ConfirmChannel,
  exchange: string,
  routingKey: string,
  content: Buffer,
  options: Options.Publish,
): Promise<void> {
  return new Promise((resolve, reject) => {
    channel.publish(exchange, routingKey, content, options, (error) => {
      if (error === null || error === undefined) resolve()
      else reject(error instanceof Error ? error : new Error('The broker refused a message.'))
    })
  })
}

import type { ChannelModel } from 'amqplib'
import type { CommandName } from '#mesh/ingest/source.ts'

/** What each queue's messages ask for. */
export const QUEUES = {
  'orders.new': 'place',
  'orders.cancel': 'cancel',
  'orders.amend': 'amend',
} as const satisfies Record<string, CommandName>

/** Results, by routing key `<member id>.<outcome>`. */
export const RESULTS_EXCHANGE = 'orders.events'

/** Messages that are no command, with the reason in their headers. */
export const DEAD_LETTERS_QUEUE = 'orders.dead'

/**
 * Makes what is missing, durable. What is there stays as the operator has made it: a quorum queue, a bound on its length.
 * (A passive declaration that fails closes its channel, so each has its own.)
 */
export async function declareTopology(connection: ChannelModel): Promise<void> {
  const ensure = async (exists: Declaration, make: Declaration): Promise<void> => {
    if (await isThere(connection, exists)) return
    await onOwnChannel(connection, make)
  }
  await ensure(
    (channel) => channel.checkExchange(RESULTS_EXCHANGE),
    (channel) => channel.assertExchange(RESULTS_EXCHANGE, 'topic', { durable: true }),
  )
  for (const queue of [...Object.keys(QUEUES), DEAD_LETTERS_QUEUE]) {
    await ensure(
      (channel) => channel.checkQueue(queue),
      (channel) => channel.assertQueue(queue, { durable: true }),
    )
  }
}

type Channel = Awaited<ReturnType<ChannelModel['createChannel']>>
type Declaration = (channel: Channel) => Promise<unknown>

const NOT_FOUND = 404

async function isThere(connection: ChannelModel, exists: Declaration): Promise<boolean> {
  try {
    await onOwnChannel(connection, exists)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === NOT_FOUND) return false
    throw error
  }
}

async function onOwnChannel(connection: ChannelModel, declare: Declaration): Promise<void> {
  const channel = await connection.createChannel()
  // The declaration's own promise says the same.
  channel.on('error', () => {})
  await declare(channel)
  await channel.close()
}

import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import type { ConfirmChannel } from 'amqplib'
import { bindResults, RabbitmqLink } from '../../test/support/rabbitmq-link.ts'
import type { Answers } from '../broker/answers.ts'
import { type Sender, serveTasks } from '../broker/generator.ts'
import { createWorkload } from '../http/workload.ts'

const QUEUE = 'bench.results'
/** Results are acknowledged together, so many at once, and what is left a little later. */
const ACK_COUNT = 200
const ACK_MS = 50
const SEND_AT_ONCE = 100

serveTasks(async (task, answers): Promise<Sender> => {
  const link = await RabbitmqLink.open(task.url, (channel) => listen(channel, answers))
  const next = createWorkload(task.name, task.tokens.length, task.seed)
  const headers = task.tokens.map((token) => ({ authorization: `Bearer ${token}` }))
  const ordersMax = task.orders ?? Number.POSITIVE_INFINITY
  let sent = 0
  let ended = false

  const sendOne = (): void => {
    const { member, body } = next(sent++)
    const content = Buffer.from(`{"version":1,"sentAt":"${new Date().toISOString()}",${body.slice(1)}`)
    void link.send('orders.new', content, { persistent: true, headers: headers[member] })
  }
  const sendAll = async (): Promise<void> => {
    while (!ended && sent < ordersMax) {
      const count = Math.min(SEND_AT_ONCE, ordersMax - sent, task.openMax - (sent - answers.count))
      for (let left = count; left > 0; left--) sendOne()
      await (count > 0 ? turn() : sleep(2))
    }
  }
  return {
    get sent() {
      return sent
    },
    sending: sendAll(),
    end: () => {
      ended = true
    },
    [Symbol.asyncDispose]: () => link[Symbol.asyncDispose](),
  }
})

async function listen(channel: ConfirmChannel, answers: Answers): Promise<void> {
  await bindResults(channel, QUEUE, ['#'])
  let last: Parameters<Parameters<ConfirmChannel['consume']>[1]>[0] = null
  let waiting = 0
  const ack = (): void => {
    if (last === null || !isOpen) return
    channel.ack(last, true)
    last = null
    waiting = 0
  }
  let isOpen = true
  const timer = setInterval(ack, ACK_MS)
  channel.on('close', () => {
    isOpen = false
    clearInterval(timer)
  })
  await channel.consume(QUEUE, (message) => {
    if (message === null) return
    answers.take(message.content.toString())
    last = message
    if (++waiting === ACK_COUNT) ack()
  })
}

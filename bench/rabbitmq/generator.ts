import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import type { ConfirmChannel } from 'amqplib'
import { bindResults, RabbitmqLink } from '../../test/support/rabbitmq-link.ts'
import { Answers } from '../broker/answers.ts'
import { report, type Task } from '../broker/task.ts'
import { createWorkload } from '../http/workload.ts'

const QUEUE = 'bench.results'
/** Results are acknowledged together, so many at once, and what is left a little later. */
const ACK_COUNT = 200
const ACK_MS = 50
const SEND_AT_ONCE = 100

process.on('message', (task: Task) => {
  run(task).catch((error: unknown) => report({ kind: 'failed', message: String(error) }))
})

async function run(task: Task): Promise<void> {
  const answers = new Answers(task.name)
  await using link = await RabbitmqLink.open(task.url, (channel) => listen(channel, answers))
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
  const sending = (async () => {
    while (!ended && sent < ordersMax) {
      const count = Math.min(SEND_AT_ONCE, ordersMax - sent, task.openMax - (sent - answers.count))
      for (let left = count; left > 0; left--) sendOne()
      await (count > 0 ? turn() : sleep(2))
    }
  })()
  await sleep(task.warmupMs)
  const before = answers.count
  const beganAtMs = performance.now()
  report({ kind: 'counting' })
  if (task.orders === undefined) await sleep(task.countedMs)
  else await Promise.all([sending, answers.until(task.orders, () => report({ kind: 'tenth' }))])
  const countedMs = performance.now() - beganAtMs
  const answered = answers.count - before
  report({ kind: 'counted' })
  ended = true
  await sending
  await answers.until(sent)
  // What was told twice would have come by now.
  await sleep(1_000)
  report({ kind: 'done', result: { answered, countedMs, sent, ...answers.all(sent) } })
}

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

import { setTimeout as sleep } from 'node:timers/promises'
import { followTopics, kafkaClient } from '../../test/support/kafka.ts'
import { type Sender, serveTasks } from '../broker/generator.ts'
import { createWorkload } from '../http/workload.ts'

const COMMANDS = 'orders.commands'
const RESULTS = 'orders.results'
const BATCH = 400
const SENDS_AT_ONCE = 4
const AGAIN_MS = 100

serveTasks(async (task, answers): Promise<Sender> => {
  const kafka = kafkaClient(task.url)
  const stopReading = await followTopics(kafka, [RESULTS], (messages) => {
    for (const { message } of messages) answers.take(String(message.value))
  })
  const producer = kafka.producer({ allowAutoTopicCreation: false })
  await producer.connect()
  const next = createWorkload(task.name, task.tokens.length, task.seed)
  const headers = task.tokens.map((token) => ({ authorization: `Bearer ${token}` }))
  const ordersMax = task.orders ?? Number.POSITIVE_INFINITY
  let sent = 0
  let ended = false

  const messageOf = (n: number) => {
    const { member, body } = next(n)
    const value = `{"version":1,"command":"place","sentAt":"${new Date().toISOString()}",${body.slice(1)}`
    return { key: `member-${member}`, value, headers: headers[member] ?? {} }
  }
  const sendOn = async (): Promise<void> => {
    while (!ended && sent < ordersMax) {
      if (sent - answers.count >= task.openMax) {
        await sleep(2)
        continue
      }
      const count = Math.min(BATCH, ordersMax - sent)
      const first = sent
      sent += count
      const messages = Array.from({ length: count }, (_, index) => messageOf(first + index))
      // Whether it was stored is not known after a failure: the repeat changes nothing.
      while (
        !(await producer.send({ topic: COMMANDS, messages }).then(
          () => true,
          () => false,
        ))
      )
        await sleep(AGAIN_MS)
    }
  }
  return {
    get sent() {
      return sent
    },
    sending: Promise.all(Array.from({ length: SENDS_AT_ONCE }, sendOn)),
    end: () => {
      ended = true
    },
    [Symbol.asyncDispose]: async () => {
      await stopReading()
      await producer.disconnect()
    },
  }
})

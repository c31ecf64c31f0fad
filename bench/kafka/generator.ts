import { setTimeout as sleep } from 'node:timers/promises'
import { followTopics, kafkaClient, type Read } from '../../test/support/kafka.ts'
import { createWorkload } from '../http/workload.ts'

/** Sends orders, and reads what became of them, in a process of its own. Parent and child speak in these. */
export interface Task {
  readonly kafkaUrl: string
  /** Unique: order n has the clientOrderId `<name>-<n>`. */
  readonly name: string
  readonly tokens: readonly string[]
  readonly seed: number
  /** Orders without a result, at most. */
  readonly openMax: number
  /** So many orders; or as many as go in the time. */
  readonly orders?: number
  readonly warmupMs: number
  readonly countedMs: number
}

export interface Result {
  /** While it was counted. */
  readonly answered: number
  readonly countedMs: number
  readonly sent: number
  /** By order: the id that its result told, 0 where there was none or it was refused. */
  readonly orderIds: Float64Array
  /** Orders with more than one result of their own, or none. */
  readonly wrong: number
  /** Results that say that a message came twice. */
  readonly repeated: number
  readonly refused: Readonly<Record<string, number>>
}

export type Report =
  | { readonly kind: 'counting' | 'counted' }
  /** Of a fixed number of orders another tenth is answered. */
  | { readonly kind: 'tenth' }
  | { readonly kind: 'done'; readonly result: Result }
  | { readonly kind: 'failed'; readonly message: string }

const COMMANDS = 'orders.commands'
const RESULTS = 'orders.results'
const BATCH = 400
const SENDS_AT_ONCE = 4
const AGAIN_MS = 100
/** A wait is over when nothing more was answered for so long. */
const SILENCE_MS_MAX = 120_000

process.on('message', (task: Task) => {
  run(task).catch((error: unknown) => report({ kind: 'failed', message: String(error) }))
})

async function run(task: Task): Promise<void> {
  const kafka = kafkaClient(task.kafkaUrl)
  const answers = new Answers(task.name)
  const stopReading = await followTopics(kafka, [RESULTS], (messages) => answers.take(messages))
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
  const sending = Promise.all(Array.from({ length: SENDS_AT_ONCE }, sendOn))
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
  await stopReading()
  await producer.disconnect()
  report({ kind: 'done', result: { answered, countedMs, sent, ...answers.all(sent) } })
}

class Answers {
  /** Orders with a result of their own. */
  count = 0
  readonly #start: string
  readonly #results: number[] = []
  readonly #orderIds: number[] = []
  readonly #refused: Record<string, number> = {}
  #repeated = 0

  constructor(name: string) {
    this.#start = `"requestId":"${name}-`
  }

  take(messages: readonly Read[]): void {
    for (const { message } of messages) {
      const text = String(message.value)
      // Each of the first members has a form that never varies; parsing a thousand bytes for them would cost more than all else.
      const at = text.indexOf(this.#start)
      if (at < 0 || !text.includes('"cause":"placed"')) continue
      const n = Number.parseInt(text.slice(at + this.#start.length, at + this.#start.length + 12), 10)
      if (text.includes('"outcome":"repeated"')) this.#repeated++
      else this.#add(n, text)
    }
  }

  #add(n: number, text: string): void {
    const before = this.#results[n] ?? 0
    this.#results[n] = before + 1
    if (before === 0) this.count++
    const code = /"code":"([a-z_]+)"/.exec(text)?.[1]
    if (code !== undefined) this.#refused[code] = (this.#refused[code] ?? 0) + 1
    else this.#orderIds[n] = Number(/"orderId":"([0-9]+)"/.exec(text)?.[1] ?? 0)
  }

  async until(count: number, onTenth = () => {}): Promise<void> {
    let tenths = 0
    let before = -1
    let changedAtMs = 0
    while (this.count < count) {
      if (this.count !== before) changedAtMs = performance.now()
      before = this.count
      for (; this.count >= (count * (tenths + 1)) / 10; tenths++) onTenth()
      if (performance.now() - changedAtMs > SILENCE_MS_MAX) {
        throw new Error(`${this.count} of ${count} orders were answered.`)
      }
      await sleep(10)
    }
  }

  all(sent: number) {
    const orderIds = Float64Array.from({ length: sent }, (_, n) => this.#orderIds[n] ?? 0)
    let wrong = 0
    for (let n = 0; n < sent; n++) if (this.#results[n] !== 1) wrong++
    return { orderIds, wrong, repeated: this.#repeated, refused: this.#refused }
  }
}

function report(message: Report): void {
  process.send?.(message)
}

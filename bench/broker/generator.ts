import { setTimeout as sleep } from 'node:timers/promises'
import { Answers } from './answers.ts'
import { report, type Task } from './task.ts'

/** What sends a generator's orders through its broker. */
export interface Sender extends AsyncDisposable {
  readonly sent: number
  /** Fulfilled when all are sent, or after `end`. */
  readonly sending: Promise<unknown>
  end(): void
}

/** Runs each task that the parent sends: `open` begins to send, and hands every result that comes to the answers. */
export function serveTasks(open: (task: Task, answers: Answers) => Promise<Sender>): void {
  process.on('message', (task: Task) => {
    run(task, open).catch((error: unknown) => report({ kind: 'failed', message: String(error) }))
  })
}

async function run(task: Task, open: (task: Task, answers: Answers) => Promise<Sender>): Promise<void> {
  const answers = new Answers(task.name)
  await using sender = await open(task, answers)
  await sleep(task.warmupMs)
  const before = answers.count
  const beganAtMs = performance.now()
  report({ kind: 'counting' })
  if (task.orders === undefined) await sleep(task.countedMs)
  else await Promise.all([sender.sending, answers.until(task.orders, () => report({ kind: 'tenth' }))])
  const countedMs = performance.now() - beganAtMs
  const answered = answers.count - before
  report({ kind: 'counted' })
  sender.end()
  await sender.sending
  const { sent } = sender
  await answers.until(sent)
  // What was told twice would have come by now.
  await sleep(1_000)
  report({ kind: 'done', result: { answered, countedMs, sent, ...answers.all(sent) } })
}

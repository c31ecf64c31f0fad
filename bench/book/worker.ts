/** A thread of its own for what must not teach the measured thread's compiler anything: generating, the twin, the cold start, memory. */
import assert from 'node:assert/strict'
import { parentPort, workerData } from 'node:worker_threads'
import { createBook } from '#services/engine/book/book.ts'
import { ChecksumSink, drive, type Messages } from '#services/engine/book/testing/messages.ts'
import { generateDeep, generateMix, MIXES } from '#services/engine/book/testing/mixes.ts'
import { NaiveBook } from '#services/engine/book/testing/naive-book.ts'
import { measure } from './measure.ts'
import { type Memory, measureMemory } from './memory.ts'

export type Task =
  | { readonly task: 'generate'; readonly mix: string; readonly messagesCount: number; readonly twinMax: number }
  | { readonly task: 'cold'; readonly messages: Messages; readonly fillCount: number }
  | { readonly task: 'memory'; readonly ordersCount: number }

export interface Generated {
  readonly messages: Messages
  readonly fillCount: number
  /** How many messages the twin played, and its checksum after them. */
  readonly twinCount: number
  readonly twinChecksum: string
}
/** Messages per second, for each million in turn, of a thread that has run nothing before. */
export type ColdRates = readonly number[]

const SEED = 20_240_901
export const DEEP_RESTING = 1_000_000

if (parentPort !== null) parentPort.postMessage(run(workerData as Task))

function run(task: Task): Generated | ColdRates | Memory {
  if (task.task === 'generate') return generate(task)
  return task.task === 'cold' ? cold(task) : measureMemory(task.ordersCount)
}

function generate({ mix: name, messagesCount, twinMax }: Extract<Task, { task: 'generate' }>): Generated {
  const mix = MIXES.find((each) => each.name === name)
  assert(mix !== undefined || name === 'million')
  const { messages, fillCount } =
    mix === undefined ? generateDeep(DEEP_RESTING, messagesCount, SEED) : generateMix(mix, messagesCount, SEED)
  const twinCount = Math.min(messages.count, fillCount + twinMax)
  const sink = new ChecksumSink()
  if (twinMax > 0) drive(new NaiveBook(sink), messages, 0, twinCount)
  return { messages, fillCount, twinCount: twinMax > 0 ? twinCount : 0, twinChecksum: sink.checksum }
}

function cold({ messages, fillCount }: Extract<Task, { task: 'cold' }>): ColdRates {
  const rates: number[] = []
  const step = Math.min(1_000_000, Math.floor((messages.count - fillCount) / 2))
  // The first step includes the orders that fill the book: they are the first messages of all.
  for (let pass = 0; pass < 3; pass++) {
    const book = createBook({ sink: new ChecksumSink() })
    for (let from = 0; from + step <= messages.count; from += step) {
      rates.push(measure(step, () => drive(book, messages, from, from + step)).messagesPerSecond)
    }
  }
  return rates
}

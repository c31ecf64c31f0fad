/**
 * The order book alone, on one thread: live-like mixes, beside npm's nodejs-order-book in the same run.
 *
 *     npm run bench:book [-- [--quick] [--mix NAME]]
 *
 * A round of a mix plays its messages on a new book (filling it is not timed), then the calm mix's on a new peer; the ratio
 * is the median of the rounds' ratios. Rates are by the thread's processor time; those by the clock stand beside them.
 */
import assert from 'node:assert/strict'
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { createBook } from '#services/engine/book/book.ts'
import { ChecksumSink, drive } from '#services/engine/book/testing/messages.ts'
import { MIXES } from '#services/engine/book/testing/mixes.ts'
import { type Latency, measureGrowth, measureLatency } from './latency.ts'
import { measure, median } from './measure.ts'
import type { Memory } from './memory.ts'
import { Peer } from './peer.ts'
import type { ColdRates, Generated, Task } from './worker.ts'

const isQuick = process.argv.includes('--quick')
const onlyMix = process.argv.includes('--mix') ? process.argv[process.argv.indexOf('--mix') + 1] : undefined
const names = [...MIXES.map(({ name }) => name), 'million'].filter((name) => name === (onlyMix ?? name))
const settings = {
  messagesPerMix: isQuick ? 200_000 : 2_000_000,
  rounds: isQuick ? 3 : 5,
  /** In each round; the peer also plays each mix once, up to its limit. */
  peerCalmMessages: isQuick ? 50_000 : 200_000,
  peerLimitMs: isQuick ? 2_000 : 10_000,
  /** The twin plays at most so many messages of a mix after those that fill the book. */
  twinMessagesMax: isQuick ? 50_000 : 2_000_000,
  twinMessagesMaxCrowded: isQuick ? 5_000 : 200_000,
  node: process.version,
  timedBy: 'processor time of the thread',
}

interface MixResult {
  readonly messagesPerSecond: number
  readonly messagesPerSecondByClock: number
  readonly ratioToPeerCalm: number
  readonly peerMessagesPerSecond: number
  readonly checksum: string
  /** After the messages that the twin played as well. */
  readonly twinMessages: number
  readonly events: number
}

const results: Record<string, MixResult> = {}
const peerCalmRates: number[] = []
const calm = await generate('calm', 0)
warmPeer()
console.log('mix              M msg/s  by clock  × peer calm  peer M msg/s   events  checksum  twin (messages)')
for (const name of names) report(name, await runMix(name))
const livelike = names.filter((name) => name !== 'million').map((name) => results[name]?.ratioToPeerCalm ?? 0)
const cold = (await inWorker({ task: 'cold', messages: calm.messages, fillCount: calm.fillCount })) as ColdRates
const coldToSteady = (cold[0] ?? 0) / median(cold.slice(1))
console.log(`\nPeer, calm: ${millions(median(peerCalmRates))} M msg/s (median of ${peerCalmRates.length})`)
console.log(`Worst ratio ${Math.min(...livelike).toFixed(1)}, median ${median(livelike).toFixed(1)}`)
console.log(
  `Cold thread, ${cold.length} steps: ${cold.map(millions).join(', ')} M msg/s; first ÷ steady ${coldToSteady.toFixed(2)}`,
)
const latency = measureLatency(calm.messages, calm.fillCount)
console.log('\nns per message, calm    p50      p99    p99.9   p99.99       max')
printLatency('book', latency.book)
printLatency('clock alone', latency.idle)
const { grown, tenFillsOrMore, rest } = latency.tail
console.log(
  `Slowest 0.01 %: ${percent(grown)} grew the book, ${percent(tenFillsOrMore)} had 10 fills or more, ${percent(rest)} neither`,
)
const growth = measureGrowth(isQuick ? 100_000 : 1_000_000)
console.log(`Slowest of the orders that fill a book: ${growth.maxMs.toFixed(1)} ms, growing to ${growth.slots} slots`)
const memory = (await inWorker({ task: 'memory', ordersCount: isQuick ? 100_000 : 1_000_000 })) as Memory
console.log(
  `Memory of ${isQuick ? '100 000' : 'a million'} orders: ${memory.denseMb.toFixed(0)} MB on 20 000 prices, ${memory.sparseMb.toFixed(0)} MB on as many prices; an empty book ${memory.emptyBookKb.toFixed(1)} KB`,
)
const result = {
  mixes: results,
  ratioToPeer: Object.fromEntries(Object.entries(results).map(([name, each]) => [name, each.ratioToPeerCalm])),
  ratioToPeerWorst: Math.min(...livelike),
  ratioToPeerMedian: median(livelike),
  peerCalmMessagesPerSecond: median(peerCalmRates),
  coldToSteady,
  latency,
  growth,
  memory,
}
console.log(
  JSON.stringify({ bench: 'book', cores: availableParallelism(), settings, result }, (_key, value) =>
    typeof value === 'number' ? Number(value.toPrecision(4)) : value,
  ),
)

async function runMix(name: string): Promise<MixResult> {
  const { twinMessagesMax, twinMessagesMaxCrowded, rounds, peerLimitMs, messagesPerMix } = settings
  const isLarge = name === 'crowded' || name === 'wide'
  const twinMax = name === 'million' ? 0 : isLarge ? twinMessagesMaxCrowded : twinMessagesMax
  const { messages, fillCount, twinCount, twinChecksum } = await generate(name, twinMax)
  const rates: number[] = []
  const clockRates: number[] = []
  const ratios: number[] = []
  let [checksum, events] = ['', 0]
  for (let round = 0; round < rounds; round++) {
    const sink = new ChecksumSink()
    const book = createBook({ sink })
    drive(book, messages, 0, fillCount)
    const measured = measure(messages.count - fillCount, () => drive(book, messages, fillCount, messages.count))
    checksum = sink.checksum
    events = sink.events
    rates.push(measured.messagesPerSecond)
    clockRates.push(measured.messagesPerSecondByClock)
    const peer = new Peer(calm.messages, calm.fillCount, settings.peerCalmMessages).run(60_000)
    assert(peer !== undefined)
    peerCalmRates.push(peer.messagesPerSecond)
    ratios.push(measured.messagesPerSecond / peer.messagesPerSecond)
  }
  if (twinCount > 0) assert.equal(checksumAfter({ messages, fillCount, twinCount, twinChecksum }), twinChecksum, name)
  const peer = new Peer(messages, fillCount, messagesPerMix).run(name === 'million' ? 0 : peerLimitMs)
  return {
    messagesPerSecond: median(rates),
    messagesPerSecondByClock: median(clockRates),
    ratioToPeerCalm: median(ratios),
    peerMessagesPerSecond: peer?.messagesPerSecond ?? 0,
    checksum,
    twinMessages: twinCount,
    events,
  }
}

function checksumAfter({ messages, twinCount }: Generated): string {
  const sink = new ChecksumSink()
  drive(createBook({ sink }), messages, 0, twinCount)
  return sink.checksum
}

function report(name: string, mix: MixResult): void {
  results[name] = mix
  const peer = mix.peerMessagesPerSecond === 0 ? 'too slow' : millions(mix.peerMessagesPerSecond)
  console.log(
    [
      name.padEnd(14),
      millions(mix.messagesPerSecond).padStart(9),
      millions(mix.messagesPerSecondByClock).padStart(9),
      mix.ratioToPeerCalm.toFixed(1).padStart(12),
      peer.padStart(13),
      String(mix.events).padStart(8),
      mix.checksum.padStart(9),
      mix.twinMessages === 0 ? '  not played' : `  equal (${mix.twinMessages})`,
    ].join(' '),
  )
}

function warmPeer(): void {
  new Peer(calm.messages, calm.fillCount, settings.peerCalmMessages).run(60_000)
}

async function generate(mix: string, twinMax: number): Promise<Generated> {
  const generated = await inWorker({ task: 'generate', mix, messagesCount: settings.messagesPerMix, twinMax })
  return generated as Generated
}

function inWorker(task: Task): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('worker.ts', import.meta.url), { workerData: task })
    worker.once('message', resolve)
    worker.once('error', reject)
  })
}

function printLatency(name: string, { p50Ns, p99Ns, p999Ns, p9999Ns, maxNs }: Latency): void {
  console.log(name.padEnd(20) + [p50Ns, p99Ns, p999Ns, p9999Ns, maxNs].map((ns) => String(ns).padStart(9)).join(''))
}

function millions(perSecond: number): string {
  return (perSecond / 1e6).toFixed(2)
}

function percent(share: number): string {
  return `${(100 * share).toFixed(0)} %`
}

/**
 * What one order costs in the engine's rules: matching, fees, holds, outcomes and events as objects, without JSON.
 *
 *     node bench/engine-rules.ts [--quick]
 *
 * Cases: a live-like mix (half of the orders cross, some cancels and amendments) over a few markets; the same with 100 000
 * and 1 million orders at rest; the same over 10 000 markets. The cost must not grow with them, the caches' share aside.
 * It is the main thread's CPU time, so that other programs on the machine disturb it less.
 */
import { availableParallelism } from 'node:os'
import type { Context } from '#mesh/machine/rules.ts'
import type { MarketEvent, MarketItem } from '#mesh/protocol/engine.ts'
import { engineRules } from '#services/engine/domain/rules.ts'
import type { EngineState } from '#services/engine/domain/state.ts'

interface Case {
  readonly name: string
  readonly markets: number
  /** Orders far from the touch, in all markets together, that are there from the start. */
  readonly resting: number
}

const CASES: readonly Case[] = [
  { name: 'markets3', markets: 3, resting: 0 },
  { name: 'markets3Resting100k', markets: 3, resting: 100_000 },
  { name: 'markets3Resting1M', markets: 3, resting: 1_000_000 },
  { name: 'markets10k', markets: 10_000, resting: 0 },
  { name: 'markets10kResting1M', markets: 10_000, resting: 1_000_000 },
]

const quick = process.argv.includes('--quick')
const COMMANDS = quick ? 50_000 : 400_000
const ROUNDS = quick ? 1 : 5

const rows: Record<string, { microsecondsPerCommand: number; fillsPerCommand: number; outcomesPerCommand: number }> = {}
const perCase: Record<string, { usPerCommand: number }> = {}
for (const each of CASES) {
  const runs = Array.from({ length: ROUNDS }, (_, round) => measure(each, round + 1)).sort((a, b) => a.us - b.us)
  const median = runs[Math.floor(ROUNDS / 2)]
  if (median === undefined) throw new Error('There is at least one round.')
  rows[each.name] = {
    microsecondsPerCommand: median.us,
    fillsPerCommand: median.fills,
    outcomesPerCommand: median.outcomes,
  }
  perCase[each.name] = { usPerCommand: median.us }
}
console.table(rows)
console.log(
  JSON.stringify({
    bench: 'engine-rules',
    cores: availableParallelism(),
    settings: { commands: COMMANDS, rounds: ROUNDS, node: process.version },
    result: perCase,
  }),
)

function measure({ markets, resting }: Case, seed: number): { us: number; fills: number; outcomes: number } {
  const random = xorshift(seed)
  const state = engineRules.initialState(0)
  const counters = { fills: 0, outcomes: 0, sink: 0 }
  const context = countingContext(counters)
  const definitions = countingContext(counters, 'definitions-0')
  for (let index = 0; index < markets; index++) openMarket(state, index, definitions)
  const far = workload(random, markets)
  for (let index = 0; index < resting; index++) engineRules.apply(state, far.farAway(), context)
  // Warms the code and brings each book to its usual depth.
  const mix = workload(random, markets, resting + 10)
  for (let index = 0; index < COMMANDS / 4; index++) engineRules.apply(state, mix.next(), context)
  const items = Array.from({ length: COMMANDS }, () => mix.next())
  counters.fills = 0
  counters.outcomes = 0
  const before = process.threadCpuUsage()
  for (const item of items) engineRules.apply(state, item, context)
  const { user, system } = process.threadCpuUsage(before)
  const us = (user + system) / COMMANDS
  const rounded = (value: number): number => Math.round(value * 100) / 100
  return {
    us: rounded(us),
    fills: rounded(counters.fills / COMMANDS),
    outcomes: rounded(counters.outcomes / COMMANDS),
  }
}

/** Takes everything and keeps nothing, as the runtime does once it has written it. */
function countingContext(
  counters: { fills: number; outcomes: number; sink: number },
  source = 'accounts-1',
): Context<MarketEvent> {
  let tickets = 0
  return {
    slot: 0,
    timeUs: 1_700_000_000_000_000,
    source,
    emit: (event) => {
      if (event.type === 'Traded') counters.fills++
    },
    send: () => {
      counters.outcomes++
      return tickets++
    },
    reply: (_replyTo, reply) => {
      counters.sink += reply.commandId & 1
    },
  }
}

function instrumentOf(index: number): string {
  return `AAA${index}-USDT`
}

function openMarket(state: EngineState, index: number, context: Context<MarketEvent>): void {
  const item: MarketItem = {
    type: 'OpenMarket',
    commandId: 1,
    replyTo: '',
    market: {
      instrument: instrumentOf(index),
      base: `AAA${index}`,
      quote: 'USDT',
      tick: '0.01',
      lot: '0.00001',
      baseMinorPerLot: '1000',
      quoteMinorPerTickLot: '10',
      amountLotsMin: 1,
      makerFeePpm: 1_000,
      takerFeePpm: 2_000,
      slippagePpm: 50_000,
      marketSlot: 0,
      status: 'trading',
    },
  }
  engineRules.apply(state, item, context)
}

/** 80 % new orders, of which about half cross what rests; 15 % cancels and 5 % amendments of recent orders. */
function workload(random: () => number, markets: number, firstId = 10) {
  let id = firstId
  const recent: { readonly orderId: number; readonly instrument: string; readonly side: 'buy' | 'sell' }[] = []
  const enter = (side: 'buy' | 'sell', instrument: string, priceTicks: number, amountLots: number): MarketItem => {
    const orderId = ++id
    const holdMinor = side === 'buy' ? priceTicks * amountLots * 10 : amountLots * 1000
    return {
      type: 'EnterOrder',
      commandId: orderId,
      replyTo: 'gateway-1',
      orderId,
      memberId: 1 + Math.floor(random() * 1_000),
      instrument,
      clientOrderId: `load-${orderId}`,
      side,
      orderType: 'limit',
      priceTicks,
      amountLots,
      holdMinor: String(holdMinor),
      makerFeePpm: 1_000,
      takerFeePpm: 2_000,
      createdAtUs: 1_700_000_000_000_000,
    }
  }
  const anyMarket = (): string => instrumentOf(Math.floor(random() * markets))
  const anySide = (): 'buy' | 'sell' => (random() < 0.5 ? 'buy' : 'sell')
  return {
    farAway: (): MarketItem => {
      const side = anySide()
      const away = 10_000 + Math.floor(random() * 1_000_000)
      return enter(side, anyMarket(), side === 'buy' ? 5_000_000 - away : 5_000_000 + away, 1_000)
    },
    next: (): MarketItem => {
      const draw = random()
      const target = draw < 0.2 ? recent[Math.floor(random() * recent.length)] : undefined
      if (target !== undefined) {
        const common = { commandId: ++id, replyTo: 'gateway-1', memberId: 7, ...target }
        if (draw < 0.15) return { type: 'CancelEntered', ...common }
        const priceTicks = 5_000_000 + (target.side === 'buy' ? -1 : 1) * Math.floor(random() * 100)
        return { type: 'AmendEntered', ...common, priceTicks, addedHoldMinor: '100000000' }
      }
      const side = anySide()
      const instrument = anyMarket()
      const offset = Math.floor(random() * 100) - 50
      const item = { ...enter(side, instrument, 5_000_000 + offset, 1 + Math.floor(random() * 1_000)), memberId: 7 }
      recent[id % 2_000] = { orderId: id, instrument, side }
      return item
    },
  }
}

/** The same numbers in every run. */
function xorshift(seed: number): () => number {
  let state = seed * 2_654_435_761 + 1
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) / 4_294_967_296
  }
}

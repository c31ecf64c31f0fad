import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { Book } from '../http/book.ts'
import { Exchange, Load, SLOTS } from '../http/target.ts'
import { untilCaughtUp } from '../http/verify.ts'
import { cpuUs } from '../support/cpu.ts'
import { round, table } from '../support/statistics.ts'
import type { Report, Result, Task } from './task.ts'

const CONNECTIONS = 128

interface Times {
  readonly warmupMs: number
  readonly countedMs: number
}

/** Orders through a broker against orders over HTTP, on one mesh: what the benches of all brokers share. */
export class BrokerBench implements AsyncDisposable {
  readonly exchange: Exchange
  readonly result: Record<string, number> = {}
  readonly #rows: string[][] = [['case', 'per second', 'to HTTP']]
  readonly #faults: string[] = []
  readonly #http: number[] = []
  readonly #book: Book

  private constructor(exchange: Exchange) {
    this.exchange = exchange
    this.#book = new Book(exchange, this.#faults)
  }

  static async start(): Promise<BrokerBench> {
    return new BrokerBench(await Exchange.start('2m'))
  }

  /** Orders per second over one gateway: before the broker's and after them, as the machine may have become another meanwhile. */
  async measureHttp({ warmupMs, countedMs }: Times): Promise<void> {
    const { exchange } = this
    const isFirst = this.#http.length === 0
    await using load = new Load()
    const times = { warmupMs, countedMs, seed: isFirst ? 1 : 3 }
    const name = isFirst ? 'http' : 'later'
    const task = { ...times, name, addresses: exchange.addresses(1), tokens: exchange.tokens }
    const measured = await load.run({ ...task, connections: CONNECTIONS }, {})
    this.#book.add(task.name, measured)
    await untilCaughtUp(exchange)
    const perSecond = (measured.answered * 1000) / measured.countedMs
    this.#http.push(perSecond)
    this.row(`HTTP, one gateway, ${isFirst ? 'before' : 'after'}`, perSecond)
  }

  /** The broker's orders per second against the mean of what went over HTTP. */
  compare(name: string, perSecond: number): void {
    const http = this.#http.reduce((sum, one) => sum + one, 0) / this.#http.length
    this.row(name, perSecond, perSecond / http)
    this.result.httpOrdersPerSecond = round(http)
    this.result.ordersPerSecond = round(perSecond)
    this.result.ratioToHttp = round(perSecond / http, 3)
  }

  row(name: string, perSecond: number, ratio?: number): void {
    this.#rows.push([name, String(round(perSecond)), ratio === undefined ? '' : ratio.toFixed(2)])
  }

  fault(text: string): void {
    this.#faults.push(text)
  }

  /** Runs a generator, and prints the CPU time that each process took for an order while it counted them. */
  async generate(
    script: string,
    task: Task,
    pids: Readonly<Record<string, number>>,
    onTenth = () => {},
  ): Promise<Result> {
    const child: ChildProcess = fork(script, { serialization: 'advanced' })
    const all = { ...pids, generator: child.pid ?? 0 }
    const read = (): [string, number][] => Object.entries(all).map(([name, pid]) => [name, cpuUs(pid)])
    let before = new Map<string, number>()
    let used: [string, number][] = []
    try {
      child.send(task)
      for (;;) {
        const [message] = (await once(child, 'message')) as [Report]
        if (message.kind === 'tenth') onTenth()
        if (message.kind === 'counting') before = new Map(read())
        if (message.kind === 'counted') used = read().map(([name, us]) => [name, us - (before.get(name) ?? 0)])
        if (message.kind === 'failed') throw new Error(`The load generator failed: ${message.message}`)
        if (message.kind !== 'done') continue
        if (task.orders === undefined) {
          console.log(`CPU, microseconds per order:\n${cpuTable(used, message.result.answered)}\n`)
        }
        this.#keep(task.name, message.result)
        return message.result
      }
    } finally {
      child.kill()
    }
  }

  /** Runs a generator for a fixed number of orders, and ends and starts one after the other, each time a tenth has passed. */
  async generateUnderKills(
    script: string,
    task: Task,
    turns: Readonly<Record<string, () => Promise<void>>>,
  ): Promise<{ readonly measured: Result; readonly kills: number }> {
    const names = Object.keys(turns)
    let kills = 0
    let killing: Promise<void> = Promise.resolve()
    const kill = async (name: string): Promise<void> => {
      await turns[name]?.()
      console.log(`  killed and started again: ${name}`)
    }
    const measured = await this.generate(script, task, {}, () => {
      const name = names[kills++ % names.length] ?? ''
      killing = killing.then(() => kill(name))
    })
    await killing
    return { measured, kills }
  }

  #keep(name: string, { orderIds, refused, wrong, sent }: Result): void {
    this.#book.add(name, { orderIds, others: refused, greedyIds: new Float64Array() })
    if (wrong > 0) this.#faults.push(`${wrong} of ${sent} orders have no result of their own, or several`)
  }

  /** Table, verdict, and the last line. */
  async report(bench: string, settings: object): Promise<void> {
    const { count, found } = await this.#book.check()
    console.log(table(this.#rows))
    if (found.length === 0) console.log(`\nEach of ${count} accepted orders is in MySQL once, and the money adds up.`)
    for (const fault of this.#faults) console.log(`WRONG: ${fault}`)
    const verified = this.#faults.length === 0
    process.exitCode = verified ? 0 : 1
    const all = { ...settings, ...SLOTS, verified }
    console.log(JSON.stringify({ bench, cores: availableParallelism(), settings: all, result: this.result }))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.exchange[Symbol.asyncDispose]()
  }
}

function cpuTable(used: readonly (readonly [string, number])[], orders: number): string {
  const sum = used.reduce((all, [, us]) => all + us, 0)
  return table([
    ['process', 'µs'],
    ...[...used, ['all', sum] as const].map(([name, us]) => [name, (us / orders).toFixed(1)]),
  ])
}

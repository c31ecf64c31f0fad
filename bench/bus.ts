/**
 * What the bus and the machine runtime cost, without rules, HTTP or SQL: each order goes edge → accounts → markets → reply,
 * with its frames and the outcome back, as the real path does. One process each for accounts, markets and load.
 *
 *     npm run bench:bus [-- --quick]
 *
 * Prints orders/s and CPU microseconds per order of each process, by number of slots.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import pino from 'pino'
import { createCommandPublisher } from '#mesh/commands.ts'
import type { Rules } from '#mesh/machine/rules.ts'
import { runSlots } from '#mesh/machine/runtime.ts'
import { createReplyListener } from '#mesh/replies.ts'
import { connectNats, type Service } from '#mesh/service.ts'
import type { Log } from '#mesh/subjects.ts'
import { startNats } from '#mesh/testing/servers.ts'

interface Order {
  readonly type: 'Place' | 'Enter' | 'Outcome'
  readonly commandId: number
  readonly replyTo: string
}
type Role = 'accounts' | 'markets' | 'load'

const CONCURRENCY = 128
/** What an order carries besides its identity, about as long as the real one. */
const PAYLOAD = {
  memberId: 123_456_789_012,
  clientOrderId: 'load-0123456789',
  contentHash: 123_123_123_123,
  instrument: 'BTC-USDT',
  side: 'buy',
  orderType: 'limit',
  priceTicks: 6_512_345,
  amountLots: 1_234,
  createdAtUs: 1_763_720_000_000_000,
}

const [role, url, slotsText, secondsText] = process.argv.slice(2)
if (isRole(role)) await runRole(role, url ?? '', Number(slotsText), Number(secondsText))
else await main(process.argv.includes('--quick'))

function isRole(text: string | undefined): text is Role {
  return text === 'accounts' || text === 'markets' || text === 'load'
}

async function main(quick: boolean): Promise<void> {
  const seconds = quick ? 1 : 8
  const rounds = quick ? 1 : 5
  const result: Record<string, Record<string, number>> = {}
  for (const slots of [1, 4]) {
    const runs: Record<string, number>[] = []
    for (let round = 0; round < rounds; round++) runs.push(await measure(slots, seconds))
    const median: Record<string, number> = {}
    for (const key of Object.keys(runs[0] ?? {})) {
      const values = runs.map((run) => run[key] ?? 0).sort((a, b) => a - b)
      median[key] = values[Math.floor(values.length / 2)] ?? 0
    }
    result[`slots${slots}`] = median
  }
  console.table(result)
  console.log(
    JSON.stringify({
      bench: 'bus',
      cores: availableParallelism(),
      settings: { seconds, rounds, concurrency: CONCURRENCY, syncInterval: '2m' },
      result,
    }),
  )
}

async function measure(slots: number, seconds: number): Promise<Record<string, number>> {
  const nats = await startNats({ syncInterval: '2m' })
  const start = async (as: Role): Promise<ChildProcess> => {
    const child = fork(import.meta.filename, [as, nats.url, String(slots), String(seconds)])
    await once(child, 'message')
    return child
  }
  const machines = [await start('accounts'), await start('markets')] as const
  const natsBefore = cpuOf(nats.pid)
  const load = await start('load')
  const [{ orders, cpuUs }] = (await once(load, 'message')) as [{ orders: number; cpuUs: number }]
  const perOrder = (us: number): number => Math.round((us / orders) * 10) / 10
  const figures: Record<string, number> = {
    ordersPerSecond: Math.round(orders / seconds),
    loadUs: perOrder(cpuUs),
    natsUs: perOrder(cpuOf(nats.pid) - natsBefore),
  }
  for (const [index, name] of ['accountsUs', 'marketsUs'].entries()) {
    const child = machines[index as 0 | 1]
    child.send('stop')
    const [used] = (await once(child, 'message')) as [number]
    figures[name] = perOrder(used)
    child.disconnect()
    await once(child, 'exit')
  }
  await nats.stop()
  return figures
}

/** CPU microseconds that a process has used, from Linux's /proc; 0 elsewhere. */
function cpuOf(pid: number | undefined): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
    return (Number(fields[11]) + Number(fields[12])) * 10_000
  } catch {
    return 0
  }
}

async function runRole(as: Role, natsUrl: string, slots: number, seconds: number): Promise<void> {
  const nats = await connectNats(natsUrl, as)
  if (as === 'load') return await runLoad(nats, slots, seconds)
  const service: Service = {
    name: as,
    instanceId: as,
    env: {},
    log: pino({ level: 'warn' }),
    nats,
    shutdown: new AbortController().signal,
    onStop: () => {},
    ready: () => {},
    onScrape: () => {},
    health: { isReady: () => true, report: () => ({ ready: true, checks: {} }) },
    fail: (error) => {
      throw error
    },
  }
  const shape = { accountSlots: slots, marketSlots: slots }
  await runSlots({ service, rules: relay(as, slots), shape, slots: Array.from({ length: slots }, (_, slot) => slot) })
  const before = process.cpuUsage()
  process.on('message', () => {
    const used = process.cpuUsage(before)
    process.send?.(used.user + used.system)
  })
  process.on('disconnect', () => process.exit())
  process.send?.('ready')
}

function relay(log: Log, slots: number): Rules<object, Order, object> {
  return {
    log,
    initialState: () => ({}),
    stateHash: () => '',
    apply: (_state, item, context) => {
      if (item.type === 'Place') context.send('markets', item.commandId % slots, { ...item, type: 'Enter' })
      if (item.type === 'Enter') {
        const source = Number(context.source.slice('accounts-'.length))
        const ticket = context.send('accounts', source, { ...item, type: 'Outcome' })
        context.reply(item.replyTo, { kind: 'account', commandId: item.commandId, memberId: 0 }, ticket)
      }
      context.emit({ said: item.type, ...item })
    },
  }
}

async function runLoad(nats: Awaited<ReturnType<typeof connectNats>>, slots: number, seconds: number): Promise<void> {
  const publisher = createCommandPublisher(nats)
  const replies = createReplyListener(nats, 'load')
  process.send?.('ready')
  const before = process.cpuUsage()
  const end = performance.now() + seconds * 1_000
  let commandId = 0
  let orders = 0
  const client = async (): Promise<void> => {
    while (performance.now() < end) {
      const id = ++commandId
      const reply = replies.expect(id, 10_000)
      void publisher.append('accounts', id % slots, { type: 'Place', commandId: id, replyTo: 'load', ...PAYLOAD })
      await reply
      orders++
    }
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, client))
  const used = process.cpuUsage(before)
  process.send?.({ orders, cpuUs: used.user + used.system })
  await nats.close()
  process.disconnect?.()
}

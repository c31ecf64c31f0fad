import { SlotFold } from '#mesh/machine/slot.ts'
import { createMachines } from '#services/accounts/machines.ts'
import { createMachine } from '#services/engine/machine.ts'
import { inMemoryLogs } from './in-memory-logs.ts'
import { ASSETS, MARKET, orderMessages } from './orders.ts'

/** Orders a second of this thread's own time that the folds of both machines replay, reads' memory included, without the bus. */
export function measureFolds(orders: number, rounds: number): Record<'accounts' | 'markets', number> {
  const logs = inMemoryLogs(MARKET, ASSETS, orderMessages({ resting: 1_000, trading: orders }))
  const best = { accounts: 0, markets: 0 }
  for (let round = 0; round < rounds; round++) {
    for (const log of ['accounts', 'markets'] as const) {
      // Bytes, as the bus has them.
      const stored = logs[log].map(({ text, ...message }) => ({ ...message, bytes: Buffer.from(text) }))
      const fold = newFold(log)
      fold.saysEvents = false
      const before = process.threadCpuUsage()
      for (const { bytes, ...message } of stored) {
        const whole = { ...message, text: bytes.toString('utf8') }
        for (let from = 0; from >= 0; ) {
          from = fold.apply(whole, from)
          fold.takeDraft()
        }
        fold.forgetSent()
      }
      const { user, system } = process.threadCpuUsage(before)
      if (fold.hash !== (log === 'accounts' ? logs.accountsHash : logs.marketsHash))
        throw new Error('the replay differs')
      best[log] = Math.max(best[log], ((orders + 1_000) * 1e6) / (user + system))
    }
  }
  return best
}

function newFold(log: 'accounts' | 'markets'): SlotFold<unknown, unknown, unknown> {
  const shape = { accountSlots: 1, marketSlots: 1 }
  const { rules, observe } =
    log === 'accounts' ? createMachines({ shape, recentOrdersMax: 10_000 }).accounts : createMachine().machine
  return new SlotFold(rules as never, 0, new Map(), observe as never)
}

import { parseArgs } from 'node:util'

interface BrokerOptions {
  /** Whether processes are killed while a fixed number of orders passes, instead of counting for a time. */
  readonly kill: boolean
  readonly countedMs: number
  readonly warmupMs: number
  readonly killOrders: number
}

/** `[--quick] [--seconds 30] [--kill [--orders 100000]]`, as the benchmarks of both brokers take them. */
export function brokerOptions(): BrokerOptions {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      seconds: { type: 'string' },
      kill: { type: 'boolean', default: false },
      orders: { type: 'string' },
    },
  })
  return {
    kill: values.kill,
    countedMs: Number(values.seconds ?? (values.quick ? 5 : 30)) * 1000,
    warmupMs: values.quick ? 3_000 : 8_000,
    killOrders: Number(values.orders ?? (values.quick ? 20_000 : 100_000)),
  }
}

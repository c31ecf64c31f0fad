import { jetstreamManager } from '@nats-io/jetstream'
import { seedMembers } from '#mesh/seeding.ts'
import { connectNats } from '#mesh/service.ts'
import { Log, STREAM_OF_LOG } from '#mesh/subjects.ts'
import { fundMembers } from '../bench/support/fund.ts'
import { writeMembers } from './members-file.mjs'

export const MEMBERS_DEFAULT = 10_000

const LIFETIME_S = 24 * 3600

/** Enough for hours of orders as the load test sends them. */
const GIFT = { BTC: 100n * 10n ** 8n, ETH: 1_000n * 10n ** 8n, USDT: 1_000_000n * 10n ** 8n }

/** Members with money and tokens of their own, written where artillery finds them. */
export async function seed(natsUrl: string, count: number): Promise<void> {
  const nats = await connectNats(natsUrl, 'seed')
  try {
    const accountSlots = await accountSlotsOf(nats)
    const members = await seedMembers(nats, { count, lifetimeS: LIFETIME_S })
    const memberIds = members.map(({ memberId }) => memberId)
    await fundMembers(nats, { accountSlots, memberIds, gift: GIFT })
    const tokens = members.map(({ accessToken }) => accessToken)
    writeMembers({ expiresAtMs: Date.now() + LIFETIME_S * 1000, tokens })
  } finally {
    await nats.close()
  }
}

/** The number is in the log since the first start. */
async function accountSlotsOf(nats: Awaited<ReturnType<typeof connectNats>>): Promise<number> {
  const manager = await jetstreamManager(nats)
  const { config } = await manager.streams.info(STREAM_OF_LOG[Log.accounts])
  return Number(config.metadata?.slots)
}

import type { NatsConnection } from '@nats-io/transport-node'
import pino from 'pino'
import type { Pool } from '#mesh/mysql.ts'
import { BLOCK_COUNT_MAX } from '#mesh/protocol/guid.ts'
import { createAllocator, risingClock } from '#services/guid/allocator.ts'
import { dropHistoryAhead, releaseReplica, repeatMemberCommands } from './database.ts'

export interface TakenOver {
  /** The database was ahead of the streams: its history is written anew. */
  readonly historyDropped: boolean
  /** Commands to members' accounts that will be sent again. */
  readonly commands: number
}

/** Makes of the replica the database of the streams that were promoted. */
export async function takeOverDatabase(
  pool: Pool,
  nats: NatsConnection,
  { replicas }: { readonly replicas: number },
): Promise<TakenOver> {
  await releaseReplica(pool)
  const historyDropped = await dropHistoryAhead(pool, nats)
  const log = pino({ level: 'warn' })
  const allocator = createAllocator({ nats, log, replicas, clock: risingClock(), salt: Math.random() })
  const nextIds = async (count: number): Promise<number[]> => {
    const ids: number[] = []
    while (ids.length < count) {
      const { first, count: given } = await allocator.block(Math.min(count - ids.length, BLOCK_COUNT_MAX))
      for (let index = 0; index < given; index++) ids.push(first + index)
    }
    return ids
  }
  return { historyDropped, commands: await repeatMemberCommands(pool, nextIds) }
}
